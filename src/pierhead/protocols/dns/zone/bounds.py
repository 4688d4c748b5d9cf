"""Limits on the size of a zone, so that a typing error does not exhaust the memory."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.limits import Limit

__all__ = ["DEFAULT_BOUNDS", "LIMITS", "ZoneBounds"]

LIMITS = (
    Limit(
        "zone_octets",
        1 << 30,
        1 << 10,
        1 << 40,
        "octets",
        "Text of a zone: its file, included files, and the lines that its $GENERATE "
        "directives produce, together.",
        "some 20 million records; more would take tens of gigabytes of memory",
        "none: the zone is refused, naming the file and position",
        "when a zone is read",
    ),
    Limit(
        "generated_records",
        1 << 20,
        0,
        1 << 32,
        "records",
        "Records that all $GENERATE directives of a zone produce together.",
        "a /12 of IPv4 addresses",
        "none: the zone is refused, naming the file and position",
        "when a zone is read",
    ),
)
_BY_NAME = {limit.name: limit for limit in LIMITS}


@dataclass(frozen=True, slots=True)
class ZoneBounds:
    """The limits of one zone.

    Raises:
        UsageError: a value is out of its range.
    """

    zone_octets: int = 1 << 30
    generated_records: int = 1 << 20

    def __post_init__(self) -> None:
        _BY_NAME["zone_octets"].check(self.zone_octets)
        _BY_NAME["generated_records"].check(self.generated_records)


DEFAULT_BOUNDS = ZoneBounds()
