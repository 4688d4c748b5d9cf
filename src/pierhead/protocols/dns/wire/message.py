"""Messages as values: questions (`Query`) and answers (`Reply`).

Both are created once per packet, so they are plain slotted objects and their parts stay bytes until
text is requested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final, TypeAlias

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.bad_query import BadQuery
from pierhead.protocols.dns.wire.edns import Edns, Options
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.received import Sections, read_sections
from pierhead.protocols.dns.wire.record import Record, check_records, not_a_record, rrsets
from pierhead.protocols.dns.wire.rrset import Name, Section

__all__ = ["Query", "Reply", "Seal"]

#: ID, flags, and the counts of the four sections (RFC 1035 §4.1.1).
HEADER = Struct("!HHHHHH")
#: QTYPE and QCLASS, after the name.
QUESTION = Struct("!HH")

# The bits of the second word.
QR = 0x8000
OPCODE_MASK = 0x7800
AA = 0x0400
TC = 0x0200
RD = 0x0100
RA = 0x0080
AD = 0x0020
CD = 0x0010
RCODE_MASK = 0x000F
#: RFC 6891 §6.1.3: an RCODE has twelve bits with EDNS.
MAX_RCODE = 0xFFF


#: The final function that a reply's octets pass through.
Seal: TypeAlias = Callable[[bytes], bytes]
#: A larger reserve leaves no room for a header and a name.
_MAX_RESERVE = 0xFFFF - 12 - 255

#: Question types that ask for records of every type (RFC 1035 §3.2.3, RFC 1995 §3).
_ALL_TYPES = frozenset([iana.ANY, iana.AXFR, iana.IXFR])
#: Those that ask for several (RFC 1035 §3.2.3).
_MAIL_TYPES = {
    iana.MAILB: (iana.MB, iana.MG, iana.MR, iana.MINFO),
    iana.MAILA: (iana.MD, iana.MF),
}


class Query:
    """One question, and what its sender accepts; immutable.

    Attributes:
        id: the message's identifier.
        flags: the second word of the header: QR, opcode, the other bits, RCODE.
        question: the question section as received; empty if there is none.
        opcode: QUERY (0), unless a layer or the service accepts others.
        qname: the queried name, in wire form, with its original letter case.
        qtype, qclass: numbers of the queried type and class.
        name: ``qname`` as text: ``www.example.``.
        rtype: ``qtype`` as text: ``AAAA``.
        recursion_desired, checking_disabled, authentic_data: the RD, CD and AD bits.
        dnssec_ok: the DO bit of the OPT record: signatures and proofs are requested (RFC 3225 §3).
        udp_payload: how many octets fit into a datagram, from the OPT record; -1 if there was none.
        options: codes and data of the EDNS options, in their order.
        edns: the OPT record; None if there was none.
        has_question: False for a request about cookies alone (RFC 7873 §5.4), whose name is the
            root and whose type is 0; it never reaches a service.
        frame: the message as received; empty for a query that was not received.
    """

    # Slots, and `Final` for type checkers: a property would cost four times as much to read
    # (docs/decisions/0009-objects-on-the-packet-path.md).
    __slots__ = (
        "dnssec_ok",
        "flags",
        "frame",
        "id",
        "options",
        "qclass",
        "qname",
        "qtype",
        "question",
        "udp_payload",
    )

    id: Final[int]
    flags: Final[int]
    question: Final[bytes]
    qname: Final[Name]
    qtype: Final[int]
    qclass: Final[int]
    udp_payload: Final[int]
    dnssec_ok: Final[bool]
    options: Final[Options]
    frame: Final[bytes]

    def __init__(
        self,
        ident: int,
        flags: int,
        question: bytes,
        qname: Name,
        qtype: int,
        qclass: int,
        payload: int,
        do: bool,
        options: Options,
        frame: bytes = b"",
    ) -> None:
        self.id = ident
        self.flags = flags
        self.question = question
        self.qname = qname
        self.qtype = qtype
        self.qclass = qclass
        self.udp_payload = payload
        self.dnssec_ok = do
        self.options = options
        self.frame = frame

    @property
    def opcode(self) -> int:
        """The kind of message: QUERY (0), NOTIFY (4), UPDATE (5) …"""
        return (self.flags & OPCODE_MASK) >> 11

    @property
    def name(self) -> str:
        """The queried name, as text: ``www.example.``."""
        return to_text(self.qname)

    @property
    def rtype(self) -> str:
        """The queried type, as text: ``AAAA``."""
        return iana.type_text(self.qtype)

    @property
    def recursion_desired(self) -> bool:
        """The RD bit."""
        return bool(self.flags & RD)

    @property
    def checking_disabled(self) -> bool:
        """The CD bit (RFC 4035 §3.2.2)."""
        return bool(self.flags & CD)

    @property
    def authentic_data(self) -> bool:
        """The AD bit (RFC 6840 §5.7)."""
        return bool(self.flags & AD)

    @property
    def has_question(self) -> bool:
        """Whether there is a question; False for a request about cookies alone."""
        return bool(self.question)

    def option(self, code: int) -> bytes | None:
        """Return the data of the first EDNS option with this code; None if there is none."""
        for each, data in self.options:
            if each == code:
                return data
        return None

    @property
    def edns(self) -> Edns | None:
        """The content of the OPT record; None if there was none."""
        if self.udp_payload < 0:
            return None
        return Edns(self.udp_payload, self.dnssec_ok, 0, self.options)

    def sections(self) -> Sections:
        """Return the records after the question, parsed from `frame` at each call.

        Raises:
            BadQuery: an owner is not a name. A service or layer lets it propagate: it becomes the
                refusal that is sent.
        """
        _, _, _, *counts = HEADER.unpack_from(self.frame or bytes(12))
        start = 12 + len(self.question)
        try:
            return read_sections(self.frame, start, (counts[0], counts[1], counts[2]))
        except DecodeError as error:
            raise BadQuery(error.reason, error.offset, question=self.question) from None

    def reply(
        self,
        *records: Record,
        authority: Iterable[Record] = (),
        additional: Iterable[Record] = (),
        ttl: int = 300,
        rcode: int = iana.NOERROR,
        authoritative: bool = True,
        recursion_available: bool = False,
        authentic_data: bool = False,
    ) -> Reply:
        """Return the reply with these records.

        A record belongs to the queried name unless it has its own name, and then it is kept
        whatever was asked. Of the others, those of a type that was not asked for are omitted, so
        that one function can return an A and an AAAA record for both questions; a CNAME answers
        any. ANY, AXFR and IXFR ask for all types.

        Args:
            records: the answer section.
            authority: that section: an SOA record for a negative answer (RFC 2308 §3), NS records
                of a delegation.
            additional: records that are omitted if they do not fit.
            ttl: how many seconds a record may be cached that has no TTL of its own.
            rcode: NOERROR, NXDOMAIN, REFUSED …
            authoritative: the AA bit; never set with other codes than NOERROR and NXDOMAIN.
            recursion_available, authentic_data: the RA and AD bits.

        Raises:
            UsageError: a record or the code is invalid, a TTL is out of range, or records of one
                set have different TTLs.

        Example:
            >>> from pierhead.protocols import dns
            >>> async def alias(query, context):
            ...     return query.reply(
            ...         dns.CNAME("www.example.net."),
            ...         dns.A("192.0.2.1", name="www.example.net.", ttl=60),
            ...     )
        """
        for record in records:
            if not isinstance(record, Record):
                raise not_a_record(record)
        if rcode != iana.NOERROR:
            check_rcode(rcode)
        if self.qtype not in _ALL_TYPES:
            wanted = (*_MAIL_TYPES.get(self.qtype, (self.qtype,)), iana.CNAME)
            records = tuple(record for record in records if record.rtype in wanted or record.owner)
        answer = rrsets(records, self.qname, ttl, self.qclass)
        claim = authoritative and rcode in (iana.NOERROR, iana.NXDOMAIN)
        reply = Reply(self, rcode, claim, answer)
        if authority:
            reply.authority = self._section("authority", authority, ttl)
        if additional:
            reply.additional = self._section("additional", additional, ttl)
        if recursion_available or authentic_data:
            reply.flags = (RA if recursion_available else 0) | (AD if authentic_data else 0)
        return reply

    def _section(self, what: str, records: Iterable[Record], ttl: int) -> Section:
        return rrsets(check_records(what, records), self.qname, ttl, self.qclass)

    def asking(self, qname: Name, qtype: int) -> Query:
        """Return the same query for another name and type."""
        question = qname + QUESTION.pack(qtype, self.qclass)
        return Query(
            self.id,
            self.flags,
            question,
            qname,
            qtype,
            self.qclass,
            self.udp_payload,
            self.dnssec_ok,
            self.options,
        )

    def having_id(self, ident: int) -> Query:
        """Return the same query with another identifier."""
        return Query(
            ident,
            self.flags,
            self.question,
            self.qname,
            self.qtype,
            self.qclass,
            self.udp_payload,
            self.dnssec_ok,
            self.options,
        )

    def __repr__(self) -> str:
        return f"<Query {self.id} {self.name} {iana.class_text(self.qclass)} {self.rtype}>"


def _both(first: Seal, second: Seal) -> Seal:
    return lambda message: second(first(message))


def check_rcode(rcode: object) -> None:
    """Refuse what is not a response code.

    Raises:
        UsageError: it is not a number, or does not fit into a message.
    """
    if isinstance(rcode, int) and 0 <= rcode <= MAX_RCODE:
        return
    number = iana.rcode_number(rcode) if isinstance(rcode, str) else None
    known = "" if number is None else f"; {rcode} is {number}"
    raise UsageError(
        f"rcode is {rcode!r}, expected a number from 0 to {MAX_RCODE} such as dns.REFUSED{known}"
    )


class Reply:
    """The answer to one query; treat it as immutable.

    Attributes:
        query: the query that it answers.
        rcode: NOERROR, NXDOMAIN …
        authoritative: the AA bit.
        answer, authority: what must be in the message; if it does not fit, the message is truncated
            (TC) and carries none of it.
        glue: addresses without which a referral is useless; truncated like the answer
            (RFC 9471 §3).
        additional: omitted without truncation if it does not fit.
        options: EDNS options, sent if the query had an OPT record.
        truncated: set TC and omit the records, whether or not they fit.
        padding: pad the message to a multiple of this many octets (RFC 7830); 0 for none.
        made_by: the name that stands for all names with the same answer, such as the owner of a
            wildcard; empty if the reply is for this name only, or if its first set tells. Response
            rate limiting counts by it.
        flags: more bits of the header's second word: RA, AD, CD.
        reserve: octets kept free for `seal`.
        seal: takes the message as it would be sent, and returns what is sent; see `sealed`.
        is_exact: keep the letter case of every name but the question's, as forwarding requires;
            names are compressed less.
        packed: the answer section as octets that follow this query's question, and how many records
            it has; then ``answer`` says only which set is first. `batch` makes such replies.
    """

    __slots__ = (
        "additional",
        "answer",
        "authoritative",
        "authority",
        "flags",
        "glue",
        "is_exact",
        "made_by",
        "options",
        "packed",
        "padding",
        "query",
        "rcode",
        "reserve",
        "seal",
        "truncated",
    )

    def __init__(
        self,
        query: Query,
        rcode: int = iana.NOERROR,
        authoritative: bool = False,
        answer: Section = (),
        authority: Section = (),
        *,
        glue: Section = (),
        additional: Section = (),
        options: Options = (),
        truncated: bool = False,
        padding: int = 0,
        made_by: Name = b"",
        flags: int = 0,
        is_exact: bool = False,
    ) -> None:
        self.query = query
        self.rcode = rcode
        self.authoritative = authoritative
        self.answer = answer
        self.authority = authority
        self.glue = glue
        self.additional = additional
        self.options = options
        self.truncated = truncated
        self.padding = padding
        self.made_by = made_by
        self.flags = flags
        self.is_exact = is_exact
        self.reserve = 0
        self.seal: Seal | None = None
        self.packed: tuple[bytes, int] | None = None

    def having(self, code: int, data: bytes) -> Reply:
        """Return a copy with this EDNS option, replacing any with the same code."""
        copy = self._copy()
        option = (code, data)
        kept = [each for each in self.options if each[0] != code] if self.options else ()
        copy.options = (*kept, option)
        return copy

    def made_from(self, name: Name) -> Reply:
        """Return a copy that says which name it stands for, in wire form; see ``made_by``."""
        copy = self._copy()
        copy.made_by = name
        return copy

    def padded(self, block: int) -> Reply:
        """Return a copy whose message is padded to a multiple of this many octets."""
        copy = self._copy()
        copy.padding = block
        return copy

    def sealed(self, seal: Seal, *, reserve: int) -> Reply:
        """Return a copy whose octets pass through a function before they are sent.

        It is called once, with the whole message, after records were omitted or TC was set; this is
        how a signature is appended (RFC 8945 §5.3). What it needs to know about this reply, it
        carries itself: a method, a closure. Of two, that of the outer layer is called last.

        Args:
            seal: returns what is sent.
            reserve: the most octets it adds; that much is kept free for it.

        Raises:
            UsageError: ``reserve`` is out of range.
        """
        if not 0 <= reserve <= _MAX_RESERVE:
            raise UsageError(f"reserve is {reserve}, expected 0 to {_MAX_RESERVE} octets")
        copy = self._copy()
        copy.seal = seal if self.seal is None else _both(self.seal, seal)
        copy.reserve += reserve
        return copy

    def unsealed(self) -> Reply:
        """Return a copy that is neither sealed nor padded, and keeps nothing free."""
        copy = self._copy()
        copy.seal = None
        copy.reserve = copy.padding = 0
        return copy

    def cut(self) -> Reply:
        """Return a copy with TC and without records: retry over a stream."""
        copy = self._copy()
        copy.truncated = True
        copy.authoritative = False
        copy.answer = copy.authority = copy.glue = copy.additional = ()
        copy.packed = None
        return copy

    def reduced(self, authority: Section) -> Reply:
        """Return a copy with this authority section and without additional sets."""
        copy = self._copy()
        copy.authority = authority
        copy.additional = ()
        return copy

    def _copy(self) -> Reply:
        # Slot by slot: half the cost of a call with ten arguments.
        copy = Reply.__new__(Reply)
        copy.query = self.query
        copy.rcode = self.rcode
        copy.authoritative = self.authoritative
        copy.answer = self.answer
        copy.authority = self.authority
        copy.glue = self.glue
        copy.additional = self.additional
        copy.options = self.options
        copy.truncated = self.truncated
        copy.padding = self.padding
        copy.made_by = self.made_by
        copy.flags = self.flags
        copy.is_exact = self.is_exact
        copy.reserve = self.reserve
        copy.seal = self.seal
        copy.packed = self.packed
        return copy

    def __repr__(self) -> str:
        return f"<Reply {iana.rcode_text(self.rcode)} to {self.query.name} {self.query.rtype}>"
