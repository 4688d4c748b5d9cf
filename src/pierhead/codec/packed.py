"""Messages of fixed fields, laid out as Python's `struct` does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from pierhead.errors import DecodeError, UsageError

__all__ = ["Packed"]

M = TypeVar("M")


class Packed(Generic[M]):
    """Fields of fixed size, one after another.

    Args:
        layout: as in `struct`, with its byte order: ``"!Hf"`` is two octets of number and four of
            floating point, most significant octet first.
        kind: creates the message from the fields: a NamedTuple, a dataclass, or for one field any
            callable, such as an IntEnum. If it raises ValueError, the frame is not a message.
            Without it the message is the field, or a tuple of several.

    Raises:
        UsageError: the layout is invalid, depends on the machine, or does not match ``kind``.

    Example:
        >>> Packed("!HB").encode((513, 3))
        b'\\x02\\x01\\x03'
        >>> Packed("!I").decode(b"\\0\\0\\1\\0")
        256
    """

    __slots__ = ("_kind", "_names", "_struct")

    @overload
    def __init__(self: Packed[Any], layout: str) -> None: ...
    @overload
    def __init__(self, layout: str, kind: Callable[..., M]) -> None: ...

    def __init__(self, layout: str, kind: Callable[..., Any] | None = None) -> None:
        self._kind = kind
        if layout[:1] not in ("!", ">", "<"):
            raise UsageError(
                f"the layout {layout!r} does not say its byte order; begin with '!' or '>' for "
                "the most significant octet first, '<' for the least"
            )
        try:
            self._struct = struct.Struct(layout)
        except struct.error as error:
            raise UsageError(f"the layout {layout!r} is none of struct's: {error}") from None
        count = len(self._struct.unpack(bytes(self._struct.size)))
        self._names: tuple[str, ...] | None = getattr(kind, "__match_args__", None)
        expected = 1 if self._names is None else len(self._names)
        if count == 0 or (kind is not None and count != expected):
            wanted = "1 or more" if kind is None else f"{expected} of {_name(kind)}"
            raise UsageError(f"the layout {layout!r} has {count} fields, expected {wanted}")

    def decode(self, frame: bytes) -> M:
        """Return the message.

        Raises:
            DecodeError: the frame has another length, or a field has an invalid value.
        """
        if len(frame) != self._struct.size:
            raise DecodeError(f"message of {len(frame)} octets, expected {self._struct.size}")
        fields: Any = self._struct.unpack(frame)
        if self._kind is None:
            return fields[0] if len(fields) == 1 else fields  # type: ignore[no-any-return]
        try:
            return self._kind(*fields)  # type: ignore[no-any-return]
        except ValueError as error:
            raise DecodeError(f"no {_name(self._kind)}: {error}") from None

    def encode(self, message: M) -> bytes:
        """Return the message as a frame.

        Raises:
            UsageError: it is of another kind, or a field does not fit.
        """
        fields = self._fields(message)
        try:
            frame = self._struct.pack(*fields)
        except (struct.error, OverflowError) as error:
            raise UsageError(f"{message!r} does not fit {self._struct.format!r}: {error}") from None
        for given, packed in zip(fields, self._struct.unpack(frame), strict=True):
            # `pack` truncates octets that are too long, and pads those that are too short.
            if isinstance(given, bytes) and given != packed:
                raise UsageError(f"{given!r} does not fill its place in {self._struct.format!r}")
        return frame

    def _fields(self, message: Any) -> tuple[Any, ...]:
        names, kind = self._names, self._kind
        if names is not None:
            if isinstance(kind, type) and not isinstance(message, kind):
                raise UsageError(f"a message is {type(message).__name__}, expected {kind.__name__}")
            return tuple([getattr(message, name) for name in names])
        is_several = kind is None and isinstance(message, tuple)
        return message if is_several else (message,)

    def __repr__(self) -> str:
        kind = "" if self._kind is None else f", {_name(self._kind)}"
        return f"{type(self).__name__}({self._struct.format!r}{kind})"


def _name(kind: object) -> str:
    return getattr(kind, "__name__", repr(kind))
