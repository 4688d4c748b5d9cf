"""The limits of a choice among several: their names, defaults, ranges and sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from pierhead.limits import Limit, check_all

__all__ = ["LIMITS", "BalanceLimits", "BalanceOptions"]

_CONSTRUCTION = "at construction"

LIMITS = (
    Limit(
        "max_failures",
        default=3,
        minimum=1,
        maximum=1000,
        unit="failures",
        meaning="How many failures in a row eject an upstream; one that refuses connections is "
        "ejected at the first.",
        source="HAProxy's fall, 3",
        metric="upstream_ejections_total",
        effect=_CONSTRUCTION,
    ),
    Limit(
        "eject_time",
        default=1.0,
        minimum=0.001,
        maximum=86_400.0,
        unit="s",
        meaning="For how long an upstream is ejected the first time; each further time, without "
        "having been well in between, twice as long.",
        source="a service restarts in about a second",
        metric="upstream_ejections_total",
        effect=_CONSTRUCTION,
    ),
    Limit(
        "max_eject_time",
        default=60.0,
        minimum=0.001,
        maximum=86_400.0,
        unit="s",
        meaning="The longest ejection.",
        source="a repaired upstream is in use again within a minute",
        metric="upstream_ejections_total",
        effect=_CONSTRUCTION,
    ),
    Limit(
        "slow_return",
        default=10.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="s",
        meaning="After an ejection, until an upstream has its full share of requests again.",
        source="HAProxy's slowstart is used with seconds; caches fill in this time",
        metric="none: the gauge upstream_share shows it",
        effect=_CONSTRUCTION,
    ),
    Limit(
        "check_interval",
        default=2.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="Between two checks of an upstream, if there is a check.",
        source="HAProxy's inter, 2 s",
        metric="upstream_checks_failed_total",
        effect=_CONSTRUCTION,
    ),
    Limit(
        "check_timeout",
        default=2.0,
        minimum=0.001,
        maximum=3600.0,
        unit="s",
        meaning="How long a check may take.",
        source="HAProxy's inter, 2 s",
        metric="upstream_checks_failed_total",
        effect=_CONSTRUCTION,
    ),
    Limit(
        "max_upstreams_per_request",
        default=3,
        minimum=1,
        maximum=100,
        unit="upstreams",
        meaning="How many upstreams one request is tried on, one after another.",
        source="HAProxy's retries, 3",
        metric="none: the last failure is the request's own",
        effect=_CONSTRUCTION,
    ),
)

_BY_NAME = {limit.name: limit for limit in LIMITS}


class BalanceLimits(TypedDict, total=False):
    """The limits that a choice among several takes as keywords; see `LIMITS`."""

    max_failures: int
    eject_time: float
    max_eject_time: float
    slow_return: float
    check_interval: float
    check_timeout: float
    max_upstreams_per_request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceOptions:
    """The limits in effect; see `LIMITS` for each one's unit, range and effect."""

    max_failures: int = 3
    eject_time: float = 1.0
    max_eject_time: float = 60.0
    slow_return: float = 10.0
    check_interval: float = 2.0
    check_timeout: float = 2.0
    max_upstreams_per_request: int = 3

    @classmethod
    def of(cls, limits: Mapping[str, object]) -> BalanceOptions:
        """Return these limits, each checked, and the defaults of the others.

        Raises:
            UsageError: an unknown name, or a value out of its range.
        """
        checked = check_all(LIMITS, limits, "a balance")
        return dataclasses.replace(cls(), **checked)  # type: ignore[arg-type]  # checked
