"""The DNS codecs, and the framing of DNS on a stream.

               server                            client
    queries    decoded to `Query`                encoded from `Question`, or from a `Query`
    replies    encoded from `Reply`              decoded to `Response`
               or from the `Response` of another server

Datagrams and streams differ only in how large a message may be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from operator import attrgetter
from typing import Final

from pierhead.codec import ById, LengthPrefixed, WireFormat
from pierhead.errors import (
    DecodeError,
    Overloaded,
    PierheadError,
    ServiceError,
    TimedOut,
    UsageError,
)
from pierhead.limits import Limit
from pierhead.protocols.dns.question import Question, answers, with_id
from pierhead.protocols.dns.response import Response, parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.bad_query import BadQuery
from pierhead.protocols.dns.wire.edns import MIN_PAYLOAD, PAYLOAD, extended_error
from pierhead.protocols.dns.wire.encode import MAX_MESSAGE, encode_refusal, encode_reply
from pierhead.protocols.dns.wire.message import QR, Query, Reply
from pierhead.protocols.dns.wire.query import encode_query, parse_query
from pierhead.protocols.dns.wire.rcode_error import RcodeError

__all__ = [
    "LIMITS",
    "MATCHING",
    "MAX_UDP_PAYLOAD",
    "WITHHELD",
    "DatagramReplyCodec",
    "QueryCodec",
    "ReplyCodec",
    "wire_format",
]

#: Instead of a prepared refusal: a layer has decided to send none.
WITHHELD: Final = object()

MAX_UDP_PAYLOAD = Limit(
    name="max_udp_payload",
    default=PAYLOAD,
    minimum=MIN_PAYLOAD,
    maximum=4096,
    unit="bytes",
    meaning="The largest answer sent in a datagram, and the size advertised to clients.",
    source="RFC 9715 §3.1; DNS flag day 2020; NSD, Knot and BIND use the same",
    metric="none: the answer carries TC",
    effect="at start",
)

LIMITS = (MAX_UDP_PAYLOAD,)

#: Matched by identifier and, since that can be guessed, by question (RFC 5452 §9.1).
MATCHING: Final[ById[Query | Question, Response]] = ById(
    get=attrgetter("id"), put=with_id, range=range(1 << 16), fits=answers
)


class QueryCodec:
    """Codec of queries, for datagrams and streams alike.

    Args:
        opcodes: kinds of messages besides QUERY that are accepted; others are refused (NOTIMP).
    """

    decode: Callable[[bytes], Query]

    def __init__(self, opcodes: Collection[int] = ()) -> None:
        taken = frozenset(opcodes) - {iana.OPCODE_QUERY}
        self.decode = partial(_parse_message, taken) if taken else parse_query

    def encode(self, query: Query | Question, /) -> bytes:
        """Return the query as a message."""
        return query.frame() if isinstance(query, Question) else encode_query(query)


def _parse_message(opcodes: frozenset[int], frame: bytes) -> Query:
    """Parse a message of one of these opcodes, or a query."""
    if len(frame) > 2 and frame[2] >> 3 & 15 in opcodes:
        return parse_query(frame, QR)
    return parse_query(frame)


class ReplyCodec:
    """Codec of replies over streams: only the length prefix limits a message.

    Args:
        max_udp_payload: the size to advertise.
        extended_errors: whether refusals give a reason (RFC 8914), if the query has EDNS.
        queries: parses what is refused.
    """

    def __init__(
        self,
        max_udp_payload: int = PAYLOAD,
        *,
        extended_errors: bool = False,
        queries: QueryCodec | None = None,
    ) -> None:
        self._parse = parse_query if queries is None else queries.decode
        self._payload = int(MAX_UDP_PAYLOAD.check(max_udp_payload))
        self._tells_why = extended_errors

    def decode(self, frame: bytes, /) -> Response:
        """Return the response in a message.

        Raises:
            DecodeError: it is not a response.
        """
        return parse_response(frame)

    def encode(self, reply: Reply | Response, /) -> bytes:
        """Return the reply as a message; a response octet for octet, as it was received."""
        if type(reply) is Response:
            return reply.frame
        return encode_reply(reply, MAX_MESSAGE, self._payload)

    def reject(self, error: PierheadError, frame: bytes, /) -> bytes | None:
        """Return the refusal: FORMERR, NOTIMP, BADVERS, or SERVFAIL if the fault is ours.

        None for what must never be answered: a response, or less than a header.
        """
        if len(frame) < 12 or frame[2] & 0x80:
            return None
        if isinstance(error, BadQuery):
            return self._refuse(error, frame)
        if isinstance(error, DecodeError):
            return self._refuse(BadQuery(error.reason, error.offset), frame)
        # The query was good, or at least not found to be bad: the failure is ours.
        prepared = error.reply if isinstance(error, ServiceError) else None
        if prepared is WITHHELD:
            return None
        try:
            reply = prepared if isinstance(prepared, Reply) else self._failure(error, frame)
        except BadQuery as bad:
            return self._refuse(bad, frame)
        if not self._tells_why or isinstance(error, RcodeError):
            return self.encode(reply)
        explained = self.encode(reply.having(*extended_error(iana.EDE_OTHER, _reason(error))))
        # As in `_refuse`: if no layer prepared it, no rate limit has counted it.
        is_counted = isinstance(prepared, Reply)
        return explained if is_counted or len(explained) <= 2 * len(frame) else self.encode(reply)

    def _failure(self, error: PierheadError, frame: bytes) -> Reply:
        query = self._parse(frame)
        if isinstance(error, RcodeError):  # raised outside all layers, around frames
            return error.to_reply(query)
        return Reply(query, iana.SERVFAIL)

    def _refuse(self, error: BadQuery, frame: bytes) -> bytes:
        refusal = encode_refusal(error, frame, self._payload)
        # The options of a later version are unknown: BADVERS is sent without any.
        if not self._tells_why or error.do is None or error.rcode == iana.BADVERS:
            return refusal
        reason = (extended_error(iana.EDE_OTHER, error.reason),)
        explained = encode_refusal(error, frame, self._payload, reason)
        # No rate limit has counted it: it must be of no use to a client that forges its source.
        return explained if len(explained) <= 2 * len(frame) else refusal


def _reason(error: PierheadError) -> str:
    """Return why a good query got no answer, as text for the client."""
    if isinstance(error, TimedOut):
        return "the answer took too long to produce"
    if isinstance(error, Overloaded):
        return "too many queries at once; try again later"
    return "the failure is the server's; its log says more"


class DatagramReplyCodec(ReplyCodec):
    """Codec of replies in datagrams: no larger than the receiver's limit, or ours."""

    def encode(self, reply: Reply | Response, /) -> bytes:
        """Return the reply as a message; truncated (TC) if it does not fit.

        RFC 1035 §4.2.1: 512 octets without EDNS; RFC 6891 §6.2.3: otherwise the size in the query's
        OPT record, at least 512, and never more than our own limit.

        Raises:
            UsageError: it is another server's response, which does not know its receiver's limit.
        """
        if type(reply) is Response:
            raise UsageError(
                "a Response does not know how large a datagram its receiver accepts; a Reply does"
            )
        return encode_reply(reply, self._limit(reply.query), self._payload)

    def _limit(self, query: Query) -> int:
        asked = query.udp_payload
        if asked <= MIN_PAYLOAD:
            return MIN_PAYLOAD
        return asked if asked < self._payload else self._payload


def wire_format() -> WireFormat[Query | Question, Response]:
    """Return the wire format of DNS on streams (RFC 1035 §4.2.2, RFC 7766 §7), for clients.

    A client sends a `Question` or a `Query` and gets a `Response`: the one with its identifier and
    its question (RFC 5452 §9.1). `dns.serve` is the server's side, where a reply is a `Reply` and
    datagrams have a size limit.
    """
    return WireFormat(
        LengthPrefixed(2),
        QueryCodec(),
        ReplyCodec(),
        matching=MATCHING,
    )
