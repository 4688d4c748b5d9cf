"""A client's question, and which answer belongs to it (RFC 5452 §9.1, RFC 7873 §5.3)."""

from __future__ import annotations

import copy
from dataclasses import replace

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.response import Head, Response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import AD, CD, OPCODE_MASK, RD, Query
from pierhead.protocols.dns.wire.name import ROOT, from_text, key
from pierhead.protocols.dns.wire.query import build_query

__all__ = ["Question", "answers", "begins_answer", "with_id"]

_EDNS = Edns()
#: RFC 7873 §4: octets of a client's cookie; the server's follows.
_CLIENT_COOKIE = 8


class Question:
    """A question, in readable form.

    Unlike a `Query`, it may hold what no server accepts, such as another version of EDNS.

    Attributes:
        id: the identifier, 0 until the client has chosen one.
        qname, qtype, qclass: what is asked for: the name in wire form, and numbers.
        edns, flags: as given.

    Args:
        name: absolute, with or without its last dot.
        rtype, rclass: mnemonics, or ``TYPE123`` and ``CLASS123``.
        edns: the content of the OPT record; None for none.
        flags: bits of the header's second word: RD, AD, CD, an opcode.

    Raises:
        UsageError: the name, the type or the class is invalid.
    """

    __slots__ = ("edns", "flags", "id", "qclass", "qname", "qtype")

    def __init__(
        self,
        name: str,
        rtype: str = "A",
        *,
        rclass: str = "IN",
        edns: Edns | None = _EDNS,
        flags: int = 0,
    ) -> None:
        try:
            self.qname = from_text(name, ROOT)
        except DecodeError as error:
            raise UsageError(f"{name!r} is not a domain name: {error}") from None
        self.id = 0
        self.qtype = iana.type_number(rtype)
        self.qclass = iana.class_number(rclass)
        self.edns = edns
        self.flags = flags

    @classmethod
    def of_next_hop(cls, query: Query, *, has_edns: bool = True) -> Question:
        """Return what a forwarder asks: the same question, its name in the same letter case.

        RD, CD and AD are the query's, and so is DO; the rest of the OPT record is this hop's own.

        Args:
            has_edns: whether the next server knows EDNS.
        """
        question = cls.__new__(cls)
        question.id = 0
        question.qname, question.qtype, question.qclass = query.qname, query.qtype, query.qclass
        question.edns = Edns(do=query.dnssec_ok) if has_edns else None
        question.flags = query.flags & (RD | CD | AD)
        return question

    def shown_cookie(self, response: Response) -> Question | None:
        """Return the same question with the cookie that a BADCOOKIE requires (RFC 7873 §5.3).

        None if the response requires none, or the server has sent none.
        """
        edns = self.edns
        if response.rcode != iana.BADCOOKIE or edns is None or not _cookie(edns):
            return None
        cookie = _cookie(response.edns)
        if len(cookie) <= _CLIENT_COOKIE or cookie == _cookie(edns):
            return None
        again = copy.copy(self)
        again.edns = replace(
            edns,
            options=tuple(
                (code, cookie if code == iana.OPTION_COOKIE else data)
                for code, data in edns.options
            ),
        )
        return again

    def having_id(self, ident: int) -> Question:
        """Return the same question with another identifier."""
        again = copy.copy(self)
        again.id = ident
        return again

    def frame(self) -> bytes:
        """Return the query as a message."""
        return build_query(
            self.id,
            self.qname,
            self.qtype,
            edns=self.edns,
            qclass=self.qclass,
            flags=self.flags,
        )


def with_id(request: Question | Query, ident: int) -> Question | Query:
    """Return the request with another identifier."""
    return request.having_id(ident)


def begins_answer(request: Question | Query, head: Head | Response) -> bool:
    """Tell whether a message with the right identifier begins like the answer to this request.

    Check this before parsing a message, which takes time if it is long: it may be forged. A refusal
    may omit the question if the server could not read it.
    """
    if (head.flags ^ request.flags) & OPCODE_MASK:
        return False
    if head.question is None:
        return True
    qname, qtype, qclass = head.question
    if (qtype, qclass) != (request.qtype, request.qclass):
        return False
    return qname == request.qname or key(qname) == key(request.qname)


def answers(request: Question | Query, response: Response) -> bool:
    """Tell whether a response with the right identifier answers this request.

    RFC 7873 §5.3: a cookie in it must begin with the client's.
    """
    sent, got = _cookie(request.edns), _cookie(response.edns)
    if sent and got and got[:_CLIENT_COOKIE] != sent[:_CLIENT_COOKIE]:
        return False
    if response.question is None and response.rcode == iana.NOERROR:
        return False
    return begins_answer(request, response)


def _cookie(edns: Edns | None) -> bytes:
    """Return the content of the COOKIE option; empty if there is none."""
    options = edns.options if edns is not None else ()
    return next((data for code, data in options if code == iana.OPTION_COOKIE), b"")
