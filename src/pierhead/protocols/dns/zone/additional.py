"""Which names a record's data leads to, and the types that are looked up there next.

This is "additional section processing" (RFC 1034 §4.3.2 step 6). Each type's RFC defines its own:
1035 §3.3 (MB, MD, MF, MX, NS), 1183 (AFSDB, RT), 2230 (KX), 2782 (SRV), 3403 §4.2 (NAPTR), 6742
§2.4 (LP), 9460 §4.1 (SVCB, HTTPS).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["ADDRESSES", "target", "wanted"]

#: The address types of hosts.
ADDRESSES: Final = (iana.A, iana.AAAA)
_NID, _L32, _L64, _LP = 104, 105, 106, 107
#: RFC 6742 §2.4.2; an LP record holds only a preference and a name.
_LOCATORS = (_NID, _L32, _L64)
_AFSDB, _RT, _KX = 18, 21, 36
_BINDINGS = (iana.SVCB, iana.HTTPS)
#: Where the name starts in the RDATA.
_OFFSETS = {
    iana.NS: 0,
    iana.MD: 0,
    iana.MF: 0,
    iana.MB: 0,
    iana.MX: 2,
    _AFSDB: 2,
    _RT: 2,
    iana.SRV: 6,
    _KX: 2,
    iana.SVCB: 2,
    iana.HTTPS: 2,
    _LP: 2,
}
_ALIAS_MODE = b"\0\0"


def target(rtype: int, rdata: bytes) -> Name | None:
    """Return the name that a record's data points to, None for types without one."""
    offset = _OFFSETS.get(rtype)
    if offset is None:
        if rtype != iana.NAPTR:
            return None
        offset = 4
        for _ in range(3):  # flags, services, regular expression
            offset += 1 + rdata[offset]
    return rdata[offset : _end_of_name(rdata, offset)]


def wanted(rtype: int, rdata: bytes, shown: Name) -> Iterator[tuple[Name, tuple[int, ...]]]:
    """Yield each name that a record's data points to, with the types to look up there.

    ``shown`` is the owner in the answer; for a wildcard's records, the queried name.
    """
    found = target(rtype, rdata)
    if found is None:
        return
    if rtype in _BINDINGS:
        if rdata[:2] == _ALIAS_MODE:
            yield found, (*ADDRESSES, rtype)
        else:  # RFC 9460 §2.5.2: "." means the owner in ServiceMode
            yield shown if found == name.ROOT else found, ADDRESSES
    elif rtype == iana.NAPTR:
        flag = rdata[5 : 5 + rdata[4]].upper()
        if flag in (b"A", b"S"):
            yield found, ADDRESSES if flag == b"A" else (iana.SRV,)
    else:
        yield found, _LOCATORS if rtype == _LP else ADDRESSES


def _end_of_name(rdata: bytes, position: int) -> int:
    while length := rdata[position]:
        position += 1 + length
    return position + 1
