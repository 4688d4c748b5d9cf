"""A request as its client sends it: the octets of the head, and how the content is framed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from pierhead.errors import UsageError
from pierhead.protocols.http.wire.fields import Fields, is_token

__all__ = ["Content", "Sent", "request_head", "request_target"]

#: RFC 9112 §3.2.1: visible ASCII; what must be encoded is not let through.
_TARGET = re.compile(r"/[!-~]*\Z")

#: Methods whose content is announced even if there is none (RFC 9110 §8.6).
_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})


class Content:
    """The content of a request.

    Args:
        given: octets, an iterator of them, or None for no content.
        content_type: what it is, unless the fields say so.
        length: how many octets an iterator gives; None to send it in chunks.

    Attributes:
        octets: all of it; None if it comes from an iterator.
    """

    __slots__ = ("_parts", "content_type", "is_absent", "length", "octets")

    def __init__(
        self,
        given: bytes | AsyncIterator[bytes] | None,
        content_type: str | None,
        length: int | None = None,
    ) -> None:
        self.is_absent = given is None
        self.content_type = content_type
        self.octets: bytes | None = b""
        self._parts: AsyncIterator[bytes] | None = None
        if given is None or isinstance(given, bytes):
            self.octets = given or b""
            self.length: int | None = len(self.octets)
        elif hasattr(given, "__aiter__"):
            self.octets, self._parts, self.length = None, given, length
        else:
            found = type(given).__name__
            raise UsageError(
                f"a body is {found}, expected bytes, str or an async iterator of bytes"
            )

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be sent again."""
        return self.octets is not None

    async def framed(self) -> AsyncIterator[bytes]:
        """Iterate over the octets as they are sent (RFC 9112 §7.1)."""
        if self._parts is None:
            yield self.octets or b""
            return
        size = 0
        async for part in self._parts:
            size += len(part)
            if self.length is None:
                if part:  # an empty chunk would be the end
                    yield b"%x\r\n%b\r\n" % (len(part), part)
            elif size > self.length:
                break
            else:
                yield part
        if self.length is None:
            yield b"0\r\n\r\n"
        elif size != self.length:
            raise UsageError(
                f"the body has {'more' if size > self.length else 'only'} "
                f"{min(size, self.length)} octets, expected length={self.length}"
            )


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that is ready to be sent.

    Attributes:
        expects_continue: whether the content waits until the server asks for it.
    """

    method: str
    head: bytes
    content: Content
    expects_continue: bool


def request_target(path: str, query: Mapping[str, str] | None) -> str:
    """Return the path with its query (RFC 9112 §3.2.1).

    Raises:
        UsageError: the path has something that must be encoded.
    """
    if _TARGET.match(path) is None or "#" in path:
        raise UsageError(
            f"path is {path!r}, expected '/' and visible ASCII without '#'; encode the rest: "
            "urllib.parse.quote"
        )
    if not query:
        return path
    try:
        encoded = urlencode(query)
    except UnicodeEncodeError as error:
        raise UsageError(f"the query {query!r} is not text: {error.reason}") from None
    return path + ("&" if "?" in path else "?") + encoded


def request_head(
    method: str, target: str, authority: str, fields: Fields, content: Content
) -> Sent:
    """Return a request with the fields that say where it ends.

    Raises:
        UsageError: the method is malformed, or a field is the client's own.
    """
    if not is_token(method):
        raise UsageError(f"method is {method!r}, expected a token (RFC 9110 section 9.1)")
    for name in ("content-length", "transfer-encoding", "connection"):
        if name in fields:
            raise UsageError(f"field {name} is set by the client; leave it out")
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in fields:
        lines.append(f"Host: {authority}")
    lines += (f"{name}: {value}" for name, value in fields)
    if content.content_type is not None and "content-type" not in fields:
        lines.append(f"Content-Type: {content.content_type}")
    if content.length is None:
        lines.append("Transfer-Encoding: chunked")
    elif not content.is_absent or method in _WITH_CONTENT:
        lines.append(f"Content-Length: {content.length}")
    expects = (fields.get("expect") or "").lower() == "100-continue" and not content.is_absent
    head = "\r\n".join((*lines, "", "")).encode("latin-1")
    return Sent(method, head, content, expects)
