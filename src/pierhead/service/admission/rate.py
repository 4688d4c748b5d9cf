"""A rate limit per source: a number of frames per second, after a burst."""

from __future__ import annotations

from collections import OrderedDict

from pierhead.clock import Clock, SystemClock
from pierhead.limits import Limit
from pierhead.rate import Rate
from pierhead.service.admission.base import Drop, Verdict
from pierhead.service.context import Peer, Via

__all__ = ["LIMITS", "SourceRate", "per_source_rate"]

_METRIC = "dropped_total{reason=source_rate}"

PER_SECOND = Limit(
    name="per_second",
    default=200.0,
    minimum=0.001,
    maximum=1_000_000.0,
    unit="frames/s",
    meaning="How many frames a second one source may send in the long run.",
    source="NSD's rrl-ratelimit, 200",
    metric=_METRIC,
    effect="at construction",
)
BURST = Limit(
    name="burst",
    default=200,
    minimum=1,
    maximum=1_000_000,
    unit="frames",
    meaning="How many frames one source may send at once after a pause.",
    source="one second of the default rate",
    metric=_METRIC,
    effect="at construction",
)
IPV4_PREFIX = Limit(
    name="ipv4_prefix",
    default=32,
    minimum=1,
    maximum=32,
    unit="bits",
    meaning="How many leading bits of an IPv4 address identify a source.",
    source="one host; response rate limiting, which counters forged sources, uses /24",
    metric=_METRIC,
    effect="at construction",
)
IPV6_PREFIX = Limit(
    name="ipv6_prefix",
    default=64,
    minimum=1,
    maximum=128,
    unit="bits",
    meaning="How many leading bits of an IPv6 address identify a source.",
    source="RFC 4291 §2.5.4: one subnet, within which a host picks addresses at will",
    metric=_METRIC,
    effect="at construction",
)
MAX_SOURCES = Limit(
    name="max_sources",
    default=65536,
    minimum=1,
    maximum=16_777_216,
    unit="sources",
    meaning="How many sources are remembered; the one silent the longest is forgotten first.",
    source="about 12 MB of memory, however long the sources' names",
    metric=_METRIC,
    effect="at construction",
)

#: The first key for sources without an address; hashes have 64 bits.
_NAMES = 1 << 65

LIMITS = (PER_SECOND, BURST, IPV4_PREFIX, IPV6_PREFIX, MAX_SOURCES)


def per_source_rate(
    per_second: float = PER_SECOND.default,
    burst: int = int(BURST.default),
    *,
    ipv4_prefix: int = int(IPV4_PREFIX.default),
    ipv6_prefix: int = int(IPV6_PREFIX.default),
    max_sources: int = int(MAX_SOURCES.default),
    clock: Clock | None = None,
) -> SourceRate:
    """Drop frames from a source that exceeds this rate.

    In any span of t seconds at most ``burst + per_second * t`` frames of a source pass, for as long
    as it is remembered. The table never exceeds ``max_sources``: the source that has been silent
    the longest is forgotten, and starts with a full burst when it returns. Sources without an IP
    address are distinguished by name; peers without a name share one source.

    Raises:
        UsageError: a number is out of range.
    """
    PER_SECOND.check(per_second)
    BURST.check(burst)
    IPV4_PREFIX.check(ipv4_prefix)
    IPV6_PREFIX.check(ipv6_prefix)
    MAX_SOURCES.check(max_sources)
    return SourceRate(
        rate=Rate(per_second, burst),
        shifts={4: 32 - ipv4_prefix, 16: 128 - ipv6_prefix},
        max_sources=max_sources,
        clock=clock if clock is not None else SystemClock(),
    )


class SourceRate:
    """An admission check by rate; created by `per_source_rate`.

    Each source has a token bucket (`Rate`): a frame takes a token, and is dropped if there is none.

    Attributes:
        forgotten: how many sources left the table while their bucket was not yet full. If this
            grows, more sources are sending than ``max_sources`` has room for.
    """

    __slots__ = (
        "_full_at",
        "_max_sources",
        "_now",
        "_rate",
        "_shifts",
        "forgotten",
    )

    _DROP = Drop("source_rate")

    def __init__(
        self,
        *,
        rate: Rate,
        shifts: dict[int, int],
        max_sources: int,
        clock: Clock,
    ) -> None:
        self._rate = rate
        self._shifts = shifts
        self._max_sources = max_sources
        self._now = clock.monotonic
        # Ordered by when a source last sent. Not a plain dictionary: finding its first key takes
        # time proportional to the keys deleted before it, and every new source would pay for that.
        self._full_at: OrderedDict[int, int] = OrderedDict()
        self.forgotten = 0

    def __call__(self, frame: bytes, peer: Peer, via: Via) -> Verdict:
        """Let the frame pass and count it, or drop it."""
        key, now = self._key(peer), int(self._now() * 1e9)
        table = self._full_at
        full_at = table.get(key)
        taken = self._rate.take(now if full_at is None else full_at, now)
        # A dropped frame takes no token but marks the source as recent: a flooding source must not
        # be forgotten, and given a new burst, before the silent ones.
        if taken is not None:
            table[key] = taken
        if full_at is not None:
            table.move_to_end(key)
        elif len(table) > self._max_sources:
            self._forget_one(now)
        return self._DROP if taken is None else None

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._full_at)

    def _key(self, peer: Peer) -> int:
        source = peer.ip
        if source is None:
            # Names can be of any length. Python's hash of octets has a secret key, and keys above
            # all addresses cannot collide with them.
            return _NAMES + hash(peer.source)
        prefix = int.from_bytes(source, "big") >> self._shifts[len(source)]
        # The complement keeps IPv6 prefixes apart from IPv4 ones: it is negative.
        return prefix if len(source) == 4 else ~prefix

    def _forget_one(self, now: int) -> None:
        _, full_at = self._full_at.popitem(last=False)
        if full_at > now:
            self.forgotten += 1
