"""Replies as bytes: compression, the size limit and truncation.

    header  question  answer  authority  glue  additional  OPT
            └─ offset 12: the first name that a pointer may refer to (0xC00C)

Names are compressed in one pass: every name is looked up suffix by suffix in a table of the message
so far, up to the first hit. The labels before it are written out, so the effort is linear in the
size of the message. Names are compared without letter case and the question keeps its own (RFC 4343
§4.1). Inside RDATA only the types of RFC 1035 are compressed (RFC 3597 §4).

Most answers need no table: every set is owned by the queried name or one above it, and names
inside, if any, end in the owner. Such sets keep their octets ready, split wherever a pointer to the
owner goes: an answer is header, question and ``pointer.join(pieces)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.bad_query import BadQuery
from pierhead.protocols.dns.wire.edns import Edns, Options, build_opt
from pierhead.protocols.dns.wire.message import (
    AA,
    HEADER,
    OPCODE_MASK,
    QR,
    RD,
    TC,
    Reply,
    Seal,
)
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section
from pierhead.protocols.dns.wire.writer import NAMES_INSIDE, Writer, name_end

__all__ = ["MAX_MESSAGE", "encode_refusal", "encode_reply"]

#: The length field of a message on a stream has two octets (RFC 1035 §4.2.2).
MAX_MESSAGE = 65535

_FIXED = Struct("!HHI")
_WORD = Struct("!H")
#: What a reply copies from its query: the opcode, and RD with QUERY.
_COPIED = OPCODE_MASK | RD
#: Code and length of an EDNS option.
_OPTION_HEAD = 4
_TO_QUESTION = b"\xc0\x0c"


def encode_reply(reply: Reply, limit: int, payload: int) -> bytes:
    """Return the reply as a message of at most ``limit`` octets (512 or more).

    ``payload`` is what we accept ourselves, sent in the OPT record if the query had one.

    Raises:
        UsageError: the reply cannot be encoded: an RCODE above 15 without EDNS.
    """
    query = reply.query
    if reply.padding or reply.seal is not None:
        return _encode_finished(reply, limit, payload)
    copied = query.flags & _COPIED
    if copied > RD:
        copied &= OPCODE_MASK  # RD applies only to queries (RFC 1035 §4.1.1)
    flags = QR | copied | reply.flags | reply.rcode & 15
    if reply.authoritative:
        flags |= AA
    if query.udp_payload < 0 and reply.rcode <= 15:
        opt = b""
    elif reply.rcode <= 15 and not reply.options:
        opt = _plain_opt(payload, query.dnssec_ok)
    else:
        opt = _build_opt(reply, payload)
    if reply.truncated or not query.question:
        return _encode_empty(reply, flags, limit, opt)
    if reply.packed is not None:
        return _encode_packed(reply, reply.packed, flags, limit, opt)
    if not (reply.glue or reply.additional or reply.is_exact):
        qname, question = query.qname, query.question
        answer = _join_ready(reply.answer, qname)
        authority = _join_ready(reply.authority, qname) if answer is not None else None
        if answer is not None and authority is not None:
            head = HEADER.pack(query.id, flags, 1, answer[1], authority[1], 1 if opt else 0)
            message = head + question + answer[0] + authority[0] + opt
            if len(message) <= limit:
                return message
    return _encode_sections(reply, flags, limit, opt)


def encode_refusal(error: BadQuery, frame: bytes, payload: int, options: Options = ()) -> bytes:
    """Return the refusal of a message that has 12 octets and no QR bit.

    The options are omitted if the query had no OPT record.
    """
    ident, flags, *_ = HEADER.unpack_from(frame)
    opt = b"" if error.do is None else build_opt(Edns(payload, error.do, 0, options), error.rcode)
    # RD applies only to queries (RFC 1035 §4.1.1); other opcodes have no such bit to copy.
    copied = OPCODE_MASK if flags & OPCODE_MASK else RD
    flags = QR | flags & copied | error.rcode & 15
    counts = 1 if error.question else 0, 0, 0, 1 if opt else 0
    return HEADER.pack(ident, flags, *counts) + error.question + opt


@lru_cache(maxsize=16)  # two per payload size, and a process has one or two of those
def _plain_opt(payload: int, do: bool) -> bytes:
    return build_opt(Edns(payload, do))


def _build_opt(reply: Reply, payload: int) -> bytes:
    query = reply.query
    if query.udp_payload < 0:
        raise UsageError(
            f"rcode {iana.rcode_text(reply.rcode)} needs EDNS, and the query to {query.name} "
            "has none; reply with a code up to 15"
        )
    # RFC 6891 §6.1.4, RFC 3225 §3: DO is copied from the query.
    return build_opt(Edns(payload, query.dnssec_ok, 0, reply.options), reply.rcode)


def _encode_finished(reply: Reply, limit: int, payload: int) -> bytes:
    """Return a message that is padded, sealed, or both."""
    bare, reserve = reply.unsealed(), reply.reserve
    message = encode_reply(bare, limit - reserve, payload)
    # Without an OPT record there is no place for padding.
    if reply.padding and reply.query.udp_payload >= 0:
        size = len(message) + _OPTION_HEAD + reserve
        # RFC 8467 §4.1: a multiple of the block, unless the largest message allowed is smaller.
        octets = min(-size % reply.padding, limit - size)
        if octets >= 0:
            padded = bare.having(iana.OPTION_PADDING, bytes(octets))
            message = encode_reply(padded, limit - reserve, payload)
    return message if reply.seal is None else _seal(reply.seal, message, limit, reserve)


def _seal(seal: Seal, message: bytes, limit: int, reserve: int) -> bytes:
    sealed = seal(message)
    if type(sealed) is not bytes:
        raise UsageError(f"a seal returned {type(sealed).__name__}, expected bytes")
    if len(sealed) > limit:
        raise UsageError(
            f"a seal made {len(sealed)} octets of {len(message)}, {limit} are allowed; "
            f"{reserve} were reserved for it"
        )
    return sealed


def _encode_empty(reply: Reply, flags: int, limit: int, opt: bytes) -> bytes:
    """Return a message without records: truncated, or the answer to no question."""
    query = reply.query
    if reply.truncated:
        flags |= TC
    body = query.question + opt
    if len(body) + 12 > limit:
        # A long name and long texts in 512 octets: informational parts are dropped first.
        kept = tuple(each for each in reply.options if each[0] == iana.OPTION_COOKIE)
        (payload,) = _WORD.unpack_from(opt, 3)
        opt = build_opt(Edns(payload, query.dnssec_ok, 0, kept), reply.rcode)
        body = query.question + opt
    counts = 1 if query.question else 0, 0, 0, 1 if opt else 0
    return HEADER.pack(query.id, flags, *counts) + body


def _encode_packed(
    reply: Reply, packed: tuple[bytes, int], flags: int, limit: int, opt: bytes
) -> bytes:
    """Return a message whose answer section is octets already."""
    octets, count = packed
    query = reply.query
    message = HEADER.pack(query.id, flags, 1, count, 0, 1 if opt else 0)
    message += query.question + octets + opt
    if len(message) > limit:
        return _encode_empty(reply, flags | TC, limit, opt)
    return message


def _join_ready(section: Section, qname: Name) -> tuple[bytes, int] | None:
    """Return a section assembled from the ready octets of its sets, and its record count.

    None if a set is not owned by the question's name or one above it, or has names inside that the
    table of suffixes compresses better.
    """
    body = b""
    count = 0
    for shown, rrset in section:
        pieces = rrset.ready
        if pieces is None:
            pieces = _get_ready(rrset)
        if not pieces:
            return None
        if shown == qname:
            pointer = _TO_QUESTION
        else:
            start = _find_suffix(qname, shown)
            if start < 0:
                return None
            pointer = _WORD.pack(0xC00C + start)
        # The names inside were split where the owner begins; a wildcard has another owner here.
        if rrset.rtype in NAMES_INSIDE and shown.lower() != rrset.owner.lower():
            return None
        body += pointer.join(pieces)
        count += len(rrset.rdatas)
    return body, count


def _find_suffix(name: Name, suffix: Name) -> int:
    """Return where in a name a suffix of it begins; -1 if it is not a suffix."""
    start = len(name) - len(suffix)
    if start <= 0 or not name.lower().endswith(suffix.lower()):
        return -1
    position = 0
    while position < start:
        position += 1 + name[position]
    return start if position == start else -1


def _get_ready(rrset: RRset) -> tuple[bytes, ...]:
    """Return the set's records, split wherever a pointer to their owner belongs.

    () if names inside are not below the owner. Joining the pieces with the pointer gives the
    records on the wire.
    """
    head = _FIXED.pack(rrset.rtype, rrset.rclass, rrset.ttl)
    layout = NAMES_INSIDE.get(rrset.rtype)
    records: list[bytes] = []
    for rdata in rrset.rdatas:
        pieces = [rdata] if layout is None else _cut_names(rdata, rrset.owner, *layout)
        if pieces is None:
            records.clear()
            break
        length = sum(map(len, pieces)) + 2 * (len(pieces) - 1)
        records += [head + _WORD.pack(length) + pieces[0], *pieces[1:]]
        # The next record's owner follows immediately: its pointer goes between the two.
    ready = (b"", *records) if records else ()
    # A cache in a frozen value: only this module uses it.
    object.__setattr__(rrset, "ready", ready)
    return ready


def _cut_names(rdata: bytes, owner: Name, skip: int, names: int) -> list[bytes] | None:
    """Cut RDATA before each occurrence of the owner at the end of a name inside it."""
    if len(owner) == 1:
        return None  # a pointer is longer than the root
    pieces = []
    cut, start = 0, skip
    for _ in range(names):
        end = name_end(rdata, start)
        name = rdata[start:end]
        at = 0 if name.lower() == owner.lower() else _find_suffix(name, owner)
        if at < 0:
            return None
        pieces.append(rdata[cut : start + at])
        cut = start = end
    pieces.append(rdata[cut:])
    return pieces


def _encode_sections(reply: Reply, flags: int, limit: int, opt: bytes) -> bytes:
    query = reply.query
    writer = Writer(query, limit - len(opt), reply.is_exact)
    required = (reply.answer, reply.authority, reply.glue)
    counts = [writer.write(section) for section in required]
    if -1 in counts:
        # RFC 2181 §9: TC says that required data is missing. Half a set would be worse than none,
        # and a client that sees TC retries over a stream.
        return _encode_empty(reply, flags | TC, limit, opt)
    answers, authorities, additionals = counts
    for unit in _join_signatures(reply.additional):
        written = writer.write(unit)
        if written < 0:
            break
        additionals += written
    buf = writer.buf
    if opt:
        buf += opt
        additionals += 1
    HEADER.pack_into(buf, 0, query.id, flags, 1, answers, authorities, additionals)
    return bytes(buf)


def _join_signatures(section: Section) -> Iterator[Section]:
    """Yield each set together with the signatures that follow it."""
    # RFC 4035 §3.1.1 allows keeping only the set if both do not fit; a client that asked for
    # signatures cannot use it.
    unit: Section = ()
    for one in section:
        if unit and one[1].rtype != iana.RRSIG:
            yield unit
            unit = ()
        unit += (one,)
    if unit:
        yield unit
