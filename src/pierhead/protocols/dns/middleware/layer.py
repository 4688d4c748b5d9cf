"""What a DNS layer is, and how a stack of them becomes one coroutine.

A layer has two hooks, both synchronous: `before` sees the query on its way in and may answer it,
`after` sees the reply on its way out and may change or withhold it. A layer is a middleware: call
it with a service. But a coroutine for each layer would cost more than most layers do, so `combine`
runs the hooks of adjacent layers in one, and skips those that do not concern a query:

- a layer with an ``option`` is asked only about queries that carry this EDNS option;
- a query without options meets the others alone, which are few and quick.

Layers that require a certain order declare it, with the reason (`Layer.inside`).
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from pierhead.errors import ServiceError, ServiceFailed, UsageError
from pierhead.middleware.replies import Replies
from pierhead.protocols.dns.codec import WITHHELD
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.bad_query import BadQuery
from pierhead.protocols.dns.wire.edns import extended_error
from pierhead.protocols.dns.wire.message import OPCODE_MASK, Query, Reply
from pierhead.protocols.dns.wire.rcode_error import RcodeError
from pierhead.service import Reply as AnyReply
from pierhead.service import Service, ServiceFunction, as_service, is_many
from pierhead.service.context import Context

__all__ = ["Layer", "answering", "check_opcodes", "combine"]

#: What `Layer.before` returns: the context to continue with, or the reply.
Verdict: TypeAlias = Context | Reply

_Before: TypeAlias = Callable[[Query, Context], Verdict]
_After: TypeAlias = Callable[[Query, Context, Reply], Reply | None]
_Hooks: TypeAlias = tuple[_Before | None, _After | None]
#: The hooks that a reply still has to pass, innermost last, each with its layer's context.
_Passed: TypeAlias = list[tuple[_After, Context]]


class Layer:
    """A DNS middleware made of two hooks; override one or both.

    Attributes:
        name: its name in messages and in the order of layers; the class's by default.
        inside: the layers that must be outside this one, and why.
        option: the EDNS option it handles; None if it concerns every query.
        opcodes: kinds of messages besides QUERY that this layer handles, such as
            ``{dns.OPCODE_NOTIFY}``; declaring them lets them in. What no layer answers is answered
            NOTIMP, unless the service declares that it accepts them.
        is_for_every_opcode: whether it is called for all opcodes that others let in.
        is_constant: whether its effect on a query without EDNS options depends on the query alone:
            then the answer may be kept and sent again without calling the layer.
    """

    name: ClassVar[str] = "Layer"
    inside: ClassVar[Mapping[str, str]] = {}
    option: int | None = None
    opcodes: Collection[int] = ()
    is_for_every_opcode: ClassVar[bool] = False
    is_constant: bool = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def before(self, query: Query, context: Context) -> Verdict:
        """Return the context to continue with, often the same, or the reply."""
        return context

    def after(self, query: Query, context: Context, reply: Reply) -> Reply | None:
        """Return the reply to send, often the same; None to send none.

        ``context`` is what `before` returned.
        """
        return reply

    def __call__(self, service: ServiceFunction[Query, Reply]) -> Service[Query, Reply]:
        """Return the service with this layer around it."""
        return combine(service, (self,))

    def __repr__(self) -> str:
        return f"<layer {self.name}>"


def combine(
    service: ServiceFunction[Query, Reply], layers: Sequence[Layer]
) -> Service[Query, Reply]:
    """Return the service with these layers around it, outermost first.

    An `RcodeError` from the service or a layer becomes the corresponding reply. Any other exception
    from the service propagates as a failure, with a refusal that has passed the layers
    (`ServiceError.reply`).
    """
    inner = as_service(service)
    hooks = [(layer.option, _opcodes(layer), _hooks(layer)) for layer in layers]
    plain = [pair for option, _, pair in hooks if option is None]

    async def answer(query: Query, context: Context) -> AnyReply[Reply]:
        concerned = plain
        if query.options or query.flags & OPCODE_MASK:
            codes = [code for code, _ in query.options]
            kind = query.flags >> 11
            concerned = [
                pair
                for option, opcodes, pair in hooks
                if (option is None or option in codes) and kind in opcodes
            ]
        afters: _Passed = []
        try:
            for before, after in concerned:
                if before is not None:
                    verdict = before(query, context)
                    if verdict is not context:
                        if isinstance(verdict, Reply):
                            return _rest(verdict, afters, query)
                        context = _checked(verdict, before)
                if after is not None:
                    afters.append((after, context))
            reply: Any = await inner(query, context)
        except RcodeError as error:
            reply = error.to_reply(query)
        except BadQuery as error:
            reply = _to_reply(error, query)
        except Exception as error:
            failure = _failure(error)
            _prepare_refusal(failure, afters, query)
            if failure is error:
                raise
            raise failure.with_traceback(error.__traceback__) from error
        return _rest(reply, afters, query)

    return answer


def answering(service: Service[Query, Reply]) -> Service[Query, Reply]:
    """Return a service that replies when this one raises an `RcodeError`, as `combine` does."""

    async def answer(query: Query, context: Context) -> AnyReply[Reply]:
        try:
            return await service(query, context)
        except RcodeError as error:
            return error.to_reply(query)
        except BadQuery as error:
            return _to_reply(error, query)

    return answer


def check_opcodes(declaring: object, opcodes: object) -> frozenset[int]:
    """Return what a layer or a service declares as its opcodes.

    Raises:
        UsageError: it is not a collection of opcodes.
    """
    name = getattr(declaring, "__qualname__", repr(declaring))
    expected = "expected a collection of numbers from 0 to 15, such as {dns.OPCODE_NOTIFY}"
    if isinstance(opcodes, str | bytes) or not isinstance(opcodes, Iterable):
        raise UsageError(f"opcodes of {name} is {opcodes!r}, {expected}")
    taken = tuple(opcodes)
    for opcode in taken:
        if not (isinstance(opcode, int) and 0 <= opcode <= 15):
            raise UsageError(f"opcodes of {name} has {opcode!r}, {expected} (RFC 1035 §4.1.1)")
    return frozenset(taken)


def _opcodes(layer: Layer) -> frozenset[int]:
    """Return the opcodes that a layer is called for."""
    if layer.is_for_every_opcode:
        return frozenset(range(16))
    return frozenset((iana.OPCODE_QUERY, *check_opcodes(layer, layer.opcodes)))


def _to_reply(error: BadQuery, query: Query) -> Reply:
    """Return the refusal of a query that a layer or the service could not fully parse."""
    return Reply(query, error.rcode, options=(extended_error(iana.EDE_OTHER, error.reason),))


def _hooks(layer: Layer) -> _Hooks:
    """Return the hooks that a layer overrides."""
    kind = type(layer)
    option: object = layer.option
    if not (option is None or (isinstance(option, int) and 0 <= option <= 0xFFFF)):
        raise UsageError(
            f"option of {layer!r} is {option!r}, expected its number (RFC 6891 §6.1.2)"
        )
    for hook in (layer.before, layer.after):
        if inspect.iscoroutinefunction(hook):
            raise UsageError(
                f"{hook.__qualname__} is async, expected a plain function; what waits belongs into "
                "the service, or into middleware around it"
            )
    return (
        layer.before if kind.before is not Layer.before else None,
        layer.after if kind.after is not Layer.after else None,
    )


def _checked(verdict: object, before: Callable[..., object]) -> Context:
    """Refuse what is neither a context nor a reply: it must not let a query pass."""
    if isinstance(verdict, Context):
        return verdict
    raise ServiceFailed(
        f"{before.__qualname__} returned {type(verdict).__name__}, expected the context, or a "
        "reply such as query.reply(rcode=dns.REFUSED)"
    )


def _failure(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return ServiceFailed(f"{type(error).__name__}: {error}")


def _prepare_refusal(failure: ServiceError, afters: _Passed, query: Query) -> None:
    """Attach to a failure a refusal that has passed the outer layers.

    RFC 7873 §5.3: a client that expects a cookie discards an answer without one, even SERVFAIL.
    """
    reply = failure.reply if isinstance(failure.reply, Reply) else Reply(query, iana.SERVFAIL)
    sent = _rest(reply, afters, query)
    failure.reply = WITHHELD if sent is None else sent


def _rest(reply: Any, afters: _Passed, query: Query) -> AnyReply[Reply]:
    """Pass a reply, silence or many replies outward; the innermost hook is the last."""
    if reply is None:
        return None
    if type(reply) is not Reply:
        if is_many(reply):
            return _ManyReplies(reply, afters, query)
        if not isinstance(reply, Reply):
            found = type(reply).__name__
            raise ServiceFailed(
                f"the service answered {query!r} with {found}, expected query.reply(…)"
            )
    outward = reversed(afters)
    while True:
        try:
            for after, context in outward:
                reply = after(query, context, reply)
                if reply is None:
                    return None
        except RcodeError as error:
            reply = error.to_reply(query)  # for the remaining layers
        except BadQuery as error:
            reply = _to_reply(error, query)
        else:
            return reply  # type: ignore[no-any-return]


class _ManyReplies(Replies[Reply]):
    """Passes each of many replies outward."""

    __slots__ = ("_afters", "_is_over", "_query")

    def __init__(self, inner: AsyncIterator[Reply], afters: _Passed, query: Query) -> None:
        super().__init__(inner)
        self._afters = afters
        self._query = query
        self._is_over = False

    async def _step(self) -> Reply:
        while True:
            if self._is_over:
                raise StopAsyncIteration
            try:
                reply: Any = await self._inner.__anext__()
            except RcodeError as error:
                self._is_over = True
                reply = error.to_reply(self._query)
            changed: Any = _rest(reply, self._afters, self._query)
            if changed is not None:
                return changed  # type: ignore[no-any-return]
