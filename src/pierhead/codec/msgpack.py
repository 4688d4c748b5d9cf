"""Messages in MessagePack, checked against a type."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from pierhead.codec.typed import Syntax, TypedValues, kind_name, load_msgspec

__all__ = ["MsgPack"]

M = TypeVar("M")


class MsgPack(Generic[M]):
    """MessagePack of a given type; it may contain any octet, so its framing must carry any.

    As for `Json`: types are checked, and of duplicate keys the last one counts. Integers have 64
    bits; octets, NaN, infinities and timestamps are represented.

    Args:
        kind: the type of a message, as for `Json`; anything by default. pydantic models are
            written as they are in JSON, octets as text.
        strict: off, ``"1"`` is an ``int`` too.

    Raises:
        UsageError: the type cannot be represented in MessagePack.

    Example:
        >>> MsgPack(dict[str, int]).encode({"a": 1})
        b'\\x81\\xa1a\\x01'
    """

    __slots__ = ("_kind", "_values")

    @overload
    def __init__(self, kind: type[M], *, strict: bool = ...) -> None: ...
    @overload
    def __init__(self: MsgPack[Any], kind: Any = Any, *, strict: bool = ...) -> None: ...

    def __init__(self, kind: Any = Any, *, strict: bool = True) -> None:
        self._kind = kind
        self._values = TypedValues(kind, _syntax(), strict=strict)

    def decode(self, frame: bytes) -> M:
        """Return the message.

        Raises:
            DecodeError: the frame is not MessagePack, is of another type, or is nil.
        """
        return self._values.decode(frame)  # type: ignore[no-any-return]

    def encode(self, message: M) -> bytes:
        """Return the message as a frame.

        Raises:
            UsageError: it is of another type, or contains something that MessagePack cannot
                represent.
        """
        return self._values.encode(message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({kind_name(self._kind)})"


def _syntax() -> Syntax:
    msgspec = load_msgspec()
    decode = msgspec.msgpack.Decoder().decode
    write_json = msgspec.json.Encoder().encode

    def to_json(frame: bytes) -> bytes:
        value = decode(frame)
        try:
            written: bytes = write_json(value)
        except TypeError as error:  # keys that are no text, extension types
            raise ValueError(f"no JSON can have it: {error}") from None
        return written

    return Syntax(
        "MessagePack",
        msgspec.msgpack.Decoder,
        msgspec.msgpack.Encoder().encode,
        to_json,
        "nil",
    )
