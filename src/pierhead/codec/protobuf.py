"""Messages of protobuf, by the classes that its compiler generates."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from pierhead.errors import DecodeError, UsageError
from pierhead.printable import printable

__all__ = ["Protobuf"]


class _Generated(Protocol):
    """What a generated class has; protobuf itself is not imported."""

    def SerializeToString(self) -> bytes: ...

    def IsInitialized(self) -> bool: ...


M = TypeVar("M", bound=_Generated)


class Protobuf(Generic[M]):
    """Messages of a class that protobuf's compiler has generated.

    Protobuf says that input is malformed, and not where; fields that the class does not have are
    kept. Its own limit for nesting applies, 100.

    Args:
        kind: the class.

    Raises:
        UsageError: it is none.
    """

    __slots__ = ("_kind",)

    def __init__(self, kind: type[M]) -> None:
        self._kind: Any = kind
        for method in ("FromString", "SerializeToString", "IsInitialized"):
            if not callable(getattr(kind, method, None)):
                raise UsageError(
                    f"{kind!r} is not a class that protobuf has generated: it has no {method}()"
                )

    def decode(self, frame: bytes) -> M:
        """Return the message.

        Raises:
            DecodeError: the frame is malformed, or a required field is missing.
        """
        try:
            message: M = self._kind.FromString(frame)
        except Exception as error:  # protobuf's own DecodeError, of whichever implementation
            raise DecodeError(f"malformed protobuf: {printable(str(error))[:300]}") from None
        if not message.IsInitialized():
            raise DecodeError(f"a {self._kind.__name__} without a required field")
        return message

    def encode(self, message: M) -> bytes:
        """Return the message as a frame.

        Raises:
            UsageError: it is of another class, or a required field is missing.
        """
        if not isinstance(message, self._kind):
            found = type(message).__name__
            raise UsageError(f"a message is {found}, expected {self._kind.__name__}")
        if not message.IsInitialized():
            raise UsageError(f"a {self._kind.__name__} without a required field")
        frame: bytes = message.SerializeToString()
        return frame

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._kind.__name__})"
