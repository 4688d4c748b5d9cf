"""What a client asks, and which answer belongs to it (RFC 5452 §9.1, RFC 7873 §5.3)."""

from __future__ import annotations

import copy
from dataclasses import replace

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.response import Head, Response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import OPCODE_MASK
from pierhead.protocols.dns.wire.name import ROOT, from_text, key
from pierhead.protocols.dns.wire.query import build_query

__all__ = ["Question"]

#: RFC 7873 §4: octets of a client's cookie; the server's own follows.
_CLIENT_COOKIE = 8


class Question:
    """What is asked, and whether a response answers it.

    Args:
        name: absolute, with or without its last dot.
        rtype, rclass: mnemonics, or ``TYPE123`` and ``CLASS123``.
        edns: what the OPT record says; None for none.
        flags: bits of the header's second word: RD, AD, CD, an opcode.

    Raises:
        UsageError: the name, the type or the class is none.
    """

    __slots__ = ("_edns", "_flags", "_key", "qclass", "qname", "qtype")

    def __init__(
        self, name: str, rtype: str, *, rclass: str = "IN", edns: Edns | None, flags: int = 0
    ) -> None:
        try:
            self.qname = from_text(name, ROOT)
        except DecodeError as error:
            raise UsageError(f"{name!r} is no domain name: {error}") from None
        self.qtype = iana.type_number(rtype)
        self.qclass = iana.class_number(rclass)
        self._key = key(self.qname)
        self._edns = edns
        self._flags = flags

    def shown_cookie(self, response: Response) -> Question | None:
        """Return the same question with the cookie that a BADCOOKIE asks for (RFC 7873 §5.3).

        None where the response asks for none, or the server has nothing to show.
        """
        if response.rcode != iana.BADCOOKIE or self._edns is None or not _cookie(self._edns):
            return None
        cookie = _cookie(response.edns)
        if len(cookie) <= _CLIENT_COOKIE or cookie == _cookie(self._edns):
            return None
        again = copy.copy(self)
        again._edns = replace(
            self._edns,
            options=tuple(
                (code, cookie if code == iana.OPTION_COOKIE else data)
                for code, data in self._edns.options
            ),
        )
        return again

    def frame(self, ident: int) -> bytes:
        """Return the query with this identifier."""
        return build_query(
            ident,
            self.qname,
            self.qtype,
            edns=self._edns,
            qclass=self.qclass,
            flags=self._flags,
        )

    def is_that_of(self, head: Head) -> bool:
        """Tell whether a message with the right identifier begins as an answer to this one does.

        Ask this before the message is parsed, which takes long where it is long: anybody can send
        one. A refusal may leave the question out where the server could not read it.
        """
        if (head.flags ^ self._flags) & OPCODE_MASK:
            return False
        if head.question is None:
            return True
        qname, qtype, qclass = head.question
        return key(qname) == self._key and (qtype, qclass) == (self.qtype, self.qclass)

    def is_answered_by(self, response: Response) -> bool:
        """Tell whether a response whose head `is_that_of` this question answers it.

        RFC 7873 §5.3: a cookie in it must begin with the one that was sent.
        """
        sent, got = _cookie(self._edns), _cookie(response.edns)
        if sent and got and got[:_CLIENT_COOKIE] != sent[:_CLIENT_COOKIE]:
            return False
        return response.question is not None or response.rcode != iana.NOERROR


def _cookie(edns: Edns | None) -> bytes:
    """Return the content of the COOKIE option; nothing where there is none."""
    options = edns.options if edns is not None else ()
    return next((data for code, data in options if code == iana.OPTION_COOKIE), b"")
