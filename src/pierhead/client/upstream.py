"""What is known about one upstream: its load, how fast it answers, and whether it is healthy.

    well ─ too many failures ─▶ ejected ─ its time has passed, or a check succeeded ─▶ returning
     ▲                             ▲                                                      │
     │                             └── a failure, for twice as long ──────────────────────┤
     └──────────────── `slow_return` has passed: a growing share of requests until then ──┘

It reads no clock and never waits: the owner reports what happens and when.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

from pierhead.client.balance_options import BalanceOptions

__all__ = ["Upstream"]

T = TypeVar("T")

#: An observation of the time to answer loses weight with this time constant, as in Finagle's peak
#: EWMA: a slow upstream is asked again after some seconds.
_MEMORY_S = 10.0
#: What a failure counts for: a refusal is quick, but nothing to prefer.
_FAILURE_S = 1.0
#: A returning upstream gets at least this share, or it would never be asked.
_SMALLEST_SHARE = 0.05


class Upstream(Generic[T]):
    """One upstream.

    Args:
        name: for metrics, messages and rendezvous hashing.
        target: what is asked.

    Attributes:
        in_flight: how many requests it has now.
        turn: when it was last chosen, as a number that grows with each choice.
        is_draining: whether it is given nothing more.
        is_checked: whether a successful check, not time alone, ends an ejection.
        ejections: how many in a row.
    """

    def __init__(self, name: str, target: T, options: BalanceOptions) -> None:
        self.name = name
        self.target = target
        self.options = options
        self.in_flight = 0
        self.turn = 0
        self.is_draining = False
        self.is_checked = False
        self.ejections = 0
        self._failures = 0
        self._ejected_until = -math.inf
        self._has_passed_check = True
        self._latency_s = 0.0
        self._observed_at = 0.0

    def __repr__(self) -> str:
        return f"<Upstream {self.name}>"

    def share(self, now: float) -> float:
        """Return which share of its usual requests it is to have: 0 if ejected, 1 if well."""
        if not self.ejections:
            return 1.0
        if now < self._ejected_until or (self.is_checked and not self._has_passed_check):
            return 0.0
        slow_return = self.options.slow_return
        returning_s = now - self._ejected_until
        return (
            1.0 if returning_s >= slow_return else max(_SMALLEST_SHARE, returning_s / slow_return)
        )

    def cost(self, now: float) -> float:
        """Return how long a request is expected to take: the time to answer times the load."""
        latency_s = self._latency_s * math.exp((self._observed_at - now) / _MEMORY_S)
        return (latency_s + 1e-6) * (self.in_flight + 1)

    def succeeded(self, now: float, took_s: float) -> None:
        """Note an answer, and how long it took."""
        self._failures = 0
        if self.ejections and self.share(now) >= 1:
            self.ejections = 0
        self.observe(now, took_s)

    def failed(self, now: float, took_s: float, *, is_certain: bool = False) -> bool:
        """Note a failure; return whether it is ejected now and was not before.

        Args:
            is_certain: whether one failure is enough: nothing listens there.
        """
        self.observe(now, max(took_s, _FAILURE_S))
        self._failures += 1
        share = self.share(now)
        is_enough = is_certain or share < 1 or self._failures >= self.options.max_failures
        if not is_enough or not share:
            return False
        self._eject(now)
        return True

    def _eject(self, now: float) -> None:
        if self.share(now) >= 1:  # it had been well
            self.ejections = 0
        seconds = self.options.eject_time * 2.0 ** min(self.ejections, 30)
        self._ejected_until = now + min(self.options.max_eject_time, seconds)
        self._has_passed_check = False
        self.ejections += 1

    def passed_check(self, now: float) -> None:
        """Note that a check has succeeded: an ejected upstream returns."""
        if not self._has_passed_check:
            self._has_passed_check = True
            self._ejected_until = now
            self._failures = 0

    def observe(self, now: float, took_s: float) -> None:
        """Note how long an answer took, or has taken so far: a slower one counts at once."""
        if took_s < self._latency_s:
            kept = math.exp((self._observed_at - now) / _MEMORY_S)
            took_s = self._latency_s * kept + took_s * (1 - kept)
        self._latency_s = took_s
        self._observed_at = now
