"""Routes each query to the service that its name belongs to.

    site = Router()
    site.mount("example.", zones("zones/example.zone"))

    @site.answer("*.dyn.example.", "A")
    async def address(query, context): ...

The longest suffix wins: from the queried name up to the root, the first that has a function or a
service. At the same suffix a function takes precedence over a service. The walk is one lookup per
label, however many services are mounted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import OPCODE_MASK, Query, Reply
from pierhead.protocols.dns.wire.name import ROOT, from_text, key, to_text
from pierhead.protocols.dns.wire.rcode_error import RcodeError
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section
from pierhead.reload import Reloaded
from pierhead.service import Service, ServiceFunction, as_service
from pierhead.service.context import Context

__all__ = ["Router"]

#: What a DNS service returns: one reply, no reply, or many replies.
Answer: TypeAlias = Reply | AsyncIterator[Reply] | None
F = TypeVar("F", bound=Callable[..., Any])


class _Functions:
    """The functions of one pattern, by type; ``every`` answers types without their own.

    Args:
        wildcard: the pattern's owner in wire form if it is a wildcard; otherwise empty.
    """

    __slots__ = ("by_type", "every", "wildcard")

    def __init__(self, wildcard: Name) -> None:
        self.wildcard = wildcard
        self.by_type: dict[int, Service[Query, Reply]] = {}
        self.every: Service[Query, Reply] | None = None

    def find(self, qtype: int) -> Service[Query, Reply] | None:
        """Return the function for a type; for ANY, the first there is (RFC 8482 §4.1)."""
        if qtype == iana.ANY and self.by_type:
            return next(iter(self.by_type.values()))
        return self.by_type.get(qtype, self.every)


class Router:
    """A service composed of services, each for the names below a suffix or for a pattern.

    A name without a service is REFUSED. A name with functions only for types other than the queried
    one gets NOERROR without records, never the service mounted above it. Negative replies of
    functions get the SOA record of the nearest service mounted above, if it has one, so that they
    can be cached (RFC 2308 §2).
    """

    def __init__(self) -> None:
        self._mounts: dict[Name, Service[Query, Reply]] = {}
        self._exact: dict[Name, _Functions] = {}
        self._below: dict[Name, _Functions] = {}

    def mount(self, suffix: str, service: ServiceFunction[Query, Reply]) -> None:
        """Answer for a suffix and all names below it with this service.

        Raises:
            UsageError: the suffix is not a name, or is taken.
        """
        where = _key(suffix)
        if where in self._mounts:
            raise UsageError(f"{to_text(where)} already has a service; mount each suffix once")
        self._mounts[where] = as_service(service)

    def reload(self) -> Reloaded:
        """Reload every mounted service that reads files: all of them, or none.

        Raises:
            PierheadError: what the first failing service raises.
        """
        # One service may be mounted at several suffixes.
        readers = {id(s): s.reload for s in self._mounts.values() if hasattr(s, "reload")}
        read: list[Reloaded] = [reload() for reload in readers.values()]

        def put_in_force() -> None:
            for one in read:
                one.commit()

        changes = tuple(line for one in read for line in one.changes)
        return Reloaded(commit=put_in_force, changes=changes)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Enter what the mounted services need while they are served; `dns.serve` does it."""
        async with AsyncExitStack() as entered:
            for service in {id(one): one for one in self._mounts.values()}.values():
                lifespan = getattr(service, "lifespan", None)
                if lifespan is not None:
                    await entered.enter_async_context(lifespan())
            yield

    def answer(self, pattern: str, *types: str) -> Callable[[F], F]:
        """Answer a name, or ``*.`` and every name below a suffix, with the decorated function.

        Args:
            pattern: ``www.example.`` or ``*.dyn.example.``; as in a zone, the asterisk stands for
                one or more labels (RFC 4592 §2.1.1).
            types: which types it answers; none for all.

        Raises:
            UsageError: the pattern or a type is invalid, or taken.
        """
        if callable(pattern):
            raise UsageError("@answer needs a name: write @site.answer('www.example.', 'A')")
        numbers = [iana.type_number(text) for text in types]
        wildcard = pattern == "*" or pattern.startswith("*.")
        where = _key(pattern[2:] or "." if wildcard else pattern)
        functions = (
            self._below.setdefault(where, _Functions(b"\x01*" + where))
            if wildcard
            else self._exact.setdefault(where, _Functions(b""))
        )

        def register(function: F) -> F:
            service = as_service(function)
            taken = [iana.type_text(n) for n in numbers if n in functions.by_type]
            if taken or (not numbers and functions.every is not None):
                what = " and ".join(taken) or "all types"
                raise UsageError(f"{pattern} already has a function for {what}")
            for number in numbers:
                functions.by_type[number] = service
            if not numbers:
                functions.every = service
            return function

        return register

    @property
    def opcodes(self) -> frozenset[int]:
        """The opcodes besides QUERY that a mounted service accepts; functions accept none."""
        mounted = self._mounts.values()
        return frozenset(opcode for s in mounted for opcode in getattr(s, "opcodes", ()))

    async def __call__(self, query: Query, context: Context) -> Answer:
        """Answer the query with the service or function its name belongs to."""
        if query.flags & OPCODE_MASK:
            return await self._pass_on(query, context)
        functions, service, mounted_at = self._find(key(query.qname))
        trace = context.get(Trace)
        if trace is not None:
            _note_choice(trace, query, functions, service and mounted_at)
        if functions is None:
            if service is None:
                return Reply(query, iana.REFUSED)
            return await service(query, context)
        function = functions.find(query.qtype)
        if function is None:
            answer: Answer = Reply(query, authoritative=True)
        else:
            try:
                answer = await function(query, context)
            except RcodeError as error:
                answer = error.to_reply(query)
        if functions.wildcard and isinstance(answer, Reply) and not answer.made_by:
            answer = answer.made_from(functions.wildcard)
        if service is None or not isinstance(answer, Reply) or not _is_negative(answer):
            return answer
        if trace is not None:
            trace.note(
                "router", f"{to_text(mounted_at)} is asked for its SOA record", "RFC 2308 §2"
            )
        soa = await _find_soa(service, mounted_at, query, context)
        return Reply(
            query,
            answer.rcode,
            True,
            authority=soa,
            options=answer.options,
            made_by=answer.made_by,
            flags=answer.flags,
        )

    async def _pass_on(self, query: Query, context: Context) -> Answer:
        """Pass a message of another opcode to the service mounted above, if it accepts that."""
        _, service, _ = self._find(key(query.qname))
        if service is None:
            return Reply(query, iana.REFUSED)
        if query.opcode not in getattr(service, "opcodes", ()):
            return Reply(query, iana.NOTIMP)
        return await service(query, context)

    def _find(self, name: Name) -> tuple[_Functions | None, Service[Query, Reply] | None, Name]:
        """Return the functions for a name, if any come first, and the nearest mounted service."""
        functions = self._exact.get(name)
        position = 0
        suffix = name
        while True:
            service = self._mounts.get(suffix)
            if service is not None or suffix == ROOT:
                return functions, service, suffix
            position += name[position] + 1
            suffix = name[position:]
            if functions is None:
                functions = self._below.get(suffix)


def _note_choice(
    trace: Trace, query: Query, functions: _Functions | None, mounted_at: Name | None
) -> None:
    """Record which answers: a function, the service mounted at a suffix, or none."""
    if functions is None and mounted_at is None:
        trace.note("router", f"no service for {query.name}: REFUSED", "RFC 1035 §4.1.1")
    elif functions is None and mounted_at is not None:
        trace.note("router", f"the service mounted at {to_text(mounted_at)} answers")
    elif functions is not None and (function := functions.find(query.qtype)) is None:
        text = f"{query.name} has functions, none of them for {query.rtype}: no data"
        trace.note("router", text, "RFC 2308 §2.2")
    else:
        trace.note("router", f"the function {getattr(function, '__qualname__', function)} answers")


def _key(text: str) -> Name:
    try:
        return key(from_text(text, ROOT))
    except DecodeError as error:
        raise UsageError(f"{text!r} is not a domain name: {error}") from None


def _is_negative(reply: Reply) -> bool:
    empty = not (reply.answer or reply.authority)
    return empty and reply.authoritative and reply.rcode in (iana.NOERROR, iana.NXDOMAIN)


async def _find_soa(
    service: Service[Query, Reply], origin: Name, query: Query, context: Context
) -> Section:
    """Return the SOA set of the zone at a suffix, for negative caching; () if there is none."""
    reply = await service(query.asking(origin, iana.SOA), context)
    if not isinstance(reply, Reply):
        return ()
    for shown, rrset in reply.answer:
        if rrset.rtype == iana.SOA:
            # RFC 2308 §5: the TTL is the lesser of the record's own and the MINIMUM field.
            minimum = int.from_bytes(rrset.rdatas[0][-4:], "big")
            ttl = min(rrset.ttl, minimum)
            return ((shown, RRset(rrset.owner, iana.SOA, ttl, rrset.rdatas, rrset.rclass)),)
    return ()
