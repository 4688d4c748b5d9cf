"""The wrappers of an address around an open listener: ``tls+``, ``proxy+``, in wire order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pierhead.address import ListenSpec
from pierhead.context import Transport
from pierhead.errors import ListenError
from pierhead.listener.base import Listener, StreamListener
from pierhead.listener.tls import TlsListener
from pierhead.listener.tls_context import TlsContexts, load_contexts

__all__ = ["unwrapped", "wrap_all"]


def wrap_all(listeners: Iterable[Listener], protocols: tuple[str, ...] = ()) -> list[Listener]:
    """Put each listener's wrappers around it, first the one that is outermost on the wire.

    Args:
        listeners: as opened; they stay the caller's where this raises.
        protocols: what ALPN agrees on where the address does not say.

    Raises:
        ListenError: a certificate is wrong, or a wrapper does not go with what was opened.
    """
    contexts: dict[ListenSpec, TlsContexts] = {}  # read once for each address

    def wrap(listener: Listener) -> Listener:
        spec = listener.spec
        for wrapper in spec.wrappers:
            if listener.transport is not Transport.STREAM:
                kind = listener.transport.value
                reason = f"{wrapper}+ needs a stream, and {listener.local} is {kind}"
                raise ListenError(str(spec), wrapper, reason, f"leave {wrapper}+ out")
            if spec not in contexts:
                contexts[spec] = load_contexts(spec, protocols)
            listener = TlsListener(cast(StreamListener, listener), contexts[spec], protocols)
        return listener

    return [wrap(listener) for listener in listeners]


def unwrapped(listener: Listener) -> Listener:
    """Return what was opened or adopted, below all wrappers."""
    while isinstance(listener, TlsListener):
        listener = listener.base
    return listener
