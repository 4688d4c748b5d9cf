"""Octets to requests of HTTP/1.1: cut here, checked here, and read by llhttp.

    feed ─▶ head: cut at the empty line ─▶ syntax ─▶ llhttp ─▶ rules ─▶ Head
            body: cut by length or chunk line ─────▶ llhttp ─▶ octets

Two readers go over every octet, and each step must end at the same one for both: what they read
differently is refused. llhttp says what a message is; the cuts say where it ends, so that no
request is read before there is room for it. How the input is split never changes the outcome.

Strict throughout: lines end with CR LF, a field has no space before its colon and no second line.
"""

from __future__ import annotations

import re
from typing import Any

from pierhead.errors import UsageError
from pierhead.extra import missing_extra
from pierhead.protocols.http.wire.body import ContentTooLarge
from pierhead.protocols.http.wire.fields import Fields
from pierhead.protocols.http.wire.head_rules import Head, check_trailers
from pierhead.protocols.http.wire.limits import RequestLimits
from pierhead.protocols.http.wire.refusal import BadMessage

try:
    import httptools
except ModuleNotFoundError as error:
    _missing: UsageError | None = missing_extra("http", error)
else:
    _missing = None

__all__ = ["RequestReader"]

_FIELD = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n"
_FIELDS = re.compile(rb"(?:" + _FIELD + rb")*+\r\n")
_HEAD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) ([\x21-\x7e]++) HTTP/([0-9]\.[0-9])\r\n"
    + rb"(?:" + _FIELD + rb")*+\r\n"
)  # fmt: skip
_REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP/[0-9]\.[0-9]\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*+)?\r\n")

#: The longest line before a chunk, whatever the limit of all extensions.
_MAX_CHUNK_LINE = 1024


class _Seen:
    """What llhttp has reported since it was last asked."""

    __slots__ = ("body", "fields", "is_complete", "target")

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.is_complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.is_complete = True

    def clear(self) -> None:
        """Forget it, for the next message."""
        self.target, self.fields, self.body, self.is_complete = b"", [], [], False


class RequestReader:
    """Reads the requests of one connection.

    `head` returns the next request; after one with content, `body` returns the content until
    `is_in_body` is false; then comes the next head. After an error nothing more is read.

    Args:
        limits: how large the parts of a request may be.

    Attributes:
        is_in_body: whether content of the last request is still to come.
        trailers: the trailer fields of the last request, once it is complete.

    Raises:
        UsageError: httptools is not installed.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_chunk_left",
        "_extension_bytes",
        "_has_skipped_line",
        "_is_after_chunk",
        "_is_chunked",
        "_is_in_trailers",
        "_left",
        "_limits",
        "_parser",
        "_received",
        "_seen",
        "is_in_body",
        "trailers",
    )

    def __init__(self, limits: RequestLimits) -> None:
        if _missing is not None:
            raise _missing
        self._limits = limits
        self._buffer = b""
        self._at = 0  # what is before has been read
        self._has_skipped_line = False
        self._seen = _Seen()
        self._parser: Any = None
        self.is_in_body = self._is_chunked = False
        self._is_after_chunk = self._is_in_trailers = False
        self._left = self._chunk_left = self._extension_bytes = self._received = 0
        self.trailers = Fields()

    def feed(self, data: bytes) -> None:
        """Take octets in."""
        self._buffer = self._buffer[self._at :] + data if self.buffered else data
        self._at = 0

    @property
    def buffered(self) -> int:
        """How many octets have been fed and not read."""
        return len(self._buffer) - self._at

    def clear(self) -> None:
        """Drop what has not been read."""
        self._buffer, self._at = b"", 0

    # -- the head ------------------------------------------------------------------------------

    def head(self) -> Head | None:
        """Return the head of the next request; None until it has arrived.

        Raises:
            BadMessage: the input is no request, or passes a limit.
        """
        buffer = self._buffer
        # One empty line before a request is ignored (RFC 9112 §2.2).
        if not self._has_skipped_line and buffer.startswith(b"\r\n", self._at):
            self._at += 2
            self._has_skipped_line = True
        if self._at == len(buffer):
            return None
        end = buffer.find(b"\r\n\r\n", self._at)
        self._check_size(len(buffer) if end < 0 else end + 4, is_complete=end >= 0)
        if end < 0:
            return None
        raw = buffer[self._at : end + 4]
        self._at = end + 4
        self._has_skipped_line = False
        head = self._read_head(raw)
        self._begin_body(head)
        return head

    def _check_size(self, stop: int, *, is_complete: bool) -> None:
        """Refuse a head that is too long, or has a bare LF: whichever comes first."""
        buffer, at, limits = self._buffer, self._at, self._limits
        longest = limits.max_request_line_bytes
        if stop - at > longest and buffer.find(b"\n", at, at + longest) < 0:
            raise BadMessage(f"the request line is longer than {longest} octets", 414)
        longest = limits.max_head_bytes
        if is_complete and stop - at <= longest:
            return  # bare line ends are no part of the syntax
        seen = min(stop, at + longest)
        if buffer.count(b"\n", at, seen) != buffer.count(b"\r\n", at, seen):
            raise BadMessage("a line ends with LF alone, expected CR LF")
        if stop - at > longest:
            raise BadMessage(f"the head is longer than {longest} octets", 431)

    def _read_head(self, raw: bytes) -> Head:
        syntax = _HEAD.fullmatch(raw)
        if syntax is None:
            raise _syntax_error(raw)
        version = syntax[3].decode("ascii")
        if version not in ("1.1", "1.0"):
            raise BadMessage(f"the version is HTTP/{version}, expected 1.1 or 1.0", 505)
        if raw.count(b"\n") - 2 > self._limits.max_fields:
            raise BadMessage(f"there are more than {self._limits.max_fields} fields", 431)
        seen = self._seen
        seen.clear()
        failure = self._parse(raw)
        method, target = syntax[1].decode("ascii"), syntax[2].decode("ascii")
        fields = [(n.decode("latin-1"), v.decode("latin-1").strip(" \t")) for n, v in seen.fields]
        if isinstance(failure, BadMessage) and failure.status == 501:
            raise failure
        head = Head(method, target, version, fields, len(raw))  # its refusals say more
        if failure is not None:
            raise failure
        if seen.target != syntax[2] or len(fields) != raw.count(b"\n") - 2:
            raise BadMessage("the head can be read in two ways")
        return head

    def _parse(self, raw: bytes) -> BadMessage | None:
        """Give octets to llhttp; return why it refuses them."""
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self._seen)
        try:
            self._parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self._parser = None  # it takes what follows for another protocol
        except httptools.HttpParserInvalidMethodError:
            return BadMessage("unknown method", 501)
        except httptools.HttpParserError as error:
            return BadMessage(f"{error}")
        return None

    def _begin_body(self, head: Head) -> None:
        limits = self._limits
        self._is_chunked = head.length is None
        self._left = head.length or 0
        self.is_in_body = self._is_chunked or self._left > 0
        if self._left > limits.max_body_bytes:
            most = limits.max_body_bytes
            raise BadMessage(f"the content has {self._left} octets, expected {most} at most", 413)
        if self.is_in_body:
            self._is_after_chunk = self._is_in_trailers = False
            self._chunk_left = self._extension_bytes = self._received = 0
            self.trailers = Fields()
        self._check_end()
        self._seen.fields = []

    def _check_end(self) -> None:
        """Refuse a message that ends elsewhere for llhttp."""
        if self._seen.is_complete == self.is_in_body:
            raise BadMessage("the end of the message can be read in two ways")
        if not self.is_in_body and self._parser is not None and not self._parser_goes_on():
            self._parser = None

    def _parser_goes_on(self) -> bool:
        """Tell whether llhttp would read another request: it is pipelined, not to be closed."""
        return bool(self._parser.should_keep_alive())

    # -- the content ---------------------------------------------------------------------------

    def body(self) -> bytes:
        """Return what has arrived of the content; `is_in_body` says whether more will come.

        Raises:
            BadMessage: a chunk or a trailer field is malformed, or passes a limit.
            ContentTooLarge: the chunks together pass the limit.
        """
        start, seen = self._at, self._seen
        expected = self._cut_chunks() if self._is_chunked else self._cut_length()
        if self._at == start:
            return b""
        failure = self._parse(self._buffer[start : self._at])
        if failure is not None:
            raise failure
        content = seen.body[0] if len(seen.body) == 1 else b"".join(seen.body)
        seen.body.clear()
        if len(content) != expected:
            raise BadMessage("the content can be read in two ways")
        self._check_end()
        if not self.is_in_body and seen.fields:
            pairs = [
                (n.decode("latin-1"), v.decode("latin-1").strip(" \t")) for n, v in seen.fields
            ]
            check_trailers(pairs)
            self.trailers = Fields.of_parser(pairs)
        return content

    def _cut_length(self) -> int:
        size = min(self._left, self.buffered)
        self._at += size
        self._left -= size
        self.is_in_body = self._left > 0
        return size

    def _cut_chunks(self) -> int:
        """Move over whole lines and what there is of chunks; return the size of their data."""
        buffer, size = self._buffer, 0
        while self.is_in_body:
            if self._chunk_left:
                part = min(self._chunk_left, self.buffered)
                self._at += part
                self._chunk_left -= part
                size += part
                if self._chunk_left:
                    break
                self._is_after_chunk = True
            if self._is_after_chunk:
                after = buffer[self._at : self._at + 2]
                if not b"\r\n".startswith(after):
                    raise BadMessage("a chunk does not end where its size says")
                if len(after) < 2:
                    break
                self._at += 2
                self._is_after_chunk = False
            is_open = self._cut_trailers() if self._is_in_trailers else self._cut_chunk_line()
            if is_open:
                break
        return size

    def _cut_chunk_line(self) -> bool:
        """Move over the line before a chunk; return whether it has not arrived."""
        buffer, at, limits = self._buffer, self._at, self._limits
        end = buffer.find(b"\n", at, at + _MAX_CHUNK_LINE) + 1
        if not end:
            if self.buffered >= _MAX_CHUNK_LINE:
                raise BadMessage("the line before a chunk is too long")
            return True
        line = _CHUNK_LINE.fullmatch(buffer, at, end)
        if line is None:
            raise BadMessage("the line before a chunk is not a size")
        self._extension_bytes += len(line[2] or b"")
        if self._extension_bytes > limits.max_chunk_extension_bytes:
            raise BadMessage("there are too many chunk extensions")
        self._chunk_left = int(line[1], 16)
        self._received += self._chunk_left
        if self._received > limits.max_body_bytes:
            raise ContentTooLarge(
                f"the content has more than {limits.max_body_bytes} octets, in chunks"
            )
        self._at = end
        self._is_in_trailers = not self._chunk_left
        return False

    def _cut_trailers(self) -> bool:
        """Move over the trailer fields and the empty line; return whether it has not arrived."""
        buffer, at, longest = self._buffer, self._at, self._limits.max_head_bytes
        if buffer.startswith(b"\r\n", at):
            end = at + 2
        else:
            found = buffer.find(b"\r\n\r\n", at, at + longest)
            if found < 0:
                if self.buffered >= longest:
                    raise BadMessage(f"the trailer fields are longer than {longest} octets", 431)
                return True
            end = found + 4
        if _FIELDS.fullmatch(buffer, at, end) is None:
            raise BadMessage("the trailer fields are malformed")
        if buffer.count(b"\n", at, end) - 1 > self._limits.max_fields:
            raise BadMessage("there are too many trailer fields", 431)
        self._at = end
        self.is_in_body = False
        return False


def _syntax_error(raw: bytes) -> BadMessage:
    """Return what is wrong with a head, for whoever looks for it."""
    line = _REQUEST_LINE.match(raw)
    if line is None:
        shown = raw.partition(b"\n")[0][:80].decode("latin-1")
        return BadMessage(f"the request line is {shown!r}, expected METHOD TARGET HTTP/1.1")
    bad = _FIELDS_FROM.match(raw, line.end())
    at = line.end() if bad is None else bad.end()
    shown = raw[at : at + 80].partition(b"\n")[0].decode("latin-1")
    return BadMessage(f"{shown!r} is no field line: NAME: VALUE, on one line ended by CR LF")


_FIELDS_FROM = re.compile(rb"(?:" + _FIELD + rb")*+")
