"""A response as a client sees it: values, with record data as text on request."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple, final

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import uncompressed_rdata
from pierhead.protocols.dns.wire.edns import Edns, parse_options
from pierhead.protocols.dns.wire.message import (
    AA,
    AD,
    CD,
    HEADER,
    QR,
    QUESTION,
    RA,
    RCODE_MASK,
    TC,
    Query,
    Reply,
)
from pierhead.protocols.dns.wire.name import key, to_text
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.wire.received import ResourceRecord, read_sections
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section

__all__ = ["Head", "ResourceRecord", "Response", "parse_head", "parse_response"]

_DO = 0x8000
_SIG = iana.type_number("SIG")


@final
@dataclass(frozen=True, slots=True)
class Response:
    """One answer.

    Attributes:
        id: the identifier, the query's own.
        flags: the second word of the header.
        rcode: NOERROR, NXDOMAIN …; with the upper bits of the OPT record.
        question: name, type and class as echoed; None if the section is empty.
        answer, authority, additional: the records, without the OPT record.
        edns: the content of the OPT record; None without one.
        frame: the message itself.
        server: the address that answered, as it was queried; empty if unknown.
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
        return bool(self.flags & RA)

    @property
    def authentic_data(self) -> bool:
        """The AD bit."""
        return bool(self.flags & AD)

    def to_reply(
        self, query: Query, *, options: Collection[int] = (iana.OPTION_EXTENDED_ERROR,)
    ) -> Reply:
        """Return a reply that forwards this response to the sender of a query.

        It has the query's identifier and question, and from the response: the RCODE, the bits AA,
        RA and CD, AD if the query requests it (RFC 6840 §5.8), TC, and every record of the three
        sections in order, with its letter case and TTL. What is hop-by-hop is not forwarded:
        signatures over the message (TSIG, SIG(0)), EDNS options that are not listed, and codes
        above 15, which concern the exchange and become SERVFAIL.

        Args:
            query: has the same question; its name may differ in letter case.
            options: codes of the EDNS options to forward. Only the reasons of RFC 8914 concern the
                answer itself.

        Raises:
            UsageError: the response answers another question.
            DecodeError: the data of a record is invalid for its type.

        Example:
            >>> async def forward(query, context):
            ...     async with dns.Client("192.0.2.1") as upstream:
            ...         response = await upstream.query(query.name, query.rtype)
            ...     return response.to_reply(query)
        """
        self._check_answers(query)
        asks_ad = query.dnssec_ok or query.authentic_data
        flags = self.flags & (RA | CD | (AD if asks_ad else 0))
        edns = self.edns.options if self.edns is not None else ()
        reply = Reply(
            query,
            self.rcode if self.rcode <= RCODE_MASK else iana.SERVFAIL,
            self.authoritative,
            options=tuple(option for option in edns if option[0] in options),
            truncated=self.truncated,
            flags=flags,
            is_exact=True,
        )
        if not self.truncated:
            reply.answer = _section(self.answer, query.qname)
            reply.authority = _section(self.authority, query.qname)
            additional = _section(self.additional, query.qname)
            # RFC 9471 §3: a referral without its glue is useless, and sets TC.
            if self._is_referral:
                reply.glue = additional
            else:
                reply.additional = additional
        return reply

    def _check_answers(self, query: Query) -> None:
        """Refuse to forward an answer to another question."""
        if self.question is None:
            return
        qname, *kind = self.question
        if kind != [query.qtype, query.qclass] or key(qname) != key(query.qname):
            asked = f"{to_text(qname)} {iana.class_text(kind[1])} {iana.type_text(kind[0])}"
            raise UsageError(f"the response answers {asked}, expected an answer to {query!r}")

    @property
    def _is_referral(self) -> bool:
        types = {record.rtype for record in self.authority}
        no_answer = self.rcode == iana.NOERROR and not self.answer
        return no_answer and iana.NS in types and iana.SOA not in types

    def __repr__(self) -> str:
        counts = f"{len(self.answer)}+{len(self.authority)}+{len(self.additional)}"
        return f"<Response {self.id} {iana.rcode_text(self.rcode)} {counts} records>"


def _section(records: Iterable[ResourceRecord], qname: Name) -> Section:
    """Group adjacent records into sets, so that their order is kept."""
    asked = key(qname)
    sets: list[tuple[Name, int, int, int, list[bytes]]] = []
    last: object = None
    for record in records:
        if _is_of_the_message(record):
            continue
        rdata = uncompressed_rdata(record.rtype, record.frame, record.start, record.length)
        covered = rdata[:2] if record.rtype == iana.RRSIG else b""
        kind = record.owner, record.rtype, record.rclass, record.ttl, covered
        if kind != last:
            shown = qname if key(record.owner) == asked else record.owner
            sets.append((shown, record.rtype, record.rclass, record.ttl, []))
            last = kind
        sets[-1][4].append(rdata)
    return tuple(
        (shown, RRset(shown, rtype, ttl, tuple(rdatas), rclass))
        for shown, rtype, rclass, ttl, rdatas in sets
    )


def _is_of_the_message(record: ResourceRecord) -> bool:
    """Tell whether a record signs the message it is in: TSIG (RFC 8945), SIG(0) (RFC 2931)."""
    return record.rtype == iana.TSIG or (record.rtype == _SIG and record.octets[:2] == b"\0\0")


class Head(NamedTuple):
    """What identifies the query a message answers; read in constant time.

    Attributes:
        id: the identifier.
        flags: the second word of the header.
        counts: records in the three sections after the question.
        question: name, type and class as echoed; None if the section is empty.
        end: where the records begin.
    """

    id: int
    flags: int
    counts: tuple[int, int, int]
    question: tuple[Name, int, int] | None
    end: int


def parse_head(frame: bytes) -> Head:
    """Return the beginning of a response: header and question.

    Raises:
        DecodeError: it is not a response.
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
    """Return the response in a message from this address.

    Args:
        frame: the message.
        server: where it came from, for `Response.server`.
        head: the result of `parse_head` for this message, if available.

    Raises:
        DecodeError: it is not a response.
    """
    ident, flags, counts, question, position = head or parse_head(frame)
    sections = read_sections(frame, position, counts)
    opts = [record for record in sections.additional if record.rtype == iana.OPT]
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


def _read_opt(record: ResourceRecord) -> Edns:
    data = record.frame[record.start : record.start + record.length]
    options = parse_options(data, record.start)
    return Edns(record.rclass, bool(record.ttl & _DO), record.ttl >> 16 & 255, options)
