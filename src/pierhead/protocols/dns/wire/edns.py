"""EDNS: the OPT pseudo-record (RFC 6891 §6).

owner  type  CLASS         TTL                                  RDLEN  RDATA
root   41    payload size  extended rcode, version, DO and Z    n      {code, length, data}*
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

from pierhead.errors import DecodeError

__all__ = ["MIN_PAYLOAD", "PAYLOAD", "Edns", "Options", "build_opt", "parse_options"]

#: RFC 6891 §6.2.3: "Values lower than 512 MUST be treated as equal to 512."
MIN_PAYLOAD = 512
#: What fits an unfragmented IPv6 packet at the minimum MTU (RFC 9715; DNS flag day 2020).
PAYLOAD = 1232

#: Code and data of each EDNS option, in order.
Options: TypeAlias = tuple[tuple[int, bytes], ...]

_OPT = Struct("!BHHBBHH")
_OPTION = Struct("!HH")
_DO = 0x8000


@dataclass(frozen=True, slots=True)
class Edns:
    """What an OPT record says.

    Attributes:
        payload: the largest datagram its sender can take, in octets, as written.
        do: DNSSEC records are welcome (RFC 3225).
        version: 0 is the only one there is.
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

    Only the upper eight bits of the rcode go here, the lower four are in the header.
    """
    data = b"".join([_OPTION.pack(code, len(value)) + value for code, value in edns.options])
    flags = _DO if edns.do else 0
    return _OPT.pack(0, 41, edns.payload, rcode >> 4, edns.version, flags, len(data)) + data
