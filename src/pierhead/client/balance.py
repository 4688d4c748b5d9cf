"""One service over several clients: a policy chooses, failures are noted, others take over.

async with Balance([connect(one, lines), connect(other, lines)], "least-busy") as service:
    print(await service.request("hello"))

run(serve(Balance(clients, "fastest"), wire_format), "tcp:127.0.0.1:7000")

request ─▶ policy ─▶ a healthy upstream ──────▶ reply
              ▲                │ nothing was sent, or the request is idempotent
              └── another ◀────┘
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, Unpack, runtime_checkable

from pierhead.client.balance_options import BalanceLimits, BalanceOptions
from pierhead.client.health_checks import InUse
from pierhead.client.policies import Hedged, Policy, Rendezvous, policy_of
from pierhead.client.upstream import Upstream
from pierhead.client.upstreams import Upstreams
from pierhead.errors import (
    ConnectError,
    DecodeError,
    Overloaded,
    PeerUnavailable,
    RequestTimedOut,
    TimedOut,
    UsageError,
)
from pierhead.metrics import Metrics
from pierhead.middleware.replies import Replies
from pierhead.middleware.retry import RetryBudget
from pierhead.service import Reply, Service, ServiceFunction, as_service, is_many
from pierhead.service.context import Context, Peer, Transport, Via

__all__ = ["Balance"]

Q = TypeVar("Q")
R = TypeVar("R")

_VIA = Via(transport=Transport.STREAM, scheme="balance", local="", listener="balance")
_NOBODY = Peer("here")


@runtime_checkable
class _Named(Protocol):
    name: str


class Balance(Generic[Q, R]):
    """A service that gives each request to one of several; an async context manager.

    Entering it starts the checks; leaving it closes the clients. `pierhead.serve` enters it while
    it is served.

    Args:
        clients: what `connect` returns, or any services; each is closed at the end if it can be.
        policy: ``round-robin``, ``least-busy``, ``fastest``, ``rendezvous``, ``hedged``, or one of
            `pierhead.client.policies`, or your own.
        idempotent: whether a request may take effect twice: for all, or a function that is asked
            for each. A request that failed is given to another upstream if nothing was sent, or
            if it is idempotent. With ``hedged`` all have to be.
        check: called with a client now and then; raises if it is not healthy. ``"connect"`` opens a
            connection. None to learn from requests alone.
        checks_well_ones: whether healthy clients are checked too, or only ejected ones.
        metrics: the registry to count in; None for one of its own.
        limits: see `BalanceLimits`.

    Attributes:
        metrics: its counters: ``upstream_…{upstream=…}``.

    Raises:
        UsageError: there is no client, no such policy, or a limit is out of its range.
    """

    def __init__(
        self,
        clients: Sequence[ServiceFunction[Q, R]],
        policy: str | Policy = "round-robin",
        *,
        idempotent: bool | Callable[[Q], bool] = False,
        check: Callable[[Any], Awaitable[object]] | Literal["connect"] | None = None,
        checks_well_ones: bool = True,
        metrics: Metrics | None = None,
        **limits: Unpack[BalanceLimits],
    ) -> None:
        self.metrics = metrics or Metrics()
        options = BalanceOptions.of(limits)
        chooses = policy_of(policy)
        named = [(_name(one, number), as_service(one)) for number, one in enumerate(clients, 1)]
        self._given = tuple(clients)
        self._upstreams = Upstreams(named, chooses, options, self.metrics)
        self._idempotent = idempotent
        self._hedge_after_s = chooses.after if isinstance(chooses, Hedged) else None
        self._hedges = RetryBudget()
        self._key = _key_of(chooses)
        checks = _connects if check == "connect" else check
        self._use = InUse(self._upstreams, checks, well_ones=checks_well_ones)

    def __repr__(self) -> str:
        return f"<Balance over {', '.join(self.upstreams)}>"

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The names of the upstreams: their addresses."""
        return tuple(upstream.name for upstream in self._upstreams.all)

    async def drain(self, upstream: str) -> None:
        """Give an upstream no more requests; return when those that it has are answered."""
        await self._upstreams.drain(upstream)

    def restore(self, upstream: str) -> None:
        """Give a drained upstream requests again."""
        self._upstreams.restore(upstream)

    def lifespan(self) -> Self:
        """Return what `pierhead.serve` enters while this service is served: itself."""
        return self

    async def __aenter__(self) -> Self:
        """Start the checks. Connections are opened when requests need them."""
        self._use.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the checks and close the clients."""
        if await self._use.end():
            closing = [getattr(one, "close", None) for one in self._given]
            await asyncio.gather(*(close() for close in closing if close is not None))

    # -- requests ------------------------------------------------------------------------------

    async def request(
        self,
        message: Q,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # as `Client.request` has it
    ) -> R:
        """Send a request and return its reply.

        Args:
            timeout: in seconds, for all of it; None for those of the clients.

        Raises:
            PeerUnavailable: the last upstream that was tried did not answer, or none is left.
            UsageError: there are many replies; call the balance as a service.
        """
        context = Context(_NOBODY, asyncio.get_running_loop().time(), _VIA)
        try:
            async with asyncio.timeout(timeout) as scope:
                reply = await self(message, context)
        except TimeoutError as error:
            if scope.expired():
                raise RequestTimedOut(", ".join(self.upstreams), "no reply in time") from error
            raise
        if isinstance(reply, _Begun):
            await reply.aclose()
            raise UsageError(
                "this request has many replies; iterate over them: await balance(request, context)"
            )
        return reply  # type: ignore[return-value]  # one reply

    async def __call__(self, request: Q, context: Context) -> Reply[R]:
        """Answer a request as a service: with the reply of an upstream."""
        tried: list[Upstream[Service[Q, R]]] = []
        if self._hedge_after_s is None:
            return await self._answer(request, context, tried)
        self._hedges.pay()
        return await self._hedged(request, context, tried, self._hedge_after_s)

    async def _answer(
        self, request: Q, context: Context, tried: list[Upstream[Service[Q, R]]]
    ) -> Reply[R]:
        key = self._key(request, context)
        while True:
            now = asyncio.get_running_loop().time()
            upstream = self._upstreams.choose(key, now, tried)
            tried.append(upstream)
            try:
                return await self._ask(upstream, request, context)
            except (PeerUnavailable, TimedOut, DecodeError, Overloaded) as error:
                if not self._may_go_on(error, request, tried):
                    raise

    def _may_go_on(
        self, error: Exception, request: Q, tried: list[Upstream[Service[Q, R]]]
    ) -> bool:
        """Tell whether a request that failed may be given to another upstream."""
        if len(tried) >= self._upstreams.options.max_upstreams_per_request:
            return False
        if all(one in tried or one.is_draining for one in self._upstreams.all):
            return False
        if isinstance(error, Overloaded):  # shed here, or there before the service saw it
            return True
        if isinstance(error, PeerUnavailable) and error.is_retry_safe:
            return True
        given = self._idempotent
        return given(request) if callable(given) else given

    async def _ask(
        self, upstream: Upstream[Service[Q, R]], request: Q, context: Context
    ) -> Reply[R]:
        time = asyncio.get_running_loop().time
        began = time()
        self._upstreams.begun(upstream)
        try:
            reply: Any = await upstream.target(request, context)
            if is_many(reply):
                reply = await _begin(reply, lambda: self._upstreams.ended(upstream))
        except BaseException as error:
            self._upstreams.ended(upstream)
            self._note(upstream, error, time(), time() - began)
            raise
        self._upstreams.succeeded(upstream, time(), time() - began)
        if not isinstance(reply, _Begun):
            self._upstreams.ended(upstream)
        result: Reply[R] = reply
        return result

    def _note(
        self,
        upstream: Upstream[Service[Q, R]],
        error: BaseException,
        now: float,
        took_s: float,
    ) -> None:
        """Note why a request has no reply, as far as it is the upstream's fault."""
        if isinstance(error, asyncio.CancelledError):
            if took_s > 0:
                upstream.observe(now, took_s)
        elif isinstance(error, PeerUnavailable | TimedOut | DecodeError):
            certain = isinstance(error, ConnectError)
            reason = _REASONS.get(type(error).__name__, "ended")
            self._upstreams.failed(upstream, now, took_s, reason, is_certain=certain)

    # -- hedging -------------------------------------------------------------------------------

    async def _hedged(
        self,
        request: Q,
        context: Context,
        tried: list[Upstream[Service[Q, R]]],
        after_s: float,
    ) -> Reply[R]:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._answer(request, context, tried))]
        try:
            await asyncio.wait(tasks, timeout=after_s)
            if not tasks[0].done() and self._may_hedge(tried):
                tasks.append(loop.create_task(self._second(request, context, tried)))
            return await _first(tasks)
        finally:
            await _give_up(tasks)

    def _may_hedge(self, tried: list[Upstream[Service[Q, R]]]) -> bool:
        is_any_left = any(one not in tried and not one.is_draining for one in self._upstreams.all)
        return is_any_left and self._hedges.take()

    def _second(
        self, request: Q, context: Context, tried: list[Upstream[Service[Q, R]]]
    ) -> Coroutine[Any, Any, Reply[R]]:
        key, now = self._key(request, context), asyncio.get_running_loop().time()
        upstream = self._upstreams.choose(key, now, tried)
        tried.append(upstream)
        self._upstreams.hedged(upstream)
        return self._ask(upstream, request, context)


async def _first(tasks: list[asyncio.Task[Reply[R]]]) -> Reply[R]:
    """Return the first reply; if every task fails, raise what the first to be asked raised."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return task.result()
    return tasks[0].result()


async def _give_up(tasks: list[asyncio.Task[Reply[R]]]) -> None:
    """Cancel the losers, and close the replies of one that has begun nevertheless."""
    won = next((task for task in tasks if _has_reply(task)), None)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if task is not won and _has_reply(task):
            reply = task.result()
            if is_many(reply):
                await reply.aclose()  # type: ignore[attr-defined]  # `_Begun`, which has it
        elif not task.cancelled():
            task.exception()  # retrieved


def _has_reply(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


class _Begun(Replies[R]):
    """Many replies of which the first has arrived."""

    __slots__ = ("_first", "_release")

    def __init__(
        self, first: list[R], inner: AsyncIterator[R], release: Callable[[], None]
    ) -> None:
        super().__init__(inner)
        self._first = first
        self._release = release

    async def _step(self) -> R:
        if self._first:
            return self._first.pop()
        return await self._inner.__anext__()

    def _ended(self, error: BaseException | None) -> None:
        self._release()


async def _begin(replies: AsyncIterator[R], release: Callable[[], None]) -> _Begun[R]:
    """Wait for the first of many replies: until then another upstream can take over."""
    try:
        first = [await anext(replies)]
    except StopAsyncIteration:
        first = []
    except BaseException:
        close = getattr(replies, "aclose", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await close()
        raise
    return _Begun(first, replies, release)


_REASONS = {
    "ConnectError": "connect",
    "DecodeError": "undecodable",
    "FramingError": "framing",
    "RequestTimedOut": "timeout",
    "TimedOut": "timeout",
}


def _name(client: object, number: int) -> str:
    return client.name if isinstance(client, _Named) else f"upstream {number}"


async def _connects(client: Any) -> None:
    await client.check()


def _key_of(policy: Policy) -> Callable[[Any, Context], bytes]:
    """Return what makes the key of a request, for a policy that needs one."""
    inner = policy.policy if isinstance(policy, Hedged) else policy
    if not isinstance(inner, Rendezvous):
        return lambda request, context: b""
    given = inner.key
    if given is None:
        return lambda request, context: context.peer.host.encode("utf-8", "backslashreplace")
    return lambda request, context: _octets(given(request))


def _octets(key: str | bytes | int) -> bytes:
    value: object = key  # as a caller without a type checker may return
    if isinstance(value, bytes):
        return value
    if isinstance(value, str | int):
        return str(value).encode("utf-8", "surrogatepass")
    raise UsageError(f"a key is {value!r}, expected text, octets or a number")
