"""EDNS: the OPT pseudo-record (RFC 6891 §6).

owner  type  CLASS         TTL                                  RDLEN  RDATA
root   41    payload size  extended rcode, version, DO and Z    n      {code, length, data}*
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana

__all__ = [
    "MIN_PAYLOAD",
    "PAYLOAD",
    "ClientSubnet",
    "Edns",
    "Options",
    "build_opt",
    "extended_error",
    "parse_client_subnet",
    "parse_options",
]

#: RFC 6891 §6.2.3: "Values lower than 512 MUST be treated as equal to 512."
MIN_PAYLOAD = 512
#: What fits in an unfragmented IPv6 packet at the minimum MTU (RFC 9715; DNS flag day 2020).
PAYLOAD = 1232

#: Code and data of each EDNS option, in order.
Options: TypeAlias = tuple[tuple[int, bytes], ...]

_OPT = Struct("!BHHBBHH")
_OPTION = Struct("!HH")
_SUBNET = Struct("!HBB")
_DO = 0x8000
#: RFC 7871 §6: the address length in bits by family; family 0 means no address.
_ADDRESS_BITS = {0: 0, 1: 32, 2: 128}


@dataclass(frozen=True, slots=True)
class Edns:
    """The content of an OPT record.

    Attributes:
        payload: the largest datagram its sender accepts, in octets, as written.
        do: DNSSEC OK (RFC 3225).
        version: only 0 is defined.
        options: code and data of each option, in order.
    """

    payload: int = PAYLOAD
    do: bool = False
    version: int = 0
    options: Options = ()


def parse_options(data: bytes, offset: int = 0) -> Options:
    """Return the options in an OPT record's RDATA.

    Raises:
        DecodeError: an option runs past the end; counted from ``offset``.
    """
    options = []
    position, end = 0, len(data)
    while position < end:
        if position + 4 > end:
            raise DecodeError("OPT record ends inside an option's head", offset + position)
        code, length = _OPTION.unpack_from(data, position)
        start = position + 4
        position = start + length
        if position > end:
            raise DecodeError(f"OPT option of {length} octets runs past the record", offset + start)
        options.append((code, data[start:position]))
    return tuple(options)


def build_opt(edns: Edns, rcode: int = 0) -> bytes:
    """Return the OPT record; all Z bits are clear (RFC 6891 §6.1.4).

    Only the upper eight bits of the rcode go here; the lower four are in the header.
    """
    data = b"".join([_OPTION.pack(code, len(value)) + value for code, value in edns.options])
    flags = _DO if edns.do else 0
    return _OPT.pack(0, iana.OPT, edns.payload, rcode >> 4, edns.version, flags, len(data)) + data


def extended_error(code: int, text: str = "") -> tuple[int, bytes]:
    """Return the option that adds a reason to an RCODE (RFC 8914 §2).

    The text is for people; keep it short, since every such answer carries it.
    """
    return iana.OPTION_EXTENDED_ERROR, code.to_bytes(2, "big") + text.encode()


@dataclass(frozen=True, slots=True)
class ClientSubnet:
    """The network that a resolver queries for (RFC 7871 §6).

    Attributes:
        family: 1 for IPv4, 2 for IPv6, 0 for none.
        source: how many leading bits of the address are given.
        scope: the prefix for which an answer is valid; 0 in queries.
        address: as many octets as ``source`` needs, with the remaining bits clear.
    """

    family: int
    source: int
    scope: int
    address: bytes

    def to_wire(self) -> bytes:
        """Return the option's data."""
        return _SUBNET.pack(self.family, self.source, self.scope) + self.address


def parse_client_subnet(data: bytes) -> ClientSubnet:
    """Parse a client-subnet option in a query.

    Raises:
        DecodeError: it violates RFC 7871 §6.
    """
    if len(data) < 4:
        raise DecodeError(f"client subnet of {len(data)} octets, expected 4 or more")
    family, source, scope = _SUBNET.unpack_from(data)
    address = data[4:]
    bits = _ADDRESS_BITS.get(family)
    if bits is None:  # RFC 7871 §7.2.1: "a FAMILY field it doesn't know" gets FORMERR
        raise DecodeError(f"client subnet of family {family}, expected 1 (IPv4) or 2 (IPv6)", 0)
    if source > bits:
        raise DecodeError(f"client subnet of {source} bits in family {family}, expected {bits}", 2)
    if scope:
        raise DecodeError(f"client subnet with scope {scope} in a query, expected 0", 3)
    if len(address) != (source + 7) // 8:
        raise DecodeError(f"{len(address)} octets of address for {source} bits", 4)
    if source % 8 and address[-1] & 0xFF >> source % 8:
        raise DecodeError(f"client subnet has bits set after the first {source}", 4)
    return ClientSubnet(family, source, scope, address)
