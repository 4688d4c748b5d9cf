"""Records in a message: parsed in place, with their data as text on request."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["ResourceRecord", "Sections", "read_sections"]

_RECORD = Struct("!HHIH")


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """One record of a message.

    Attributes:
        owner: the owner name in wire form.
        rtype, rclass: type and class numbers.
        ttl: seconds it may be cached.
        frame, start, length: the message and the position of RDATA in it, since names inside may
            point to other places of the message.
        offset: where the record begins in the message.
    """

    owner: Name
    rtype: int
    rclass: int
    ttl: int
    frame: bytes
    start: int
    length: int
    offset: int

    @property
    def name(self) -> str:
        """The owner as text."""
        return to_text(self.owner)

    @property
    def type(self) -> str:
        """The type as text."""
        return iana.type_text(self.rtype)

    @property
    def data(self) -> str:
        """RDATA in master-file form.

        Raises:
            DecodeError: RDATA is invalid for its type.
        """
        from pierhead.protocols.dns.zone.rdata_format import format_rdata

        try:
            return format_rdata(self.rtype, self.frame, self.start, self.length, self.rclass)
        except DecodeError as error:
            where = f"RDATA of {self.name} {self.type}"
            raise DecodeError(f"{where}: {error.reason}", error.offset) from None

    @property
    def octets(self) -> bytes:
        """RDATA as received; a compressed name in it points elsewhere in the message."""
        return self.frame[self.start : self.start + self.length]

    def __str__(self) -> str:
        return f"{self.name} {self.ttl} {iana.class_text(self.rclass)} {self.type} {self.data}"


class Sections(NamedTuple):
    """The records of a message by section, including OPT, TSIG and the like.

    An UPDATE has prerequisites for its answer, and updates for its authority section (RFC 2136 §2).
    """

    answer: tuple[ResourceRecord, ...]
    authority: tuple[ResourceRecord, ...]
    additional: tuple[ResourceRecord, ...]


def read_sections(frame: bytes, position: int, counts: tuple[int, int, int]) -> Sections:
    """Parse the records of the three sections that begin at a position.

    Raises:
        DecodeError: a record is truncated, or its owner is not a name.
    """
    sections = []
    for count in counts:
        section = []
        for _ in range(count):
            record, position = _read_record(frame, position)
            section.append(record)
        sections.append(tuple(section))
    return Sections(*sections)


def _read_record(frame: bytes, start: int) -> tuple[ResourceRecord, int]:
    owner, position = read_name(frame, start)
    if position + 10 > len(frame):
        raise DecodeError("message ends inside a record", start)
    rtype, rclass, ttl, length = _RECORD.unpack_from(frame, position)
    position += 10
    if position + length > len(frame):
        raise DecodeError("message ends inside a record's data", position)
    record = ResourceRecord(owner, rtype, rclass, ttl, frame, position, length, start)
    return record, position + length
