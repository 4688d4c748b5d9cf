"""What a zone was: the differences of its last versions, from which IXFR is answered (RFC 1995).

older ── Difference ── Difference ── the zone as it is
         └─ bounded in number and octets: the oldest are forgotten first
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pierhead.limits import Limit
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["LIMITS", "MAX_OCTETS", "MAX_VERSIONS", "History", "octets_of"]

MAX_VERSIONS = Limit(
    name="max_versions",
    default=100,
    minimum=1,
    maximum=1_000_000,
    unit="versions",
    meaning="How many older versions of a zone a secondary may have to get only the differences.",
    source="a change every minute, and secondaries that ask twice an hour",
    metric="none: the whole zone is transferred",
    effect="at construction",
)
MAX_OCTETS = Limit(
    name="max_history_octets",
    default=10_000_000,
    minimum=1_000,
    maximum=100_000_000_000,
    unit="bytes",
    meaning="How many octets of records the differences of a zone may have.",
    source="a hundred thousand changed records; more is better transferred whole",
    metric="none: the whole zone is transferred",
    effect="at construction",
)

LIMITS = (MAX_VERSIONS, MAX_OCTETS)

#: Type, class, TTL and the length of RDATA.
_FIXED = 10


class History:
    """The differences of one zone's last versions, each beginning where the one before ends.

    Args:
        max_versions, max_octets: how many are kept; see `LIMITS`.
    """

    __slots__ = ("_differences", "_max_octets", "_max_versions", "_octets", "_pending")

    def __init__(
        self,
        max_versions: int = int(MAX_VERSIONS.default),
        max_octets: int = int(MAX_OCTETS.default),
    ) -> None:
        self._max_versions = int(MAX_VERSIONS.check(max_versions))
        self._max_octets = int(MAX_OCTETS.check(max_octets))
        self._differences: deque[Difference] = deque()
        self._octets = 0
        self._pending: deque[tuple[Zone, Zone]] = deque(maxlen=self._max_versions)

    def follow(self, old: Zone, new: Zone) -> None:
        """Keep two versions whose difference is not known; `since` compares them, set by set."""
        self._pending.append((old, new))

    def append(self, difference: Difference) -> None:
        """Keep what made the newest version.

        One that does not begin where the last ended makes the older ones useless: they are
        forgotten.
        """
        self._settle()
        self._keep(difference)

    def _keep(self, difference: Difference) -> None:
        if not difference:
            return
        kept = self._differences
        # A serial number that comes again would make `since` ambiguous.
        repeats = any(one.old_serial == difference.new_serial for one in kept)
        is_gap = bool(kept) and kept[-1].new_serial != difference.old_serial
        # Of two zones with one number, a secondary has either.
        is_same = difference.old_serial == difference.new_serial
        if is_gap or repeats or is_same:
            kept.clear()
            self._octets = 0
        if is_same:
            return
        kept.append(difference)
        self._octets += octets_of(difference)
        while kept and (len(kept) > self._max_versions or self._octets > self._max_octets):
            self._octets -= octets_of(kept.popleft())

    def clear(self) -> None:
        """Forget everything."""
        self._pending.clear()
        self._differences.clear()
        self._octets = 0

    def since(self, serial: int) -> Sequence[Difference] | None:
        """Return what leads from a version to the newest; None if that is not known."""
        self._settle()
        found: list[Difference] = []
        for difference in reversed(self._differences):
            found.append(difference)
            if difference.old_serial == serial:
                return found[::-1]
        return None

    def _settle(self) -> None:
        while self._pending:
            old, new = self._pending.popleft()
            self._keep(Difference.between(old, new))

    def __len__(self) -> int:
        return len(self._differences) + len(self._pending)


def octets_of(difference: Difference) -> int:
    """Return how many octets the records of a difference have, uncompressed."""
    return sum(
        len(record.owner) + _FIXED + len(record.rdata)
        for records in (difference.deleted, difference.added)
        for record in records
    )
