"""Liveness: pings tell within a bounded time that a peer is dead, however it died.

    Liveness(make=lambda: "PING", is_pong=lambda line: line == "PONG", every=30, within=10)

A peer that is silent for ``every`` seconds is sent a ping; one that is still silent ``within``
seconds later is dead, and its conversation ends. Any traffic counts. Pings, and what answers them,
never reach the handler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "Liveness"]

In = TypeVar("In")
Out = TypeVar("Out")

LIMITS = (
    Limit(
        "every",
        default=30.0,
        minimum=1.0,
        maximum=86_400.0,
        unit="s",
        meaning="Silence of a peer, until it is sent a ping.",
        source="shorter than NATs remember UDP (RFC 4787 §4.3: 2 min)",
        metric="pings_sent_total",
        effect="at construction",
    ),
    Limit(
        "within",
        default=10.0,
        minimum=1.0,
        maximum=3600.0,
        unit="s",
        meaning="For a sign of life after the ping; then the conversation ends.",
        source="longer than a lost packet and its retransmissions (RFC 6298: 1 + 2 + 4 s)",
        metric="connections_closed_total{reason=liveness}, "
        "conversations_closed_total{reason=liveness}",
        effect="at construction",
    ),
)
_EVERY, _WITHIN = LIMITS

#: Deadlines are looked at this often at least, so this much early: a dead peer is known in time.
_EARLY_S = 0.5


@dataclass(frozen=True, slots=True)
class Liveness(Generic[In, Out]):
    """How a side finds out that its peer is dead, and shows that it is not.

    Attributes:
        make: returns a ping; None to send none, and only answer.
        is_pong: recognises what answers a ping and is nothing else; None if there is no such thing.
        every: silence until a ping is sent, in seconds.
        within: time for a sign of life after that, in seconds.
        is_ping: recognises the peer's pings; None if it sends none.
        pong: returns the answer to a ping.

    Raises:
        UsageError: a time is out of its range, or one of ``is_ping`` and ``pong`` is missing.
    """

    make: Callable[[], Out] | None = None
    is_pong: Callable[[In], bool] | None = None
    every: float = 30.0
    within: float = 10.0
    is_ping: Callable[[In], bool] | None = None
    pong: Callable[[In], Out] | None = None

    def __post_init__(self) -> None:
        _EVERY.check(self.every)
        _WITHIN.check(self.within)
        if (self.is_ping is None) is not (self.pong is None):
            raise UsageError("is_ping recognises a ping and pong answers it: give both, or neither")

    @property
    def ping_after_s(self) -> float:
        """The silence after which a ping is due."""
        return self.every - _EARLY_S

    @property
    def dead_after_s(self) -> float:
        """The silence after which a peer is dead."""
        return self.every + self.within - _EARLY_S
