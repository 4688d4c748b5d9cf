"""The codecs for lines, the same for requests and replies: a frame is a line without its ending."""

from __future__ import annotations

from pierhead.errors import DecodeError, UsageError

__all__ = ["Bytes", "Text"]


class Bytes:
    """Lines as bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Bytes()"

    def decode(self, frame: bytes) -> bytes:
        """Return the line, without the line ending that a datagram may carry.

        Raises:
            DecodeError: it is more than one line, which is possible only in a datagram.
        """
        if b"\n" not in frame:
            return frame
        if frame.endswith(b"\n"):
            frame = frame[:-2] if frame.endswith(b"\r\n") else frame[:-1]
        if (position := frame.find(b"\n")) >= 0:
            raise DecodeError("more than one line in a datagram", position)
        return frame

    def encode(self, line: bytes) -> bytes:
        """Return the line as a frame.

        Raises:
            UsageError: it is not bytes, or holds a newline, which would make it two lines.
        """
        if not isinstance(line, bytes):
            raise UsageError(f"a line is {type(line).__name__}, expected bytes")
        if b"\n" in line:
            raise UsageError(
                f"a line contains a newline at octet {line.index(10)}; no line may. To reply with "
                "several lines, yield them one by one"
            )
        return line


class Text:
    """Lines as text.

    Args:
        encoding: a codec known to Python in which LF is one octet.

    Raises:
        UsageError: there is no such codec, or it encodes LF differently (as UTF-16 does).
    """

    __slots__ = ("_bytes", "encoding")

    def __init__(self, encoding: str = "utf-8") -> None:
        try:
            carries = "\n".encode(encoding) == b"\n"
        # A name with NUL, or that is no text; "undefined", which encodes nothing.
        except (LookupError, ValueError, TypeError):
            raise UsageError(f"no text encoding is named {encoding!r}") from None
        if not carries:
            raise UsageError(
                f"{encoding} cannot carry lines: it does not encode LF as the octet 0A"
            )
        self.encoding = encoding
        self._bytes = Bytes()

    def __repr__(self) -> str:
        return f"Text({self.encoding!r})"

    def decode(self, frame: bytes) -> str:
        """Return the line as text.

        Raises:
            DecodeError: the octets are not valid in this encoding.
        """
        try:
            return self._bytes.decode(frame).decode(self.encoding)
        except UnicodeDecodeError as error:
            raise DecodeError(f"not {self.encoding}: {error.reason}", error.start) from None
        except UnicodeError as error:  # some codecs give no position
            raise DecodeError(f"not {self.encoding}: {error}") from None

    def encode(self, line: str) -> bytes:
        """Return the line as a frame.

        Raises:
            UsageError: it is not text, the encoding lacks a character, or it contains a newline.
        """
        if not isinstance(line, str):
            raise UsageError(f"a line is {type(line).__name__}, expected str")
        try:
            return self._bytes.encode(line.encode(self.encoding))
        except UnicodeEncodeError as error:
            raise UsageError(f"{self.encoding} has no character {line[error.start]!r}") from None
        except UnicodeError as error:
            raise UsageError(f"the line cannot be encoded in {self.encoding}: {error}") from None
