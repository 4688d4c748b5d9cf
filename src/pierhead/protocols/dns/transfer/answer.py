"""Which records answer a transfer: the whole zone, what has changed, or that nothing has.

AXFR   SOA  every other record  SOA                                    RFC 5936 §2.2
IXFR   SOA  (SOA deleted  SOA added) for each version  SOA             RFC 1995 §4
       SOA  every other record  SOA       if the changes are not known, or are larger
       SOA                                if the client's version is the latest
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query
from pierhead.protocols.dns.wire.name import key
from pierhead.protocols.dns.wire.rcode_error import FormErr
from pierhead.protocols.dns.wire.record import Record
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.history import octets_of
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["changes", "client_serial", "is_smaller", "whole"]

#: Two names of at least one octet, and five numbers (RFC 1035 §3.3.13).
_SOA_OCTETS = 22
#: Type, class, TTL and the length of RDATA.
_FIXED = 10


def whole(zone: Zone) -> Iterator[RRset]:
    """Yield every record of a zone, glue and hidden ones included, between two SOA records."""
    yield from zone.rrsets()
    yield zone.soa


def changes(zone: Zone, differences: Sequence[Difference]) -> Iterator[Record | RRset]:
    """Yield what an incremental transfer to this version consists of."""
    yield zone.soa
    for difference in differences:
        # RFC 1995 §4: each list begins with its SOA record, as those of a difference do.
        yield from difference.deleted
        yield from difference.added
    yield zone.soa


def is_smaller(differences: Iterable[Difference], zone: Zone) -> bool:
    """Tell whether the changes have fewer octets than the zone; costs no more than the changes."""
    left = sum(map(octets_of, differences))
    for rrset in zone.rrsets():
        size = len(rrset.owner) + _FIXED
        left -= sum(size + len(rdata) for rdata in rrset.rdatas)
        if left < 0:
            return True
    return False


def client_serial(query: Query) -> int:
    """Return which version the client has, from its SOA record in the authority section.

    Raises:
        FormErr: there is none (RFC 1995 §3).
    """
    for record in query.sections().authority:
        is_of_zone = key(record.owner) == key(query.qname) and record.rclass == query.qclass
        if record.rtype == iana.SOA and is_of_zone and record.length >= _SOA_OCTETS:
            return int.from_bytes(record.octets[-20:-16], "big")
    raise FormErr("an IXFR query has the client's SOA record in its authority section")
