"""The base of all listeners around another one."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from pierhead.address import ListenSpec
from pierhead.listener.base import Listener

__all__ = ["WrapperListener", "wrapped_name"]

L = TypeVar("L", bound=Listener)


class WrapperListener(Generic[L]):
    """A listener around another one, which it closes.

    Attributes:
        wrapper: its name in the grammar.
        base: the listener below.
    """

    wrapper: ClassVar[str]

    def __init__(self, base: L) -> None:
        self.base = base

    @property
    def spec(self) -> ListenSpec:
        """The address as given."""
        return self.base.spec

    @property
    def local(self) -> str:
        """The bound address, as text."""
        return wrapped_name(self.wrapper, self.base.local)

    def close(self) -> None:
        """Close the listener below; later calls do nothing."""
        self.base.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.local}>"


def wrapped_name(wrapper: str, below: str) -> str:
    """Return the address with a wrapper added after those it has, which are further out on the
    wire.

    >>> wrapped_name("tls", "proxy+tcp:127.0.0.1:853")
    'proxy+tls+tcp:127.0.0.1:853'
    """
    scheme, colon, target = below.partition(":")
    outer, plus, innermost = scheme.rpartition("+")
    return f"{outer}{plus}{wrapper}+{innermost}{colon}{target}"
