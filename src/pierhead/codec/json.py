"""Messages in JSON (RFC 8259), checked against a type."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from pierhead.errors import DecodeError, UsageError

__all__ = ["Json"]

M = TypeVar("M")


class Json(Generic[M]):
    """JSON of a given type, by msgspec; it contains no newline, so lines can carry it.

    Args:
        kind: the type of a message: a dataclass, a NamedTuple, a TypedDict, a ``msgspec.Struct``,
            ``dict[str, int]`` …; any JSON by default.

    Raises:
        UsageError: the type cannot be represented in JSON.

    Example:
        >>> Json(dict[str, int]).decode(b'{"a": 1}')
        {'a': 1}
    """

    __slots__ = ("_decode", "_encode", "_kind")

    @overload
    def __init__(self, kind: type[M]) -> None: ...
    @overload
    def __init__(self: Json[Any], kind: Any = Any) -> None: ...

    def __init__(self, kind: Any = Any) -> None:
        import msgspec

        self._kind = kind
        try:
            self._decode = msgspec.json.Decoder(kind).decode
        except (TypeError, NameError) as error:
            raise UsageError(f"{kind!r} is no type that JSON can have: {error}") from None
        self._encode = msgspec.json.Encoder().encode

    def decode(self, frame: bytes) -> M:
        """Return the message.

        Raises:
            DecodeError: the frame is not JSON, is of another type, or is null.
        """
        try:
            message = self._decode(frame)
        except RecursionError:
            raise DecodeError("JSON that nests too deeply") from None
        except ValueError as error:  # msgspec's own errors are ValueErrors, too
            raise DecodeError(str(error)) from None
        if message is None:  # which would mean silence
            raise DecodeError("null is no message")
        return message  # type: ignore[no-any-return]

    def encode(self, message: M) -> bytes:
        """Return the message as a frame.

        Raises:
            UsageError: it is of another type, or contains something that JSON cannot represent.
        """
        kind = self._kind
        if message is None:
            raise UsageError("a message is None, which is none")
        if hasattr(kind, "__match_args__") and not isinstance(message, kind):
            raise UsageError(f"a message is {type(message).__name__}, expected {kind.__name__}")
        try:
            return self._encode(message)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"a message cannot be JSON: {error}") from None

    def __repr__(self) -> str:
        kind = "" if self._kind is Any else getattr(self._kind, "__name__", repr(self._kind))
        return f"{type(self).__name__}({kind})"
