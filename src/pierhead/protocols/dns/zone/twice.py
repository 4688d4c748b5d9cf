"""Names that end in the zone's name twice: most likely a final dot is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.builder import OWNER, RDATAS, RawSet, SetKey, place_of
from pierhead.protocols.dns.zone.faults import Faults

__all__ = ["NAMING", "check_owner", "check_rdata"]

_RP, _AFSDB, _RT, _KX = 17, 18, 21, 36
#: Types whose data contains names that people write.
NAMING: Final = frozenset(
    [
        iana.NS,
        iana.MD,
        iana.MF,
        iana.CNAME,
        iana.SOA,
        iana.MB,
        iana.MG,
        iana.MR,
        iana.PTR,
        iana.MINFO,
        iana.MX,
        _RP,
        _AFSDB,
        _RT,
        iana.SRV,
        iana.NAPTR,
        _KX,
        iana.DNAME,
        iana.SVCB,
        iana.HTTPS,
    ]
)


def check_owner(origin: Name, sets: Mapping[SetKey, RawSet], faults: Faults) -> None:
    """Warn about records at a name that ends in the zone's name twice."""
    first = min(sets.values(), key=place_of)
    shown = name.to_text(origin)
    faults.warning(
        place_of(first),
        f"{name.to_text(first[OWNER])} ends in the name of the zone twice; is a dot missing?",
        f"end the name with a dot after {shown.removesuffix('.')!r}, or leave that out",
        "twice",
    )


def check_rdata(origin: Name, twice: bytes, rtype: int, rrset: RawSet, faults: Faults) -> None:
    """Warn about records that contain a name which ends in the zone's name twice.

    ``twice`` is that ending in lower case. Owners have a separate warning.
    """
    shown = name.to_text(origin)
    for index, rdata in enumerate(rrset[RDATAS:]):
        if twice in rdata.lower():
            faults.warning(
                place_of(rrset, index),
                f"the {iana.type_text(rtype)} record of {name.to_text(rrset[OWNER])} has a name "
                f"that ends in the name of the zone twice, {shown}{shown}; is a dot missing?",
                f"end the name with a dot after {shown.removesuffix('.')!r}, or leave that out",
                "twice",
            )
