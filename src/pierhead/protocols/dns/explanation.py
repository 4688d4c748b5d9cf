"""Explains which layer, step and rule produced an answer.

    explanation = await explain(service, "www.example.", "AAAA")
    print(explanation)

A service is called with a `Trace` in the context, into which each layer and the lookup record what
they do. For a remote server only the answer itself can tell: `conclude`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pierhead.errors import DecodeError
from pierhead.protocols.dns.codec import DatagramReplyCodec, QueryCodec
from pierhead.protocols.dns.option_text import option_words
from pierhead.protocols.dns.question import Question
from pierhead.protocols.dns.response import ResourceRecord, Response, parse_response
from pierhead.protocols.dns.trace import Step, Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.name import label_count, to_text
from pierhead.protocols.dns.wire.rcode_error import RcodeError
from pierhead.service import ServiceFunction, as_service, is_many
from pierhead.service.context import Context, Peer, Transport, Via

__all__ = ["Explanation", "conclude", "explain"]

_EDNS = Edns()
_VIA = Via(
    transport=Transport.DATAGRAM, scheme="memgram", local="memgram:explain", listener="explain"
)
_CODES = {
    iana.FORMERR: ("the server could not read the query", "RFC 1035 §4.1.1"),
    iana.SERVFAIL: ("the server failed to find the answer", "RFC 1035 §4.1.1"),
    iana.NOTIMP: ("the server does not support this kind of query", "RFC 1035 §4.1.1"),
    iana.REFUSED: (
        "the server does not answer for this name, or not to you",
        "RFC 1035 §4.1.1",
    ),
    iana.YXDOMAIN: ("a DNAME makes the name too long", "RFC 6672 §2.2"),
    iana.NOTAUTH: ("the server is not responsible for the zone, or the key is wrong", "RFC 8945"),
    iana.BADVERS: ("the server does not know this version of EDNS", "RFC 6891 §6.1.3"),
    iana.BADCOOKIE: ("the server requires a cookie that it issued", "RFC 7873 §5.2.3"),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a service came to an answer.

    Attributes:
        query: what was asked; None if the codec refused it.
        reply: what it answered, the first of many; None for no reply, or if it was not asked.
        response: the same as its receiver reads it; None for no reply.
        steps: what happened, in order.
    """

    query: Query | None
    reply: Reply | None
    response: Response | None
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n".join(str(step) for step in self.steps)


async def explain(
    service: ServiceFunction[Query, Reply],
    query: Query | str,
    rtype: str = "A",
    *,
    rclass: str = "IN",
    edns: Edns | None = _EDNS,
    flags: int = 0,
    context: Context | None = None,
) -> Explanation:
    """Query a service as a datagram would, and return how the answer came about.

    Args:
        service: a service, or a stack of layers around one.
        query: what to ask, or the name; the other arguments then complete it.
        rtype, rclass, edns, flags: as in `Client.query`.
        context: the request's context; None creates one.

    Raises:
        UsageError: the name, the type or the class is invalid.

    Example:
        >>> from pierhead.protocols import dns
        >>> site = dns.Router()
        >>> print(asyncio.run(explain(site, "www.example.")))
        router: no service for www.example.: REFUSED (RFC 1035 §4.1.1)
        codec: REFUSED without records, 40 octets (RFC 6891 §6.2.3)
    """
    if isinstance(query, str):
        question = Question(query, rtype, rclass=rclass, edns=edns, flags=flags)
        frame = question.frame()
        try:
            query = QueryCodec(getattr(service, "opcodes", ())).decode(frame)
        except DecodeError as error:
            return _explain_refusal(error, frame)
    if context is None:
        context = Context(Peer("explain"), asyncio.get_running_loop().time(), _VIA)
    trace = Trace()
    try:
        reply = await as_service(service)(query, context.having(trace))
    except RcodeError as error:
        reply = error.to_reply(query)
    if is_many(reply):
        trace.note("service", "there are many replies; the first one is shown")
        replies, reply = reply, await anext(reply, None)
        if hasattr(replies, "aclose"):
            await replies.aclose()
    if not isinstance(reply, Reply):
        trace.note("service", "no reply, on purpose")
        return Explanation(query, None, None, trace.steps)
    response = parse_response(DatagramReplyCodec().encode(reply))
    _note_encoding(trace, response)
    return Explanation(query, reply, response, trace.steps)


def _explain_refusal(error: DecodeError, frame: bytes) -> Explanation:
    """Explain how the codec refuses a query."""
    refusal = DatagramReplyCodec().reject(error, frame)
    response = parse_response(refusal) if refusal is not None else None
    code = iana.rcode_text(response.rcode) if response is not None else "silence"
    return Explanation(None, None, response, (Step("codec", f"{error.reason}: {code}"),))


def _note_encoding(trace: Trace, response: Response) -> None:
    size = f"{len(response.frame)} octets"
    if response.truncated:
        trace.note("codec", f"too large for a datagram: TC, {size}", "RFC 2181 §9")
        return
    count = len(response.answer) + len(response.authority) + len(response.additional)
    records = {0: "without records", 1: "with 1 record"}.get(count, f"with {count} records")
    trace.note("codec", f"{iana.rcode_text(response.rcode)} {records}, {size}", "RFC 6891 §6.2.3")


def conclude(response: Response) -> tuple[Step, ...]:
    """Return what an answer reveals about its origin, if nothing else is known."""
    trace = Trace()
    if response.edns is not None:
        for code, data in response.edns.options:
            if code == iana.OPTION_EXTENDED_ERROR:
                trace.note("server", f"it says: {option_words(code, data)}", "RFC 8914")
    if response.rcode in _CODES:
        trace.note("answer", *_CODES[response.rcode])
    else:
        _conclude_origin(trace, response)
        _conclude_answer(trace, response)
    if response.truncated:
        trace.note(
            "answer", "it did not fit and is truncated; query over TCP for all of it", "RFC 7766 §5"
        )
    return trace.steps


def _conclude_origin(trace: Trace, response: Response) -> None:
    if response.authoritative:
        trace.note("answer", "it is from the server's own zone", "RFC 1035 §4.1.1, AA")
    elif response.recursion_available:
        trace.note("answer", "it is from a resolver, perhaps from its cache", "RFC 1035 §4.1.1")
    if response.authentic_data:
        trace.note("answer", "the resolver has validated its signatures", "RFC 4035 §3.2.3, AD")


def _conclude_answer(trace: Trace, response: Response) -> None:
    for record in response.answer:
        _conclude_record(trace, record)
    negative = [record for record in response.authority if record.rtype == iana.SOA]
    if response.rcode == iana.NXDOMAIN:
        where = f"; the zone is {negative[0].name}" if negative else ""
        trace.note("answer", f"the name does not exist{where}", "RFC 2308 §2.1")
    elif not response.answer and negative:
        text = f"the name exists, without this type; the zone is {negative[0].name}"
        trace.note("answer", text, "RFC 2308 §2.2")
    elif not response.answer and not response.authoritative:
        for record in response.authority:
            if record.rtype == iana.NS:
                text = f"{record.name} is delegated; ask its name servers"
                trace.note("answer", text, "RFC 1034 §4.3.2 step 3b")
                break


def _conclude_record(trace: Trace, record: ResourceRecord) -> None:
    if record.rtype in (iana.CNAME, iana.DNAME):
        try:
            target = record.data
        except DecodeError:
            return  # shown as octets; nothing follows from it
        rule = "RFC 1034 §3.6.2" if record.rtype == iana.CNAME else "RFC 6672 §3.2"
        below = "" if record.rtype == iana.CNAME else "what is below "
        trace.note("answer", f"{below}{record.name} is an alias of {target}", rule)
    elif record.rtype == iana.RRSIG and len(record.octets) > 3:
        # RFC 4035 §5.3.2: fewer labels signed than the owner has mean a wildcard.
        signed, have = record.octets[3], label_count(record.owner)
        if signed < have and not record.owner.startswith(b"\x01*"):
            parts = to_text(record.owner).split(".")[have - signed :]
            wildcard = ".".join(["*", *parts])
            trace.note(
                "answer", f"{record.name} comes from the wildcard {wildcard}", "RFC 4035 §5.3.2"
            )
