"""Several upstreams: which of them gets the next request, which are well, which are being drained.

It knows neither clients nor connections: whatever carries requests, connections or datagram peers
reports here that one begins or ends.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

from pierhead.client.balance_options import BalanceOptions
from pierhead.client.policies import Policy
from pierhead.client.upstream import Upstream
from pierhead.errors import PeerUnavailable, UsageError
from pierhead.metrics import Metrics

__all__ = ["Upstreams"]

T = TypeVar("T")


class Upstreams(Generic[T]):
    """The upstreams of one balance.

    Args:
        targets: each with its name; a name that occurs again gets a number.
        chance: draws a number from 0 up to, not including, 1.

    Raises:
        UsageError: there is none.
    """

    def __init__(
        self,
        targets: Sequence[tuple[str, T]],
        policy: Policy,
        options: BalanceOptions,
        metrics: Metrics,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not targets:
            raise UsageError("there is nothing to choose among; give one upstream or more")
        self.policy = policy
        self.options = options
        self._metrics = metrics
        self._chance = chance
        self._turn = 0
        self._drained: dict[Upstream[T], asyncio.Event] = {}
        self._unwatch: list[Callable[[], None]] = []
        names = _told_apart([name for name, _ in targets])
        self.all = [
            Upstream(name, target, options)
            for name, (_, target) in zip(names, targets, strict=True)
        ]
        for upstream in self.all:
            self._watch(upstream)

    def _watch(self, upstream: Upstream[T]) -> None:
        watch, name = self._metrics.watch, upstream.name
        self._unwatch += [
            watch("upstream_in_flight", lambda: upstream.in_flight, upstream=name),
            watch("upstream_share", lambda: upstream.share(_now()), upstream=name),
        ]

    def close(self) -> None:
        """Take the gauges out of the metrics."""
        while self._unwatch:
            self._unwatch.pop()()

    # -- choosing ------------------------------------------------------------------------------

    def choose(self, key: bytes, now: float, tried: Collection[Upstream[T]] = ()) -> Upstream[T]:
        """Return the upstream for a request; ejected ones only if there is no other.

        Args:
            key: of the request, for rendezvous hashing.
            tried: those where it has failed.

        Raises:
            PeerUnavailable: all others are being drained, or there are none.
        """
        others = [one for one in self.all if not one.is_draining and one not in tried]
        if not others:
            raise PeerUnavailable(
                ", ".join(one.name for one in self.all), "no upstream is left", is_retry_safe=True
            )
        chosen = self.policy.choose(self._preferred(others, key, now), key, now, self._chance)
        self._turn += 1
        chosen.turn = self._turn
        return chosen

    def _preferred(
        self, upstreams: list[Upstream[T]], key: bytes, now: float
    ) -> Sequence[Upstream[T]]:
        shares = [(one, one.share(now)) for one in upstreams]
        admits, chance = self.policy.admits, self._chance
        return (
            [
                one
                for one, share in shares
                if share >= 1 or (share and admits(one, share, key, chance))
            ]
            or [one for one, share in shares if share]
            or upstreams  # all are ejected: one may answer nevertheless
        )

    # -- what happens --------------------------------------------------------------------------

    def begun(self, upstream: Upstream[T]) -> None:
        """Note that a request begins."""
        upstream.in_flight += 1
        self._count("upstream_requests_total", upstream)

    def ended(self, upstream: Upstream[T]) -> None:
        """Note that a request has ended, however."""
        upstream.in_flight -= 1
        if not upstream.in_flight and self._drained:
            self._note_drained(upstream)

    def succeeded(self, upstream: Upstream[T], now: float, took_s: float) -> None:
        """Note an answer."""
        upstream.succeeded(now, took_s)
        self._count("upstream_answered_total", upstream)

    def failed(
        self, upstream: Upstream[T], now: float, took_s: float, reason: str, *, is_certain: bool
    ) -> None:
        """Note a failure of an upstream."""
        self._count("upstream_failed_total", upstream, reason=reason)
        if upstream.failed(now, took_s, is_certain=is_certain):
            self._count("upstream_ejections_total", upstream)

    def hedged(self, upstream: Upstream[T]) -> None:
        """Note that a request was sent to this upstream while another has it too."""
        self._count("upstream_hedges_total", upstream)

    def check_failed(self, upstream: Upstream[T], now: float) -> None:
        """Note that a check has failed."""
        self._count("upstream_checks_failed_total", upstream)
        if upstream.failed(now, 0.0):
            self._count("upstream_ejections_total", upstream)

    def _count(self, name: str, upstream: Upstream[T], **labels: str) -> None:
        self._metrics.counter(name, upstream=upstream.name, **labels).value += 1

    # -- draining ------------------------------------------------------------------------------

    def named(self, name: str) -> Upstream[T]:
        """Return the upstream with this name.

        Raises:
            UsageError: there is none.
        """
        for upstream in self.all:
            if upstream.name == name:
                return upstream
        known = ", ".join(one.name for one in self.all)
        raise UsageError(f"there is no upstream {name!r}; known are {known}")

    async def drain(self, name: str) -> None:
        """Give an upstream nothing more; return when what it has is answered."""
        upstream = self.named(name)
        upstream.is_draining = True
        if upstream.in_flight:
            await self._drained.setdefault(upstream, asyncio.Event()).wait()

    def restore(self, name: str) -> None:
        """Give a drained upstream requests again."""
        upstream = self.named(name)
        upstream.is_draining = False
        self._note_drained(upstream)

    def _note_drained(self, upstream: Upstream[T]) -> None:
        waited_for = self._drained.pop(upstream, None)
        if waited_for is not None:
            waited_for.set()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _told_apart(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
