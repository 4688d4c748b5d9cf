"""Zones to master files: one record per line, in a fixed order, so that they can be compared.

    owner<TAB>ttl<TAB>class<TAB>type<TAB>rdata

The SOA record comes first; then names in canonical order (RFC 4034 §6.1), types within a name by
number, signatures after what they cover, and RDATA by its octets. Names are absolute and keep their
letter case; there are no directives or comments, and no line depends on the one before. Reading the
text back gives the same zone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.protocols.dns.zone.fields import FieldError, Fields
from pierhead.protocols.dns.zone.rdata_format import format_rdata, format_unknown
from pierhead.protocols.dns.zone.rdata_text import rdata_reader
from pierhead.protocols.dns.zone.tokenizer import EntryError, read_entry
from pierhead.protocols.dns.zone.zone import Zone, canonical_order

__all__ = ["format_record", "format_zone"]


def format_zone(zone: Zone) -> Iterator[str]:
    """Yield the lines of a zone's canonical text, without line endings."""
    for rrset in sorted(zone.rrsets(), key=lambda rrset: _rank(zone, rrset)):
        for rdata in sorted(rrset.rdatas):
            yield format_record(rrset, rdata)


def format_record(rrset: RRset, rdata: bytes) -> str:
    r"""Return one record of a set as a line.

    RDATA that its type's text form cannot express is written as ``\# length hexadecimal``, the form
    for every type (RFC 3597 §5).
    """
    return "\t".join(
        (
            name.to_text(rrset.owner),
            str(rrset.ttl),
            iana.class_text(rrset.rclass),
            iana.type_text(rrset.rtype),
            _rdata_text(rrset.rtype, rrset.rclass, rdata),
        )
    ).rstrip("\t")  # the data of an APL record may be empty


def _rank(zone: Zone, rrset: RRset) -> tuple[bool, tuple[bytes, ...], int, bool]:
    is_signature = rrset.rtype == iana.RRSIG
    rtype = int.from_bytes(rrset.rdatas[0][:2], "big") if is_signature else rrset.rtype
    return rrset is not zone.soa, canonical_order(rrset.owner), rtype, is_signature


def _rdata_text(rtype: int, rclass: int, rdata: bytes) -> str:
    try:
        text = format_rdata(rtype, rdata, rclass=rclass)
    except DecodeError:
        return format_unknown(rdata)
    return text if _read_back(text, rtype, rclass) == rdata else format_unknown(rdata)


def _read_back(text: str, rtype: int, rclass: int) -> bytes | None:
    """Return the RDATA that a text stands for, None if it is invalid."""
    try:
        fields = Fields(read_entry(text.encode(), 0).tokens, origin=name.ROOT)
        rdata = rdata_reader(rtype, rclass)(fields)
    except (FieldError, EntryError):
        return None
    return rdata if fields.at_end() else None
