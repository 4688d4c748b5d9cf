"""When two records are the same: RDATA in canonical form (RFC 4034 §6.2, RFC 6840 §5.1).

Names inside RDATA are in lower case for the types that RFC 4034 lists, as corrected by RFC 6840:
NSEC is removed from the list, and HINFO has no names. All other RDATA is compared octet by octet
(RFC 3597 §7). Sets of records drop duplicates by this form, and keep the original spelling.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import MAX_LABEL, MAX_NAME
from pierhead.protocols.dns.wire.reader import read_name

__all__ = ["canonical_rdata", "names_problem", "uncompressed_rdata", "unique_rdatas"]

#: Octets before the names, or how to determine it; how many names; octets after, None for any.
_Layout: TypeAlias = tuple[int, int, int | None]

#: What precedes the names of an A6 or NAPTR record depends on the record.
_VARIABLE = -1
_LAYOUTS: dict[int, _Layout] = {
    iana.type_number(text): layout
    for texts, layout in {
        "NS MD MF CNAME MB MG MR PTR DNAME": (0, 1, 0),
        "SOA": (0, 2, 20),
        "MINFO RP": (0, 2, 0),
        "MX AFSDB RT KX": (2, 1, 0),
        "PX": (2, 2, 0),
        "SRV": (6, 1, 0),
        "NXT": (0, 1, None),
        "SIG RRSIG": (18, 1, None),
        "NAPTR A6": (_VARIABLE, 1, 0),
    }.items()
    for text in texts.split()
}
_A6 = iana.type_number("A6")


def canonical_rdata(rtype: int, rdata: bytes) -> bytes:
    """Return RDATA in the form for comparison; ``rdata`` has no compressed names.

    RDATA with a layout invalid for its type is its own canonical form.
    """
    layout = _LAYOUTS.get(rtype)
    if layout is None:
        return rdata
    skip, count, rest = layout
    if skip == 0 and rest == 0:
        return rdata.lower()  # only names, the most common case
    start = skip if skip >= 0 else _skipped(rtype, rdata)
    end = _end_of_names(rdata, start, count)
    if end is None:
        return rdata
    # Length octets are at most 63, below the letters.
    return rdata[:start] + rdata[start:end].lower() + rdata[end:]


def unique_rdatas(rtype: int, rdatas: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the RDATA of one set without duplicates, the first of each (RFC 2181 §5)."""
    if rtype not in _LAYOUTS:
        return tuple(dict.fromkeys(rdatas))
    found: dict[bytes, bytes] = {}
    for rdata in rdatas:
        found.setdefault(canonical_rdata(rtype, rdata), rdata)
    return tuple(found.values())


def names_problem(rtype: int, rdata: bytes) -> str:
    """Describe why the names of a listed type are misplaced; empty if they are not."""
    layout = _LAYOUTS.get(rtype)
    if layout is None:
        return ""
    skip, count, rest = layout
    start = skip if skip >= 0 else _skipped(rtype, rdata)
    if rtype == _A6 and start == len(rdata):
        return ""  # a prefix of no bits has no name (RFC 2874 §3.1)
    end = _end_of_names(rdata, start, count)
    if end is None:
        return f"expected {_plural(count)}, uncompressed, from octet {start}"
    if rest is not None and len(rdata) - end != rest:
        return f"{len(rdata) - end} octets after the names, expected {rest}"
    return ""


def uncompressed_rdata(rtype: int, frame: bytes, start: int, length: int) -> bytes:
    """Return RDATA in a message with its names uncompressed (RFC 3597 §4).

    Names of types other than those of RFC 4034 §6.2 are never compressed.

    Raises:
        DecodeError: the names are not where the type requires them.
    """
    layout = _LAYOUTS.get(rtype)
    end = start + length
    rdata = frame[start:end]
    if layout is None:
        return rdata
    skip, count, rest = layout
    if skip < 0:
        skip = _skipped(rtype, rdata)
        if rtype == _A6 and skip == length:
            return rdata
    position = start + skip
    parts = [frame[start:position]]
    for _ in range(count):
        found, position = read_name(frame, position)
        parts.append(found)
    left = end - position
    if left < 0 or (rest is not None and left != rest):
        raise DecodeError(f"not RDATA of type {iana.type_text(rtype)}", start)
    return b"".join(parts) + frame[position:end]


def _plural(count: int) -> str:
    return "a domain name" if count == 1 else f"{count} domain names"


def _end_of_names(rdata: bytes, position: int, count: int) -> int | None:
    """Return where this many uncompressed names end; None if they do not."""
    size = len(rdata)
    for _ in range(count):
        start = position
        length = 1
        while length:
            if position >= size:
                return None
            length = rdata[position]
            position += 1 + length
            if length > MAX_LABEL or position - start > MAX_NAME:
                return None
    return position if position <= size else None


def _skipped(rtype: int, rdata: bytes) -> int:
    """Return what precedes the name in an A6 (RFC 2874 §3.1) or NAPTR (RFC 3403 §4.1) record."""
    if rtype == _A6:
        bits = rdata[0] if rdata else 0
        return 1 + (max(128 - bits, 0) + 7) // 8
    position = 4
    for _ in range(3):
        position += 1 + (rdata[position] if position < len(rdata) else 0)
    return position
