"""Messages in JSON (RFC 8259), checked against a type; JSON lines."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar, overload

from pierhead.codec.base import WireFormat
from pierhead.codec.lines import Lines
from pierhead.codec.typed import Syntax, TypedValues, kind_name, load_msgspec

__all__ = ["Json", "json_lines"]

M = TypeVar("M")
Q = TypeVar("Q")
R = TypeVar("R")


class Json(Generic[M]):
    """JSON of a given type; it contains no newline, so lines can carry it.

    Values must have the type: text is not accepted for a number, nor 1.0 for an ``int``. NaN,
    infinities, numbers beyond a float and lone surrogates are refused, both ways. Of duplicate keys
    the last one counts. Integers may have up to 4300 digits.

    Args:
        kind: the type of a message: a dataclass, an attrs class, a NamedTuple, a TypedDict, a
            ``msgspec.Struct``, a pydantic model, a union or a container of these; any JSON by
            default. pydantic validates the whole type if a model of its own is part of it.
        strict: off, ``"1"`` is an ``int`` too.

    Raises:
        UsageError: the type cannot be represented in JSON.

    Example:
        >>> Json(dict[str, int]).decode(b'{"a": 1}')
        {'a': 1}
    """

    __slots__ = ("_kind", "_values")

    @overload
    def __init__(self, kind: type[M], *, strict: bool = ...) -> None: ...
    @overload
    def __init__(self: Json[Any], kind: Any = Any, *, strict: bool = ...) -> None: ...

    def __init__(self, kind: Any = Any, *, strict: bool = True) -> None:
        self._kind = kind
        self._values = TypedValues(kind, _syntax(), strict=strict)

    def decode(self, frame: bytes) -> M:
        """Return the message.

        Raises:
            DecodeError: the frame is not JSON, is of another type, or is null.
        """
        return self._values.decode(frame)  # type: ignore[no-any-return]

    def encode(self, message: M) -> bytes:
        """Return the message as a frame.

        Raises:
            UsageError: it is of another type, or contains something that JSON cannot represent.
        """
        return self._values.encode(message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({kind_name(self._kind)})"


@overload
def json_lines(
    requests: type[M], replies: None = ..., *, max_length_bytes: int = ...
) -> WireFormat[M, M]: ...
@overload
def json_lines(
    requests: type[Q], replies: type[R], *, max_length_bytes: int = ...
) -> WireFormat[Q, R]: ...
@overload
def json_lines(
    requests: Any = ..., replies: Any = ..., *, max_length_bytes: int = ...
) -> WireFormat[Any, Any]: ...


def json_lines(
    requests: Any = Any, replies: Any = None, *, max_length_bytes: int = 65_536
) -> WireFormat[Any, Any]:
    """Return the wire format of JSON lines: each line is a message in JSON.

    Args:
        requests: the type of requests; any JSON by default.
        replies: the type of replies; the same by default.
        max_length_bytes: the longest line, excluding its line ending.

    Example:
        >>> json_lines(dict[str, int]).requests.decode(b'{"a": 1}')
        {'a': 1}
    """
    asked = Json(requests)
    told = asked if replies is None else Json(replies)
    return WireFormat(Lines(max_length_bytes=max_length_bytes), asked, told)


def _syntax() -> Syntax:
    msgspec = load_msgspec()
    well_formed = msgspec.json.Decoder(msgspec.Raw).decode
    write = msgspec.json.Encoder().encode

    def to_json(frame: bytes) -> bytes:
        well_formed(frame)
        return frame

    def encode(message: Any) -> bytes:
        frame: bytes = write(message)
        # msgspec writes null for them, silently.
        if b"null" in frame and _has_non_finite(msgspec.to_builtins(message, str_keys=True)):
            raise ValueError("it contains NaN or an infinity")
        return frame

    return Syntax("JSON", msgspec.json.Decoder, encode, to_json, "null")


def _has_non_finite(value: Any) -> bool:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, float) and not math.isfinite(part):
            return True
    return False
