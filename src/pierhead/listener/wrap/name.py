"""The bound address of a wrapped listener, in wire order as the grammar has it."""

from __future__ import annotations

__all__ = ["wrapped_name"]


def wrapped_name(wrapper: str, below: str) -> str:
    """Put a wrapper behind those that the address has, which are further out on the wire.

    >>> wrapped_name("tls", "proxy+tcp:127.0.0.1:853")
    'proxy+tls+tcp:127.0.0.1:853'
    """
    scheme, colon, target = below.partition(":")
    outer, plus, innermost = scheme.rpartition("+")
    return f"{outer}{plus}{wrapper}+{innermost}{colon}{target}"
