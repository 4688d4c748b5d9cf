"""What a client gets back: the answer as values, its data as text on request."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns, parse_options
from pierhead.protocols.dns.wire.message import AA, AD, HEADER, QR, QUESTION, RCODE_MASK, TC
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["Head", "ResourceRecord", "Response", "parse_head", "parse_response"]

_RECORD = Struct("!HHIH")
_RA = 0x0080
_DO = 0x8000


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """One record of an answer.

    Attributes:
        owner: the owner name in wire form.
        rtype, rclass: type and class numbers.
        ttl: seconds it may be cached.
        frame, start, length: the message and where RDATA is in it, since names inside may
            point to other places of the message.
    """

    owner: Name
    rtype: int
    rclass: int
    ttl: int
    frame: bytes
    start: int
    length: int

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
            DecodeError: RDATA is not what its type wants.
        """
        from pierhead.protocols.dns.zone.rdata_format import format_rdata

        try:
            return format_rdata(self.rtype, self.frame, self.start, self.length, self.rclass)
        except DecodeError as error:
            where = f"RDATA of {self.name} {self.type}"
            raise DecodeError(f"{where}: {error.reason}", error.offset) from None

    @property
    def octets(self) -> bytes:
        """RDATA as it came; a compressed name in it points to elsewhere in the message."""
        return self.frame[self.start : self.start + self.length]

    def __str__(self) -> str:
        return f"{self.name} {self.ttl} {iana.class_text(self.rclass)} {self.type} {self.data}"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer.

    Attributes:
        id: the identifier, the query's own.
        flags: the second word of the header.
        rcode: NOERROR, NXDOMAIN …; with the upper bits of the OPT record.
        question: name, type and class as echoed; None where the section is empty.
        answer, authority, additional: the records, the OPT record left out.
        edns: what the OPT record says; None without one.
        frame: the message itself.
        server: the address that answered, as it was asked; empty where nobody said.
    """

    id: int
    flags: int
    rcode: int
    question: tuple[Name, int, int] | None
    answer: tuple[ResourceRecord, ...]
    authority: tuple[ResourceRecord, ...]
    additional: tuple[ResourceRecord, ...]
    edns: Edns | None
    frame: bytes
    server: str = ""

    @property
    def authoritative(self) -> bool:
        """The AA bit."""
        return bool(self.flags & AA)

    @property
    def truncated(self) -> bool:
        """The TC bit."""
        return bool(self.flags & TC)

    @property
    def recursion_available(self) -> bool:
        """The RA bit."""
        return bool(self.flags & _RA)

    @property
    def authentic_data(self) -> bool:
        """The AD bit."""
        return bool(self.flags & AD)

    def __repr__(self) -> str:
        counts = f"{len(self.answer)}+{len(self.authority)}+{len(self.additional)}"
        return f"<Response {self.id} {iana.rcode_text(self.rcode)} {counts} records>"


class Head(NamedTuple):
    """What tells whose answer a message is; read in the same time however long it is.

    Attributes:
        id: the identifier.
        flags: the second word of the header.
        counts: records of the three sections behind the question.
        question: name, type and class as echoed; None where the section is empty.
        end: where the records begin.
    """

    id: int
    flags: int
    counts: tuple[int, int, int]
    question: tuple[Name, int, int] | None
    end: int


def parse_head(frame: bytes) -> Head:
    """Return what a response begins with: header and question.

    Raises:
        DecodeError: it is none.
    """
    if len(frame) < 12:
        raise DecodeError(f"message of {len(frame)} octets, expected 12 or more")
    ident, flags, questions, *counts = HEADER.unpack_from(frame)
    if not flags & QR:
        raise DecodeError("QR is clear, expected a response", 2)
    if questions > 1:
        raise DecodeError(f"{questions} questions, expected at most 1", 4)
    position, question = 12, None
    if questions:
        qname, position = read_name(frame, position)
        if position + 4 > len(frame):
            raise DecodeError("message ends inside the question", position)
        question = (qname, *QUESTION.unpack_from(frame, position))
        position += 4
    return Head(ident, flags, (counts[0], counts[1], counts[2]), question, position)


def parse_response(frame: bytes, server: str = "", *, head: Head | None = None) -> Response:
    """Return the response in a message that came from this address.

    Args:
        frame: the message.
        server: where it came from, for `Response.server`.
        head: what `parse_head` has returned for this message, where it was asked before.

    Raises:
        DecodeError: there is none.
    """
    ident, flags, counts, question, position = head or parse_head(frame)
    sections = []
    for count in counts:
        section = []
        for _ in range(count):
            record, position = _read_record(frame, position)
            section.append(record)
        sections.append(section)
    opts = [record for record in sections[2] if record.rtype == iana.OPT]
    if len(opts) > 1:
        raise DecodeError("more than one OPT record")
    edns = _read_opt(opts[0]) if opts else None
    rcode = flags & RCODE_MASK | ((opts[0].ttl >> 24) << 4 if opts else 0)
    answer, authority, additional = (
        tuple(record for record in section if record.rtype != iana.OPT) for section in sections
    )
    return Response(
        ident, flags, rcode, question, answer, authority, additional, edns, frame, server
    )


def _read_record(frame: bytes, start: int) -> tuple[ResourceRecord, int]:
    owner, position = read_name(frame, start)
    if position + 10 > len(frame):
        raise DecodeError("message ends inside a record", start)
    rtype, rclass, ttl, length = _RECORD.unpack_from(frame, position)
    position += 10
    if position + length > len(frame):
        raise DecodeError("message ends inside a record's data", position)
    record = ResourceRecord(owner, rtype, rclass, ttl, frame, position, length)
    return record, position + length


def _read_opt(record: ResourceRecord) -> Edns:
    data = record.frame[record.start : record.start + record.length]
    options = parse_options(data, record.start)
    return Edns(record.rclass, bool(record.ttl & _DO), record.ttl >> 16 & 255, options)
