r"""RDATA from wire form to presentation format, for every RR type.

    known layout    a table of field kinds, read by `_Cursor`
    others          dnspython's printers, imported when first needed
    the rest        \# length hexadecimal (RFC 3597 §5)

The opposite of `rdata_text`, from zones and from messages alike: names may be compressed. What
is printed holds no control character and nothing outside ASCII, whatever was received.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.zone.fields import quoted
from pierhead.protocols.dns.zone.svcb_format import service_parameter

__all__ = ["format_rdata", "format_unknown"]


def format_rdata(
    rtype: int, frame: bytes, start: int = 0, length: int | None = None, rclass: int = 1
) -> str:
    r"""Return RDATA as text.

    Args:
        rtype: its type number.
        frame: the message that holds it; or RDATA alone, names uncompressed.
        start, length: where it is in there; None: up to the end.
        rclass: its class number.

    Raises:
        DecodeError: it is not what its type wants; `format_unknown` shows it all the same.
    """
    end = len(frame) if length is None else start + length
    layout = _LAYOUTS.get(rtype)
    if layout is None or (rclass != iana.CLASS_IN and rtype in _INTERNET_ONLY):
        return _by_dnspython(rtype, rclass, frame, start, end)
    cursor = _Cursor(frame, start, end)
    text = " ".join([kind(cursor) for kind in layout]).rstrip()
    if cursor.position != end:
        raise DecodeError(f"{end - cursor.position} octets too many", cursor.position)
    return text


def format_unknown(rdata: bytes) -> str:
    r"""Return RDATA in the form that suits every type: ``\# 4 c0000201`` (RFC 3597 §5)."""
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


class _Cursor:
    """Takes one field after the other off RDATA and returns its text."""

    __slots__ = ("end", "frame", "position")

    def __init__(self, frame: bytes, position: int, end: int) -> None:
        self.frame = frame
        self.position = position
        self.end = end

    def take(self, count: int) -> bytes:
        """Return the next octets."""
        position = self.position
        if position + count > self.end:
            raise DecodeError(f"RDATA ends early, {count} octets expected", position)
        self.position = position + count
        return self.frame[position : position + count]

    def rest(self) -> bytes:
        """Return the octets that are left, at least one."""
        return self.take(max(1, self.end - self.position))

    def number(self, width: int) -> int:
        """Return the next number of this many octets."""
        return int.from_bytes(self.take(width), "big")

    def u8(self) -> str:
        return str(self.number(1))

    def u16(self) -> str:
        return str(self.number(2))

    def u32(self) -> str:
        return str(self.number(4))

    def name(self) -> str:
        found, position = read_name(self.frame, self.position)
        if position > self.end:
            raise DecodeError("RDATA ends inside a name", self.position)
        self.position = position
        return name.to_text(found)

    def ipv4(self) -> str:
        return ".".join([str(octet) for octet in self.take(4)])

    def ipv6(self) -> str:
        return str(ipaddress.IPv6Address(self.take(16)))

    def groups(self) -> str:
        found = self.take(8)
        return ":".join([f"{found[n]:02x}{found[n + 1]:02x}" for n in range(0, 8, 2)])

    def string(self) -> str:
        return quoted(self.take(self.number(1)))

    def strings(self) -> str:
        found = [self.string()]
        while self.position < self.end:
            found.append(self.string())
        return " ".join(found)

    def text(self) -> str:
        return quoted(self.take(self.end - self.position))

    def tag(self) -> str:
        found = self.take(self.number(1))
        if not found.isalnum():
            raise DecodeError("a property tag holds letters and digits alone", self.position)
        return found.decode("ascii")

    def hex(self) -> str:
        return self.rest().hex().upper()

    def base64(self) -> str:
        return binascii.b2a_base64(self.rest(), newline=False).decode()

    def key(self) -> str:
        # RFC 2535 §3.1.2: a KEY with both first bits set may be without key material.
        return self.base64() if self.position < self.end else ""

    def salt(self) -> str:
        return self.take(self.number(1)).hex().upper() or "-"

    def hashed(self) -> str:
        return base64.b32hexencode(self.take(self.number(1))).decode().rstrip("=").lower()

    def moment(self) -> str:
        return datetime.fromtimestamp(self.number(4), UTC).strftime("%Y%m%d%H%M%S")

    def rtype(self) -> str:
        return iana.type_text(self.number(2))

    def rtypes(self) -> str:
        found = []
        before = -1
        while self.position < self.end:
            window, length = self.take(2)
            if window <= before or not 1 <= length <= 32:
                raise DecodeError("bad type bitmap (RFC 4034 §4.1.2)", self.position)
            before = window
            for index, octet in enumerate(self.take(length)):
                found += [
                    iana.type_text(window << 8 | index << 3 | bit)
                    for bit in range(8)
                    if octet & 0x80 >> bit
                ]
        return " ".join(found)

    def parameters(self) -> str:
        found = []
        while self.position < self.end:
            key = self.number(2)
            found.append(service_parameter(key, self.take(self.number(2))))
        return " ".join(found)

    def more_string(self) -> str:
        return self.string() if self.position < self.end else ""

    def scheme(self) -> str:
        number = self.number(1)
        return "NOTIFY" if number == 1 else str(number)


def _by_dnspython(rtype: int, rclass: int, frame: bytes, start: int, end: int) -> str:
    import dns.exception
    import dns.rdata
    from dns.rdataclass import RdataClass
    from dns.rdatatype import RdataType

    known = dns.rdata.get_rdata_class(rclass, rtype)  # type: ignore[no-untyped-call]  # as it is
    if known is dns.rdata.GenericRdata:
        return format_unknown(frame[start:end])
    try:
        record = dns.rdata.from_wire(
            RdataClass.make(rclass), RdataType.make(rtype), frame, start, end - start
        )
        text = record.to_text()
    except (dns.exception.DNSException, ValueError) as error:
        raise DecodeError(str(error) or type(error).__name__, start) from None
    # An IPSECKEY record without key ends in a blank.
    return "".join([c if " " <= c <= "~" else f"\\{ord(c):03d}" for c in text.rstrip(" ")])


_Kind: TypeAlias = Callable[[_Cursor], str]
_C = _Cursor

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
        "OPENPGPKEY DHCID": (_C.base64,),
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
#: Types that are defined for class IN alone; other classes may lay them out differently.
_INTERNET_ONLY = frozenset({iana.A, iana.AAAA, iana.SRV, iana.NAPTR, iana.SVCB, iana.HTTPS})
