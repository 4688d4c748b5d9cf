"""Layers around a service, in a valid order: `stack` checks it, `standard` knows it.

    query ─▶ query_log  tsig  extended_errors  cookies  nsid  keepalive  padding  edns  expire
                        rate_limit  minimal_responses  identity  transfers  mandatory ─▶ service

Why this order: docs/decisions/0013-dns-middleware-order.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias, TypeVar

from pierhead.errors import UsageError
from pierhead.protocols.dns import middleware
from pierhead.protocols.dns.middleware.layer import Layer, answering, check_opcodes, combine
from pierhead.protocols.dns.services.chaos import Chaos
from pierhead.protocols.dns.transfer.outgoing import Transfers
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.reload import Reloaded
from pierhead.service import Middleware, Service, ServiceFunction, as_service, from_layer
from pierhead.service import Reply as AnyReply
from pierhead.service.context import Context

__all__ = ["Stack", "stack", "standard"]

T = TypeVar("T", bound=Layer)
Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]


class Stack:
    """A service with validated layers around it; created by `stack` or `standard`.

    Attributes:
        layers: the layers, outermost first.
        service: the same as a single function, which saves a call.
        snapshot: returns the object that every answer to a query without EDNS options is made from;
        None if answers depend on more than that.
        opcodes: kinds of messages besides QUERY that a layer or the service accepts.
        reload: reads the service's files again; None if it has none.
        lifespan: what the service needs while it is served; None if there is nothing.
    """

    __slots__ = ("layers", "lifespan", "opcodes", "reload", "service", "snapshot")

    def __init__(
        self,
        service: Service[Query, Reply],
        layers: tuple[Middleware, ...],
        snapshot: Callable[[], object] | None = None,
        reload: Callable[[], Reloaded] | None = None,
        *,
        opcodes: frozenset[int] = frozenset(),
        lifespan: Lifespan | None = None,
    ) -> None:
        self.lifespan = lifespan
        self.opcodes = opcodes
        self.reload = reload
        self.service = service
        self.layers = layers
        self.snapshot = snapshot

    def __call__(self, query: Query, context: Context) -> Awaitable[AnyReply[Reply]]:
        """Answer the query."""
        return self.service(query, context)

    def __repr__(self) -> str:
        shown = [layer.name if isinstance(layer, Layer) else repr(layer) for layer in self.layers]
        return f"<Stack {' > '.join(shown)}>"


def stack(service: ServiceFunction[Query, Reply], *layers: Middleware) -> Stack:
    """Return the service with these layers around it, outermost first.

    The mandatory layer is added if it is not listed, and is always the innermost. Layers for any
    protocol, such as `pierhead.middleware.timeout`, may be anywhere outside it.

    Raises:
        UsageError: a layer is outside one that it must be inside of, is listed twice, or is none.

    Example:
        >>> from pierhead.protocols import dns
        >>> bare = dns.stack(dns.refuse())
        >>> bare
        <Stack mandatory>
        >>> with_cookies = dns.stack(dns.refuse(), dns.cookies(), dns.rate_limit())
    """
    if isinstance(service, Stack):
        raise UsageError(f"{service!r} already has its layers; list all of them in one stack")
    if isinstance(service, Layer):
        raise UsageError(f"{service!r} is not a service; give the service first, then its layers")
    as_service(service)
    for layer in layers:
        if isinstance(layer, type) and issubclass(layer, Layer):
            name = layer.__qualname__
            raise UsageError(f"{name} is a class of layers; give an instance, {name}(…)")
    if not any(isinstance(layer, middleware.Mandatory) for layer in layers):
        layers = (*layers, middleware.mandatory())
    _check_order(layers)
    taken, served = _opcodes(service, layers)
    wrapped: Service[Query, Reply] = as_service(service)
    if taken - served:
        wrapped = _only(wrapped, served)
    run: list[Layer] = []
    for layer in reversed(layers):
        # Adjacent layers that consist only of hooks share one coroutine.
        if isinstance(layer, Layer) and type(layer).__call__ is Layer.__call__:
            run.insert(0, layer)
            continue
        wrapped = from_layer(layer, combine(wrapped, run) if run else wrapped)
        run = []
    return Stack(
        combine(wrapped, run) if run else answering(wrapped),
        layers,
        _snapshot(service, layers),
        getattr(service, "reload", None),
        opcodes=taken,
        lifespan=getattr(service, "lifespan", None),
    )


def _opcodes(
    service: ServiceFunction[Query, Reply], layers: Sequence[Middleware]
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the opcodes besides QUERY that any of these accepts, and those of the service.

    Raises:
        UsageError: one is not an opcode, or what is declared is not a collection of them.
    """
    served = {*check_opcodes(service, getattr(service, "opcodes", ()))}
    taken = set()
    for layer in layers:
        if isinstance(layer, middleware.Mandatory):
            served |= {*layer.opcodes}
        elif isinstance(layer, Layer):
            taken |= {*check_opcodes(layer, layer.opcodes)}
    query = {iana.OPCODE_QUERY}
    return frozenset((taken | served) - query), frozenset(served - query)


def _only(service: Service[Query, Reply], opcodes: frozenset[int]) -> Service[Query, Reply]:
    """Restrict the service to these opcodes and QUERY, although a layer has let in others."""

    async def answer(query: Query, context: Context) -> AnyReply[Reply]:
        opcode = query.opcode
        if opcode and opcode not in opcodes:
            return Reply(query, iana.NOTIMP)
        return await service(query, context)

    return answer


def _snapshot(
    service: ServiceFunction[Query, Reply], layers: Sequence[Middleware]
) -> Callable[[], object] | None:
    """Return the snapshot function of a service, if no layer prevents its use."""
    for layer in layers:
        # Rate limiting counts ready answers by itself (`RateLimit.admits`).
        is_constant = isinstance(layer, Layer) and layer.is_constant
        if not is_constant and not isinstance(layer, middleware.RateLimit):
            return None
    return getattr(service, "snapshot", None)


def standard(
    service: ServiceFunction[Query, Reply],
    *,
    cookies: middleware.Cookies | bool = True,
    rate_limit: middleware.RateLimit | bool = True,
    nsid: str | bytes | None = None,
    chaos: Chaos | None = None,
    keepalive: bool = True,
    padding: bool = True,
    extended_errors: bool = True,
    minimal_responses: bool = False,
    query_log: middleware.QueryLog | bool = False,
    transfers: Transfers | None = None,
    tsig: middleware.Tsig | None = None,
) -> Stack:
    """Return the service with the standard layers around it, in the right order.

    This is what `serve` does with a service that is not a stack yet.

    Args:
        service: takes a `Query`, returns a `Reply`.
        cookies: DNS cookies, with a random secret; or a layer created by `dns.cookies`.
        rate_limit: 200 similar answers per second to one network, excluding this machine; or a
        layer created by `dns.rate_limit`.
        nsid: this server's identifier, sent on request.
        chaos: answers class CH; None refuses it.
        keepalive: send the idle timeout of connections on request.
        padding: pad answers to padded queries on encrypted transports.
        extended_errors: add reasons to refusals and failures.
        minimal_responses: omit what was not asked for.
        query_log: log each query; or a layer created by `dns.query_log`.
        transfers: transfers zones to secondaries, created by `dns.transfers`; None refuses them.
        tsig: verifies signed questions, created by `dns.tsig`; None treats them as unsigned.

    Example:
        >>> from pierhead.protocols import dns
        >>> site = dns.static({"www.example.": dns.A("192.0.2.1")})
        >>> endpoint = dns.serve(dns.standard(site, nsid="north-2", rate_limit=False))
    """
    if chaos is not None and not isinstance(chaos, Chaos):
        raise UsageError(f"chaos is {type(chaos).__name__}, expected dns.chaos(…) or None")
    _check_kind("transfers", transfers, Transfers)
    _check_kind("tsig", tsig, middleware.Tsig)
    chosen = (
        _choose("query_log", query_log, middleware.query_log),
        tsig,
        _choose("extended_errors", extended_errors, middleware.extended_errors),
        _choose("cookies", cookies, middleware.cookies),
        middleware.nsid(nsid) if nsid is not None else None,
        _choose("keepalive", keepalive, middleware.keepalive),
        _choose("padding", padding, middleware.padding),
        middleware.edns(),
        middleware.expire(),
        _choose("rate_limit", rate_limit, middleware.rate_limit),
        _choose("minimal_responses", minimal_responses, middleware.minimal_responses),
        middleware.identity(chaos) if chaos is not None else None,
        transfers,
        middleware.mandatory(),
    )
    return stack(service, *[layer for layer in chosen if layer is not None])


def _check_kind(keyword: str, given: object, kind: type[Layer]) -> None:
    """Refuse what is neither None nor a layer of this kind, unseen: it may be a secret."""
    if given is not None and not isinstance(given, kind):
        raise UsageError(f"{keyword} is {type(given).__name__}, expected dns.{keyword}(…) or None")


def _choose(keyword: str, given: Layer | bool, make: Callable[[], T]) -> Layer | None:
    """Return the layer that a keyword asks for.

    Raises:
        UsageError: it is neither a layer of this kind nor a choice. The value is not shown: it may
            be a secret.
    """
    if given is False:
        return None
    made = make()
    if given is True:
        return made
    if isinstance(given, type(made)):
        return given
    raise UsageError(
        f"{keyword} is {type(given).__name__}, expected True, False or dns.{keyword}(…)"
    )


def _check_order(layers: Sequence[Middleware]) -> None:
    """Reject layers in an order in which they cannot work.

    Raises:
        UsageError: says which, and why.
    """
    named = [layer for layer in layers if isinstance(layer, Layer)]
    for index, layer in enumerate(named):
        for further_in in named[index + 1 :]:
            if layer.name == further_in.name:
                raise UsageError(f"the layer {layer.name} is listed twice; list it once")
            why = layer.inside.get(further_in.name)
            if why is not None:
                right = f"{further_in.name}, then {layer.name}"
                raise UsageError(
                    f"the layer {layer.name} must be inside {further_in.name}: {why}; "
                    f"list {right} (the first is outermost)"
                )
    for outer in layers[:-1]:
        if isinstance(outer, middleware.Mandatory):
            raise UsageError(
                f"the layer {outer.name} must be the innermost: its refusals pass through every "
                "other layer; list it last, or omit it"
            )
