"""Policies: which of several upstreams gets the next request.

A policy is a value. It chooses among the upstreams that it is given, all of which may be chosen. It
reads no clock and generates no random numbers: both are passed in.

| name | chooses |
|---|---|
| ``round-robin`` | each in turn |
| ``least-busy`` | the one with the fewest requests in flight |
| ``fastest`` | the quicker of two drawn at random, by time to answer and load |
| ``rendezvous`` | always the same for the same peer, or for the same key of the request |
| ``hedged`` | as another policy does, and a second one if the reply takes long |
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pierhead.client.upstream import Upstream
from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = [
    "LIMITS",
    "Fastest",
    "Hedged",
    "LeastBusy",
    "Policy",
    "Rendezvous",
    "RoundRobin",
    "policy_of",
]

U = TypeVar("U", bound=Upstream[Any])

AFTER = Limit(
    name="after",
    default=0.1,
    minimum=0.001,
    maximum=3600.0,
    unit="s",
    meaning="How long `Hedged` waits for a reply before it asks a second upstream.",
    source="longer than most replies take: near the 95th percentile, one request in 20 is doubled",
    metric="upstream_hedges_total",
    effect="at construction",
)

LIMITS = (AFTER,)


class Policy(Protocol):
    """Chooses among upstreams; a policy of your own has these two methods."""

    def choose(
        self, upstreams: Sequence[U], key: bytes, now: float, chance: Callable[[], float], /
    ) -> U:
        """Return one of these upstreams; there is at least one.

        Args:
            key: of the request: equal for requests that belong together.
            chance: draws a number from 0 up to, not including, 1.
        """
        ...

    def admits(
        self, upstream: Upstream[Any], share: float, key: bytes, chance: Callable[[], float], /
    ) -> bool:
        """Return whether an upstream that is to have this share of its requests may get this."""
        ...


class _ByChance:
    """Lets a returning upstream have its share of requests at random."""

    __slots__ = ()

    def admits(
        self, upstream: Upstream[Any], share: float, key: bytes, chance: Callable[[], float], /
    ) -> bool:
        """Return whether the upstream may get this request."""
        return chance() < share


@dataclass(frozen=True, slots=True)
class RoundRobin(_ByChance):
    """Each in turn: the one that has waited longest since its last request."""

    def choose(
        self, upstreams: Sequence[U], key: bytes, now: float, chance: Callable[[], float], /
    ) -> U:
        """Return the one whose turn it is."""
        return min(upstreams, key=_turn)


@dataclass(frozen=True, slots=True)
class LeastBusy(_ByChance):
    """The one with the fewest requests in flight; among equals, each in turn."""

    def choose(
        self, upstreams: Sequence[U], key: bytes, now: float, chance: Callable[[], float], /
    ) -> U:
        """Return the least busy one."""
        return min(upstreams, key=_load)


@dataclass(frozen=True, slots=True)
class Fastest(_ByChance):
    """The quicker of two drawn at random, by recent time to answer and requests in flight.

    Drawing two keeps all requests from rushing to one upstream at the same time, and lets each be
    measured now and then (Mitzenmacher, "The power of two choices", 2001).
    """

    def choose(
        self, upstreams: Sequence[U], key: bytes, now: float, chance: Callable[[], float], /
    ) -> U:
        """Return the quicker of two."""
        if len(upstreams) == 1:
            return upstreams[0]
        first = int(chance() * len(upstreams))
        second = int(chance() * (len(upstreams) - 1))
        second += second >= first
        a, b = upstreams[first], upstreams[second]
        return a if (a.cost(now), a.turn) <= (b.cost(now), b.turn) else b


@dataclass(frozen=True, slots=True)
class Rendezvous:
    """Always the same upstream for the same key (highest random weight; Thaler, Ravishankar 1998).

    If an upstream leaves, only its own keys move; if one comes, only those that it gets. The order
    in which upstreams are listed does not matter, so that several balancers agree.

    Args:
        key: returns the key of a request: text, octets or a number; None for the peer's address
            without its port.
    """

    key: Callable[[Any], str | bytes | int] | None = None

    def choose(
        self, upstreams: Sequence[U], key: bytes, now: float, chance: Callable[[], float], /
    ) -> U:
        """Return the one with the highest weight for the key."""
        return max(upstreams, key=lambda upstream: _weight(upstream.name, key))

    def admits(
        self, upstream: Upstream[Any], share: float, key: bytes, chance: Callable[[], float], /
    ) -> bool:
        """Return whether the key is among those that have returned so far: it stays there then."""
        return _fraction(upstream.name, key) < share


@dataclass(frozen=True, slots=True)
class Hedged:
    """Another policy's choice, and a second one if the reply takes long: the first reply wins.

    Requests are sent twice, so they must be idempotent. The loser is cancelled. At most a tenth of
    requests are doubled on average, whatever happens: a slow upstream must not double the load of
    all.

    Args:
        after: how long to wait before asking a second upstream, in seconds.
        policy: chooses the first upstream, and the second.
    """

    after: float = AFTER.default
    policy: Policy = field(default_factory=Fastest)

    def __post_init__(self) -> None:
        AFTER.check(self.after)

    def choose(
        self, upstreams: Sequence[U], key: bytes, now: float, chance: Callable[[], float], /
    ) -> U:
        """Return the other policy's choice."""
        return self.policy.choose(upstreams, key, now, chance)

    def admits(
        self, upstream: Upstream[Any], share: float, key: bytes, chance: Callable[[], float], /
    ) -> bool:
        """Return the other policy's verdict."""
        return self.policy.admits(upstream, share, key, chance)


def policy_of(given: str | Policy) -> Policy:
    """Return a policy by its name, or the policy itself.

    Raises:
        UsageError: there is none of this name.
    """
    if not isinstance(given, str):
        return given
    made = _BY_NAME.get(given)
    if made is None:
        near = difflib.get_close_matches(given, _BY_NAME, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_BY_NAME)}"
        raise UsageError(f"there is no policy {given!r}; {hint}")
    return made()


_BY_NAME: dict[str, Callable[[], Policy]] = {
    "round-robin": RoundRobin,
    "least-busy": LeastBusy,
    "fastest": Fastest,
    "rendezvous": Rendezvous,
    "hedged": Hedged,
}


def _turn(upstream: Upstream[Any]) -> int:
    return upstream.turn


def _load(upstream: Upstream[Any]) -> tuple[int, int]:
    return upstream.in_flight, upstream.turn


def _digest(name: str, key: bytes) -> bytes:
    named = name.encode("utf-8", "surrogateescape")
    told_apart = len(named).to_bytes(4, "big") + named + key
    return hashlib.blake2b(told_apart, digest_size=16, person=b"rendezvous").digest()


def _weight(name: str, key: bytes) -> bytes:
    return _digest(name, key)[:8]


def _fraction(name: str, key: bytes) -> float:
    # Not from the octets of the weight: the keys that an upstream wins have high ones.
    return int.from_bytes(_digest(name, key)[8:], "big") / 2**64
