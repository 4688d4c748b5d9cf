"""The wrappers of an address around an open listener: ``tls+``, ``proxy+``, in wire order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from pierhead.address import ListenSpec
from pierhead.address.views import TlsOptions
from pierhead.errors import ListenError
from pierhead.listener.base import DatagramListener, Listener, StreamListener
from pierhead.listener.wrap.proxy import ProxyListener
from pierhead.listener.wrap.proxy_datagram import ProxyDatagramListener
from pierhead.listener.wrap.proxy_trust import rules_for
from pierhead.listener.wrap.tls import TlsListener
from pierhead.listener.wrap.tls_context import TlsContexts, load_contexts
from pierhead.reload import Reloaded
from pierhead.service.context import Transport

__all__ = ["certificate_reader", "unwrapped", "wrap_all"]


def wrap_all(
    listeners: Iterable[Listener],
    protocols: tuple[str, ...] = (),
    asked: ListenSpec | None = None,
) -> list[Listener]:
    """Put each listener's wrappers around it, the outermost on the wire first.

    Args:
        listeners: the open listeners; the caller keeps them if this raises.
        protocols: what ALPN offers unless the address sets it.
        asked: the address with the wrappers and their options; None for each listener's own.

    Raises:
        ListenError: a certificate is wrong, or a wrapper does not fit the listener.
    """
    contexts: dict[ListenSpec, TlsContexts] = {}  # loaded once per address

    def wrap(listener: Listener) -> Listener:
        spec = asked or listener.spec
        for wrapper in spec.wrappers:
            if wrapper == "proxy":
                listener = _proxy(listener, spec)
                continue
            if spec not in contexts:
                contexts[spec] = load_contexts(spec, protocols)
            stream = _stream(listener, wrapper, spec)
            timeout = TlsOptions.of(spec.options).handshake_timeout
            listener = TlsListener(stream, contexts[spec], protocols, timeout)
        return listener

    return [wrap(listener) for listener in listeners]


def unwrapped(listener: Listener) -> Listener:
    """Return the opened or adopted listener below all wrappers."""
    while isinstance(listener, (TlsListener, ProxyListener, ProxyDatagramListener)):
        listener = listener.base
    return listener


def certificate_reader(listener: Listener) -> Callable[[], Reloaded] | None:
    """Return `TlsListener.read_certificates` if TLS is among the wrappers, else None."""
    while isinstance(listener, ProxyListener):
        listener = listener.base
    return listener.read_certificates if isinstance(listener, TlsListener) else None


def _proxy(listener: Listener, spec: ListenSpec) -> Listener:
    rules = rules_for(listener, spec)
    if listener.transport is not Transport.DATAGRAM:
        return ProxyListener(_stream(listener, "proxy", spec), rules)
    if rules.version == 1:
        reason = "version 1 of the PROXY protocol has no datagrams"
        raise ListenError(str(spec), "proxy", reason, "write proxy.version=2")
    return ProxyDatagramListener(cast(DatagramListener, listener), rules)


def _stream(listener: Listener, wrapper: str, spec: ListenSpec) -> StreamListener:
    if listener.transport is Transport.STREAM:
        return cast(StreamListener, listener)
    reason = f"{wrapper}+ needs a stream, and {listener.local} is {listener.transport.value}"
    raise ListenError(str(spec), wrapper, reason, f"leave {wrapper}+ out")
