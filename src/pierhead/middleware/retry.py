"""A request that failed is sent again, where that is safe, and only so often.

    service = stack(client, timeout(2), retry(3), limit(100))

Only a failure before anything was sent is safe to retry: an error says so
(`PeerUnavailable.is_retry_safe`). Any other failure of a peer may come after the request took
effect, so the caller says which requests are idempotent. A budget keeps retries from multiplying
the load on a server that is in trouble.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from pierhead.errors import PeerUnavailable, TimedOut
from pierhead.limits import Limit
from pierhead.metrics import Metrics
from pierhead.middleware.replies import Replies
from pierhead.service import Middleware, Reply, Service, as_service, is_many
from pierhead.service.context import Context

__all__ = ["LIMITS", "RetryBudget", "retry"]

R = TypeVar("R")

ATTEMPTS = Limit(
    name="attempts",
    default=3,
    minimum=1,
    maximum=20,
    unit="attempts",
    meaning="How many times a request is sent, the first time included.",
    source="three attempts pass over two failures in a row; more rarely help",
    metric="retries_refused_total{reason=attempts}",
    effect="at construction",
)

PAUSE = Limit(
    name="pause",
    default=0.05,
    minimum=0.0,
    maximum=60.0,
    unit="s",
    meaning="The mean pause before the first retry; each further one is twice as long.",
    source="a restarted server listens again within this time",
    metric="none: it is part of the time a request takes",
    effect="at construction",
)

MAX_PAUSE = Limit(
    name="max_pause",
    default=5.0,
    minimum=0.0,
    maximum=3600.0,
    unit="s",
    meaning="The longest mean pause before a retry.",
    source="half the request_timeout of a client",
    metric="none: it is part of the time a request takes",
    effect="at construction",
)

BUDGET = Limit(
    name="budget",
    default=0.1,
    minimum=0.0,
    maximum=10.0,
    unit="retries per request",
    meaning="How many retries each request pays for, on average.",
    source="a server that fails every request gets a tenth more of them, not three times as many",
    metric="retries_refused_total{reason=budget}",
    effect="at construction",
)

BURST = Limit(
    name="burst",
    default=10,
    minimum=1,
    maximum=1_000_000,
    unit="retries",
    meaning="How many retries may be saved up; as many are there at the start.",
    source="with a budget of a tenth, what 100 requests have paid",
    metric="retries_refused_total{reason=budget}",
    effect="at construction",
)

LIMITS = (ATTEMPTS, PAUSE, MAX_PAUSE, BUDGET, BURST)


class RetryBudget:
    """How many retries are left: requests pay in, each retry takes one.

    After n requests at most ``burst + share * n`` retries have been granted.
    """

    __slots__ = ("_burst", "_share", "_tokens")

    def __init__(self, share: float = BUDGET.default, burst: int = int(BURST.default)) -> None:
        self._share = BUDGET.check(share)
        self._burst = BURST.check(burst)
        self._tokens = self._burst

    def pay(self) -> None:
        """Count a request."""
        self._tokens = min(self._burst, self._tokens + self._share)

    def take(self) -> bool:
        """Take a retry, if one is left."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def retry(
    attempts: int = int(ATTEMPTS.default),
    *,
    idempotent: bool | Callable[[Any], bool] = False,
    pause: float = PAUSE.default,
    max_pause: float = MAX_PAUSE.default,
    budget: float = BUDGET.default,
    burst: int = int(BURST.default),
    metrics: Metrics | None = None,
) -> Middleware:
    """Return a layer that sends a failed request again, up to this many attempts.

    An error whose ``is_retry_safe`` is true is always retried. Other failures of the peer, and
    deadlines that passed within this layer, are retried only for idempotent requests. Each service
    that the layer wraps has its own budget. Of many replies, only a failure before the first is
    retried: the consumer has seen the others.

    Args:
        attempts: how many times a request is sent, the first time included.
        idempotent: whether a request may take effect twice: for all, or a function that is asked
            for each.
        pause: the mean pause before the first retry, in seconds; it doubles each time, up to
            ``max_pause``, and is spread evenly from nothing to twice the mean.
        budget: how many retries each request pays for.
        burst: how many retries may be saved up.
        metrics: where to count ``retries_total`` and ``retries_refused_total``; None to count
            nothing.
    """
    plan = _Plan(int(ATTEMPTS.check(attempts)), idempotent, pause, max_pause, metrics or Metrics())
    RetryBudget(budget, burst)

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service, left = as_service(function), RetryBudget(budget, burst)

        async def retried(request: Any, context: Context) -> Reply[Any]:
            left.pay()
            failed = 0
            while True:
                try:
                    reply = await service(request, context)
                except (PeerUnavailable, TimedOut) as error:
                    failed += 1
                    if not plan.allows(error, request, failed, left):
                        raise
                    await asyncio.sleep(plan.pause_s(failed))
                    continue
                if is_many(reply):
                    return _RetriedReplies(reply, plan, left, failed, (service, request, context))
                return reply

        return retried

    return layer


class _Plan:
    """What is retried, and how long after the failure."""

    def __init__(
        self,
        attempts: int,
        idempotent: bool | Callable[[Any], bool],
        pause: float,
        max_pause: float,
        metrics: Metrics,
    ) -> None:
        self._attempts = attempts
        self._idempotent = idempotent
        self._pause_s = PAUSE.check(pause)
        self._max_pause_s = MAX_PAUSE.check(max_pause)
        self._retries = metrics.counter("retries_total")
        self._refused_attempts = metrics.counter("retries_refused_total", reason="attempts")
        self._refused_budget = metrics.counter("retries_refused_total", reason="budget")

    def allows(self, error: Exception, request: Any, failed: int, left: RetryBudget) -> bool:
        """Tell whether a request that failed this many times is sent again; count it."""
        if not self._is_safe(error, request):
            return False
        if failed >= self._attempts:
            self._refused_attempts.value += self._attempts > 1
            return False
        if not left.take():
            self._refused_budget.value += 1
            return False
        self._retries.value += 1
        return True

    def _is_safe(self, error: Exception, request: Any) -> bool:
        if isinstance(error, PeerUnavailable) and error.is_retry_safe:
            return True
        given = self._idempotent
        return given(request) if callable(given) else given

    def pause_s(self, failed: int) -> float:
        """Return how long to wait: clients that failed together must not come back together."""
        mean = min(self._max_pause_s, self._pause_s * 2.0 ** (failed - 1))
        return random.uniform(0, 2 * mean)


class _RetriedReplies(Replies[R]):
    """Many replies; a failure before the first begins them again."""

    __slots__ = ("_call", "_failed", "_has_begun", "_left", "_plan")

    def __init__(
        self,
        inner: AsyncIterator[R],
        plan: _Plan,
        left: RetryBudget,
        failed: int,
        call: tuple[Service[Any, R], Any, Context],
    ) -> None:
        super().__init__(inner)
        self._plan = plan
        self._left = left
        self._failed = failed
        self._call = call
        self._has_begun = False

    async def _step(self) -> R:
        while True:
            try:
                reply = await self._inner.__anext__()
            except (PeerUnavailable, TimedOut) as error:
                self._failed += 1
                _, request, _ = self._call
                if self._has_begun or not self._plan.allows(
                    error, request, self._failed, self._left
                ):
                    raise
                await self._begin_again()
            else:
                self._has_begun = True
                return reply

    async def _begin_again(self) -> None:
        await asyncio.sleep(self._plan.pause_s(self._failed))
        service, request, context = self._call
        begun = await service(request, context)
        if not is_many(begun):
            raise TypeError(f"{service!r} returned many replies, then {type(begun).__name__}")
        self._inner = begun
