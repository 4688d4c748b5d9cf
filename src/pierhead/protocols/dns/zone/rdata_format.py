r"""RDATA from wire form to presentation format, for every RR type.

    known layout    a table of field kinds, taken by `Cursor`
    others          \# length hexadecimal (RFC 3597 §5)

The inverse of `rdata_text`, for zones and messages alike: names may be compressed. The output
contains no control characters and only ASCII, whatever was received.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.zone import rare_format
from pierhead.protocols.dns.zone.cursor import Cursor, format_unknown

__all__ = ["format_rdata", "format_unknown", "layout_problem"]

_Kind: TypeAlias = Callable[[Cursor], str]


def format_rdata(
    rtype: int, frame: bytes, start: int = 0, length: int | None = None, rclass: int = 1
) -> str:
    r"""Return RDATA as text.

    Args:
        rtype: its type number.
        frame: the message that contains it; or only RDATA, with names uncompressed.
        start, length: its position in the frame; None: up to the end.
        rclass: its class number.

    Raises:
        DecodeError: it is invalid for its type; `format_unknown` shows it all the same.
    """
    end = len(frame) if length is None else start + length
    layout = _layout(rtype, rclass)
    cursor = Cursor(frame, start, end)
    text = " ".join([kind(cursor) for kind in layout]).rstrip()
    if cursor.position != end:
        raise DecodeError(f"{end - cursor.position} octets too many", cursor.position)
    return text


def layout_problem(rtype: int, rdata: bytes, rclass: int = 1) -> str:
    """Describe how RDATA departs from its type's layout, or uses a compressed name.

    Empty if it does not, or if the layout is unknown.
    """
    layout = _layout(rtype, rclass)
    cursor = Cursor(rdata, 0, len(rdata), is_plain=True)
    try:
        for kind in layout:
            kind(cursor)
    except DecodeError as error:
        return error.reason
    left = cursor.end - cursor.position
    return f"{left} octets too many" if left else ""


def _layout(rtype: int, rclass: int) -> tuple[_Kind, ...]:
    if rclass == iana.CLASS_IN or rtype not in iana.INTERNET_ONLY:
        return _LAYOUTS.get(rtype, _UNKNOWN)
    return _CHAOS_ADDRESS if (rtype, rclass) == (iana.A, iana.CLASS_CH) else _UNKNOWN


_C = Cursor

_LAYOUTS: dict[int, tuple[_Kind, ...]] = {
    iana.type_number(text): layout
    for texts, layout in {
        "A": (_C.ipv4,),
        "AAAA": (_C.ipv6,),
        "NS MD MF CNAME MB MG MR PTR NSAP-PTR DNAME": (_C.name,),
        "SOA": (_C.name, _C.name, _C.u32, _C.u32, _C.u32, _C.u32, _C.u32),
        "MX AFSDB RT KX LP": (_C.u16, _C.name),
        "MINFO RP TALINK": (_C.name, _C.name),
        "TXT SPF AVC RESINFO WALLET NINFO CLA": (_C.strings,),
        "X25": (_C.string,),
        "ISDN": (_C.string, _C.more_string),
        "HINFO": (_C.string, _C.string),
        "PX": (_C.u16, _C.name, _C.name),
        "SRV": (_C.u16, _C.u16, _C.u16, _C.name),
        "NAPTR": (_C.u16, _C.u16, _C.string, _C.string, _C.string, _C.name),
        "CERT": (_C.u16, _C.u16, _C.u8, _C.base64),
        "DS CDS DLV TA": (_C.u16, _C.u8, _C.u8, _C.hex),
        "DNSKEY CDNSKEY RKEY": (_C.u16, _C.u8, _C.u8, _C.base64),
        "KEY": (_C.u16, _C.u8, _C.u8, _C.key),
        "RRSIG SIG": (
            *(_C.rtype, _C.u8, _C.u8, _C.u32, _C.moment, _C.moment),
            *(_C.u16, _C.name, _C.base64),
        ),
        "NSEC": (_C.name, _C.rtypes),
        "NSEC3": (_C.u8, _C.u8, _C.u16, _C.salt, _C.hashed, _C.rtypes),
        "NSEC3PARAM": (_C.u8, _C.u8, _C.u16, _C.salt),
        "SSHFP": (_C.u8, _C.u8, _C.hex),
        "TLSA SMIMEA": (_C.u8, _C.u8, _C.u8, _C.hex),
        "OPENPGPKEY DHCID BRID HHIT": (_C.base64,),
        "LOC": (rare_format.location,),
        "GPOS": (rare_format.geographical_position,),
        "APL": (rare_format.prefixes,),
        "IPSECKEY": (rare_format.ipsec_key,),
        "HIP": (rare_format.host_identity,),
        "AMTRELAY": (rare_format.relay,),
        "WKS": (rare_format.well_known_services,),
        "NSAP": (rare_format.network_access_point,),
        "NXT": (rare_format.next_name,),
        "EID NIMLOC": (_C.hex,),
        "A6": (rare_format.chained_address,),
        "ATMA": (rare_format.atm_address,),
        "SINK": (rare_format.sink,),
        "DOA": (rare_format.digital_object,),
        "EUI48": (rare_format.eui48,),
        "EUI64": (rare_format.eui64,),
        "CSYNC": (_C.u32, _C.u16, _C.rtypes),
        "ZONEMD": (_C.u32, _C.u8, _C.u8, _C.hex),
        "SVCB HTTPS": (_C.u16, _C.name, _C.parameters),
        "L32": (_C.u16, _C.ipv4),
        "URI": (_C.u16, _C.u16, _C.text),
        "CAA": (_C.u8, _C.tag, _C.text),
        "NID L64": (_C.u16, _C.groups),
        "DSYNC": (_C.rtype, _C.scheme, _C.u16, _C.name),
    }.items()
    for text in texts.split()
}
_UNKNOWN: tuple[_Kind, ...] = (_C.unknown,)
#: Name and address of a Chaosnet host, the address in octal.
_CHAOS_ADDRESS: tuple[_Kind, ...] = (_C.name, _C.octal)
