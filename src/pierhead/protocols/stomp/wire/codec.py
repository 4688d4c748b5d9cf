r"""Frames of STOMP 1.2 as values.

SEND\n                      the command
destination:/queue/a\n      headers, escaped
content-length:4\n
\n
ahoy                        the body; NUL ends the frame on a stream
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pierhead.codec import StompFraming, WireFormat
from pierhead.errors import DecodeError, UsageError
from pierhead.printable import printable_octets

__all__ = ["Frame", "FrameCodec", "wire_format"]

_LENGTH = "content-length"
_ESCAPED = {"\r": "\\r", "\n": "\\n", ":": "\\c", "\\": "\\\\"}
#: "Undefined escape sequences such as \t MUST be treated as a fatal protocol error."
_UNDEFINED = re.compile(r"\\(?![rnc]).?", re.DOTALL)
_TO_ESCAPE = re.compile(r"[\r\n:\\]")
#: They are not escaped, for the sake of STOMP 1.0.
_PLAIN = ("CONNECT", "CONNECTED")
_HEAD_END = re.compile(rb"\n\r?\n")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: a command, headers in order, a body.

    ``content-length`` is not a header here: it is checked when a frame is read, and written if
    there is a body.
    """

    command: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, the one that counts; None if there is none."""
        return next((value for key, value in self.headers if key == name), None)


class FrameCodec:
    """Frames of STOMP 1.2: their syntax, and not which command may have what.

    Example:
        >>> FrameCodec().encode(Frame("SEND", (("destination", "/a:b"),), b"ahoy"))
        b'SEND\\ndestination:/a\\\\cb\\ncontent-length:4\\n\\nahoy'
    """

    __slots__ = ()

    def decode(self, frame: bytes) -> Frame:
        """Return the frame.

        Raises:
            DecodeError: there is no blank line, a header is malformed, or the body has another
                length than its header says.
        """
        end = _HEAD_END.search(frame)
        if end is None:
            raise DecodeError("a frame without the blank line that ends its headers")
        first, *lines = frame[: end.start()].split(b"\n")
        command = _text(first.removesuffix(b"\r"), "the command")
        if not command:
            raise DecodeError("a frame without a command", 0)
        headers = [_header(line, command not in _PLAIN) for line in lines]
        body = frame[end.end() :]
        lengths = [value for key, value in headers if key == _LENGTH]
        if lengths and lengths[0] != str(len(body)):
            found = printable_octets(lengths[0].encode()[:20])
            raise DecodeError(f"a body of {len(body)} octets with a content-length of '{found}'")
        return Frame(command, tuple(one for one in headers if one[0] != _LENGTH), body)

    def encode(self, message: Frame) -> bytes:
        """Return the frame as octets.

        Raises:
            UsageError: the command or a header cannot be written.
        """
        if not isinstance(message, Frame):
            raise UsageError(f"a message is {type(message).__name__}, expected Frame")
        headers = message.headers
        if any(key == _LENGTH for key, _ in headers):
            raise UsageError("content-length is written by the codec; leave it out of the headers")
        if message.body:
            headers = (*headers, (_LENGTH, str(len(message.body))))
        lines = [message.command, *(_line(message.command, *header) for header in headers)]
        if not message.command or any("\n" in one or one.endswith("\r") for one in lines):
            raise UsageError(f"{message!r} has no command, or a line end that is not escaped in it")
        try:
            return "\n".join([*lines, "", ""]).encode("utf-8") + message.body
        except UnicodeEncodeError as error:
            raise UsageError(f"a header cannot be UTF-8: {error}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def wire_format(*, max_length_bytes: int = 65_536) -> WireFormat[Frame, Frame]:
    """Return the wire format of STOMP: frames both ways.

    Args:
        max_length_bytes: the longest frame, its headers and its body together.
    """
    return WireFormat(StompFraming(max_length_bytes), FrameCodec())


def _text(octets: bytes, what: str) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(f"{what} is not UTF-8: {error.reason}") from None


def _header(line: bytes, is_escaped: bool) -> tuple[str, str]:
    key, colon, value = _text(line.removesuffix(b"\r"), "a header").partition(":")
    if not colon or not key:
        raise DecodeError(f"the header '{printable_octets(line[:40])}', expected name:value")
    return (_unescaped(key), _unescaped(value)) if is_escaped else (key, value)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    parts = text.split("\\\\")  # they pair up from the left
    for part in parts:
        if bad := _UNDEFINED.search(part):
            found = printable_octets(bad[0].encode())
            raise DecodeError(f"the escape {found} in a header, expected one of \\r \\n \\c \\\\")
    return "\\".join(
        [part.replace("\\r", "\r").replace("\\n", "\n").replace("\\c", ":") for part in parts]
    )


def _line(command: str, key: str, value: str) -> str:
    if not key or (command in _PLAIN and ":" in key):
        raise UsageError(f"a header is named {key!r}, which cannot be written in {command}")
    if command in _PLAIN:
        return f"{key}:{value}"
    return ":".join(_TO_ESCAPE.sub(lambda one: _ESCAPED[one[0]], part) for part in (key, value))
