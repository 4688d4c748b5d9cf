"""A message under construction: records are appended, and their names compressed.

Every name is looked up suffix by suffix in a table of the message so far, up to the first hit. The
labels before it are written out, so the effort is linear in the size of the message. Names are
compared without letter case (RFC 4343 §4.1). Inside RDATA only the types of RFC 1035 are compressed
(RFC 3597 §4).
"""

from __future__ import annotations

from struct import Struct

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section

__all__ = ["NAMES_INSIDE", "Writer", "name_end"]

_FIXED = Struct("!HHI")
_WORD = Struct("!H")
#: RFC 1035 §4.1.4: the offset field of a pointer has 14 bits.
_POINTER_END = 0x4000
#: Pointers that a reader must follow for one name; readers have limits (dnspython 16), and a chain
#: grows by one with each name that begins with the one before.
_MAX_POINTERS = 10

#: Types with names to compress: octets before the names, how many names.
NAMES_INSIDE = {
    iana.NS: (0, 1),
    iana.MD: (0, 1),
    iana.MF: (0, 1),
    iana.CNAME: (0, 1),
    iana.SOA: (0, 2),
    iana.MB: (0, 1),
    iana.MG: (0, 1),
    iana.MR: (0, 1),
    iana.PTR: (0, 1),
    iana.MINFO: (0, 2),
    iana.MX: (2, 1),
}


class Writer:
    """A message under construction."""

    __slots__ = ("_is_exact", "_places", "buf", "limit")

    def __init__(self, query: Query, limit: int, is_exact: bool = False) -> None:
        self.limit = limit
        self._is_exact = is_exact
        self.buf = bytearray(12) + query.question
        #: Every name and suffix in the message so far, in lower case unless case is kept: its
        #: offset, and how many pointers its reader has to follow from there.
        self._places: dict[Name, tuple[int, int]] = {}
        self._compress(query.qname, 12)

    def write(self, section: Section) -> int:
        """Append whole sets; return how many records, or -1 if they do not fit.

        After -1 the message ends where it ended before, and nothing more may be written: the
        table still knows names that are no longer there.
        """
        buf, limit = self.buf, self.limit
        start = len(buf)
        count = 0
        for shown, rrset in section:
            fixed = _FIXED.pack(rrset.rtype, rrset.rclass, rrset.ttl)
            inside = NAMES_INSIDE.get(rrset.rtype)
            for rdata in rrset.rdatas:
                buf += self._compress(shown, len(buf))
                buf += fixed
                if inside is None:
                    buf += _WORD.pack(len(rdata))
                    buf += rdata
                else:
                    self._write_names(rdata, *inside)
                # Checked after each record, so that a huge set costs no more than the limit.
                if len(buf) > limit:
                    del buf[start:]
                    return -1
            count += len(rrset.rdatas)
        return count

    def write_some(self, rrset: RRset, first: int) -> int:
        """Append records of a set from this one on; return which is the first that does not fit.

        If one does not fit, nothing more may be written, as after -1 of `write`.
        """
        buf, limit = self.buf, self.limit
        owner, rdatas = rrset.owner, rrset.rdatas
        fixed = _FIXED.pack(rrset.rtype, rrset.rclass, rrset.ttl)
        inside = NAMES_INSIDE.get(rrset.rtype)
        for index in range(first, len(rdatas)):
            start = len(buf)
            rdata = rdatas[index]
            buf += self._compress(owner, start)
            buf += fixed
            if inside is None:
                buf += _WORD.pack(len(rdata))
                buf += rdata
            else:
                self._write_names(rdata, *inside)
            if len(buf) > limit:
                del buf[start:]
                return index
        return len(rdatas)

    def _write_names(self, rdata: bytes, skip: int, names: int) -> None:
        """Append RDLENGTH and RDATA with its names compressed."""
        buf = self.buf
        length_at = len(buf)
        buf += b"\x00\x00"
        buf += rdata[:skip]
        start = skip
        for _ in range(names):
            end = name_end(rdata, start)
            buf += self._compress(rdata[start:end], len(buf))
            start = end
        buf += rdata[start:]
        _WORD.pack_into(buf, length_at, len(buf) - length_at - 2)

    def _compress(self, name: Name, position: int) -> bytes:
        """Return the name as written at this position, and record its suffixes."""
        places = self._places
        lower = name if self._is_exact else name.lower()
        noted: list[tuple[Name, int]] = []
        written = name
        hops = start = 0
        while length := name[start]:
            suffix = lower[start:]
            place = places.get(suffix)
            if place is not None and place[1] < _MAX_POINTERS:
                written = name[:start] + _WORD.pack(0xC000 | place[0])
                hops = place[1] + 1
                break
            if position + start < _POINTER_END:
                noted.append((suffix, position + start))
            start += length + 1
        for suffix, offset in noted:
            places[suffix] = offset, hops
        return written


def name_end(rdata: bytes, start: int) -> int:
    """Return where the name at ``start`` ends."""
    while length := rdata[start]:
        start += length + 1
    return start + 1
