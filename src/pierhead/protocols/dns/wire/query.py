"""Queries: the one message a DNS server reads (RFC 1035 §4.1, RFC 9619, RFC 6891).

`parse_query` makes one pass over the bytes and creates one object. It is strict: octets after the
last record are an error, as in NSD and Knot, because their meaning is undefined. A `BadQuery`
contains the refusal to send.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.bad_query import BadQuery
from pierhead.protocols.dns.wire.edns import Edns, Options, build_opt, parse_options
from pierhead.protocols.dns.wire.message import HEADER, OPCODE_MASK, QR, QUESTION, RD, Query
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["BadQuery", "build_query", "encode_query", "parse_query"]

_RECORD = Struct("!HHIH")
_OPT = Struct("!BHHIH")
_NO_OPTIONS: Options = ()
_DSO = iana.OPCODE_DSO << 11

_DO = 0x8000
_VERSION = 0x00FF0000


def parse_query(frame: bytes, refused: int = QR | OPCODE_MASK) -> Query:
    """Return the query in a message.

    Args:
        frame: the message.
        refused: bits of the header's second word that make it not a query; without the opcode bits,
            every kind of message with a question is accepted.

    Raises:
        BadQuery: it cannot be answered; contains the refusal to send.
    """
    if len(frame) < 12:
        raise BadQuery(f"message of {len(frame)} octets, expected 12 or more")
    ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(frame)
    if flags & refused:
        raise _no_query(flags, frame)
    # RFC 9619 §4: QDCOUNT is 1 in a query; anything else is FORMERR, except for RFC 7873 §5.4.
    if questions != 1:
        if flags & OPCODE_MASK == _DSO and frame[4:12] == bytes(8):
            # RFC 8490 §5.4: no section at all; what follows the header is parsed by a DSO handler.
            return Query(ident, flags, b"", b"\0", 0, iana.CLASS_IN, -1, False, (), frame)
        if questions == 0 and additionals and not flags & OPCODE_MASK:
            return _parse_without_question(frame)
        raise _refusal(frame, f"{questions} questions, expected 1", 4, iana.FORMERR)
    position = 12
    try:
        while length := frame[position]:
            if length > 63 or position > 265:
                raise _bad_question_name(length, position)
            position += length + 1
        position += 1
        qtype, qclass = QUESTION.unpack_from(frame, position)
    except (IndexError, StructError):
        raise BadQuery("message ends inside the question", len(frame)) from None
    if position > 267:
        raise BadQuery(f"name of {position - 12} octets, expected at most 255", 12)
    qname = frame[12:position]
    position += 4
    question = frame[12:position]
    if not (answers or authorities or additionals):
        if position != len(frame):
            raise _left_over(position, question)
        return Query(ident, flags, question, qname, qtype, qclass, -1, False, (), frame)
    if additionals == 1 and not (answers or authorities) and len(frame) >= position + 11:
        # One record, nearly always OPT: parsed here if it has no data, otherwise separately.
        root, rtype, payload, ttl, length = _OPT.unpack_from(frame, position)
        if not root and rtype == iana.OPT:
            do, end, options = ttl & _DO != 0, position + 11, _NO_OPTIONS
            if length or ttl & _VERSION:
                payload, do, options, end = _parse_opt(frame, position, question)
            if end != len(frame):
                raise _left_over(end, question, do)
            return Query(ident, flags, question, qname, qtype, qclass, payload, do, options, frame)
    return _parse_with_records(frame, question, qtype, qclass)


def build_query(
    ident: int,
    qname: Name,
    qtype: int,
    *,
    edns: Edns | None,
    rd: bool = False,
    qclass: int = iana.CLASS_IN,
    flags: int = 0,
) -> bytes:
    """Return a query as a client sends it; ``flags`` are more bits of the header's second word."""
    flags |= RD if rd else 0
    head = HEADER.pack(ident, flags, 1, 0, 0, 0 if edns is None else 1)
    opt = b"" if edns is None else build_opt(edns)
    return head + qname + QUESTION.pack(qtype, qclass) + opt


def encode_query(query: Query) -> bytes:
    """Return a query as a message; records other than OPT, which it lacks, are omitted."""
    edns = query.edns
    opt = b"" if edns is None else build_opt(edns)
    counts = 1 if query.question else 0, 0, 0, 1 if opt else 0
    return HEADER.pack(query.id, query.flags, *counts) + query.question + opt


def _parse_without_question(frame: bytes) -> Query:
    """Return a query without a question, which only a client that wants a cookie sends."""
    query = _parse_with_records(frame, b"", 0, iana.CLASS_IN)
    if query.option(iana.OPTION_COOKIE) is None:
        do = query.dnssec_ok if query.udp_payload >= 0 else None
        raise BadQuery("0 questions and no cookie, expected 1 question", 4, do=do)
    return query


def _parse_opt(frame: bytes, start: int, question: bytes) -> tuple[int, bool, Options, int]:
    """Return payload size, DO, the options' octets and the end of the OPT record at ``start``."""
    _, payload, ttl, length = _RECORD.unpack_from(frame, start + 1)  # the caller saw 11 octets
    do = bool(ttl & _DO)
    # RFC 6891 §6.1.3: an unknown version gets BADVERS, whatever its options look like.
    if ttl & _VERSION:
        raise BadQuery(
            f"EDNS version {ttl >> 16 & 255}, expected 0",
            start,
            iana.BADVERS,
            question=question,
            do=do,
        )
    start += 11
    end = start + length
    if end > len(frame):
        raise BadQuery("message ends inside the OPT record", start, question=question, do=do)
    try:
        options = parse_options(frame[start:end], start)
    except DecodeError as error:
        raise BadQuery(error.reason, error.offset, question=question, do=do) from None
    return payload, do, options, end


def _parse_with_records(frame: bytes, question: bytes, qtype: int, qclass: int) -> Query:
    """Finish a query with records besides one OPT; they are skipped unparsed."""
    ident, flags, _, answers, authorities, additionals = HEADER.unpack_from(frame)
    payload, do = -1, False
    options = _NO_OPTIONS
    version: BadQuery | None = None
    position = 12 + len(question)
    first_additional = answers + authorities
    for index in range(first_additional + additionals):
        owner_end, rtype, end = _skip_record(frame, position, question)
        if rtype == iana.OPT:
            # RFC 6891 §6.1.1: in the additional section, one, owned by the root.
            if index < first_additional:
                raise BadQuery("OPT outside the additional section", position, question=question)
            if owner_end != position + 1:
                raise BadQuery("OPT not owned by the root", position, question=question)
            if payload >= 0 or version is not None:
                raise BadQuery("more than one OPT", position, question=question, do=do)
            try:
                payload, do, options, end = _parse_opt(frame, position, question)
            except BadQuery as bad:
                if bad.rcode != iana.BADVERS:
                    raise
                # RFC 6891 §6.1.1: more than one OPT is FORMERR, whatever their versions are.
                version, do = bad, bool(bad.do)
        position = end
    if version is not None:
        raise version
    if position != len(frame):
        raise _left_over(position, question, do if payload >= 0 else None)
    qname = question[:-4] or b"\x00"
    return Query(ident, flags, question, qname, qtype, qclass, payload, do, options, frame)


def _skip_record(frame: bytes, start: int, question: bytes) -> tuple[int, int, int]:
    """Return the end of the owner, the type and the end of the record at ``start``."""
    position = _skip_name(frame, start, question)
    try:
        rtype, _, _, rdlength = _RECORD.unpack_from(frame, position)
    except StructError:
        raise BadQuery("message ends inside a record", start, question=question) from None
    end = position + 10 + rdlength
    if end > len(frame):
        raise BadQuery("message ends inside a record's data", position, question=question)
    return position, rtype, end


def _skip_name(frame: bytes, start: int, question: bytes) -> int:
    """Return the end of the name at ``start``."""
    position = start
    try:
        while length := frame[position]:
            if length >= 0xC0:
                # RFC 1035 §4.1.4: "a prior occurance of the same name".
                if (length & 0x3F) << 8 | frame[position + 1] >= start:
                    raise BadQuery("pointer does not point backwards", position, question=question)
                return position + 2
            if length > 63:
                raise BadQuery(f"label type {length >> 6:02b}", position, question=question)
            position += length + 1
    except IndexError:
        raise BadQuery("message ends inside a record", start, question=question) from None
    return position + 1


def _no_query(flags: int, frame: bytes) -> BadQuery:
    if flags & QR:
        return BadQuery("QR is set, expected a query", 2)
    opcode = (flags & OPCODE_MASK) >> 11
    reason = f"opcode {iana.opcode_text(opcode)}, expected QUERY"
    return _refusal(frame, reason, 2, iana.NOTIMP)


def _refusal(frame: bytes, reason: str, offset: int, rcode: int) -> BadQuery:
    """Return the refusal of another kind of message, with EDNS if the message has it.

    RFC 6891 §6.1.1: a request with an OPT record gets a response with one, and more than one is
    FORMERR; §6.1.3: an unknown version gets BADVERS. If the sections cannot be parsed, the message
    is treated as having no OPT record.
    """
    try:
        opts = _find_opts(frame)
    except BadQuery:
        opts = []
    if not opts:
        return BadQuery(reason, offset, rcode)
    if len(opts) > 1:
        reason, rcode = "more than one OPT", iana.FORMERR
    elif opts[0] & _VERSION and rcode == iana.NOTIMP:
        reason, rcode = f"EDNS version {opts[0] >> 16 & 255}, expected 0", iana.BADVERS
    return BadQuery(reason, offset, rcode, do=bool(opts[0] & _DO))


def _find_opts(frame: bytes) -> list[int]:
    """Return the TTL field, with version and DO, of each OPT record in the right place."""
    _, _, questions, answers, authorities, additionals = HEADER.unpack_from(frame)
    if not additionals:
        return []
    position, found = 12, []
    for _ in range(questions):
        position = _skip_name(frame, position, b"") + 4
    first_additional = answers + authorities
    for index in range(first_additional + additionals):
        owner_end, rtype, end = _skip_record(frame, position, b"")
        if rtype == iana.OPT and index >= first_additional and owner_end == position + 1:
            found.append(_RECORD.unpack_from(frame, owner_end)[2])
        position = end
    return found


def _bad_question_name(length: int, position: int) -> BadQuery:
    if length >= 0xC0:
        # Only the header precedes the first name, so there is nothing to point to.
        return BadQuery("compression pointer in the question", position)
    if length > 63:
        return BadQuery(f"label type {length >> 6:02b}, expected a label", position)
    return BadQuery("name longer than 255 octets", 12)


def _left_over(position: int, question: bytes, do: bool | None = None) -> BadQuery:
    return BadQuery("octets after the last record", position, question=question, do=do)
