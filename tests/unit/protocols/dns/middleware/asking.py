"""Queries and circumstances for the tests of layers."""

from __future__ import annotations

from pierhead.protocols import dns
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import Query
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.service.context import Context, Peer, Transport, Via

__all__ = ["Connection", "HeldClock", "answer", "ask", "context", "option"]

ADDRESS = "192.0.2.1"


class HeldClock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class Connection:
    """The control of a connection that was never opened."""

    def __init__(self, idle_timeout: float = 30.0) -> None:
        self.idle_timeout = idle_timeout

    def set_idle_timeout(self, seconds: float) -> None:
        self.idle_timeout = seconds

    def close_after_reply(self) -> None:
        """Nothing to close."""


def ask(name="www.example.", rtype="A", *options, rclass=1, edns=True, do=False) -> Query:
    """Return a query with these EDNS options; ``edns=False`` for one without an OPT record."""
    opt = Edns(do=do, options=options) if edns or options else None
    frame = bytearray(build_query(7, from_text(name), iana.type_number(rtype), edns=opt))
    at = 12 + len(from_text(name)) + 2
    frame[at : at + 2] = rclass.to_bytes(2, "big")
    return parse_query(bytes(frame))


def ask_nothing(*options) -> Query:
    """Return a query without a question, with these EDNS options."""
    frame = build_query(7, b"", 0, edns=Edns(options=options))
    return parse_query(frame[:5] + b"\x00" + frame[6:12] + frame[16:])


def context(peer=ADDRESS, *, tcp=False, encrypted=False, connection=None, facts=()) -> Context:
    """Return the circumstances of a query from an address, or from a named end."""
    via = Via(
        transport=Transport.STREAM if tcp else Transport.DATAGRAM,
        scheme="tcp" if tcp else "udp",
        local="192.0.2.53:53",
        listener="127.0.0.1:53",
        encrypted=encrypted,
    )
    made = Peer((peer, 5353)) if "." in peer or ":" in peer else Peer(peer)
    if tcp and connection is None:
        connection = Connection()
    return Context(made, 0.0, via, connection, tuple(facts))


def option(reply, code: int) -> bytes | None:
    """Return the data of the reply's only option with this code; None if there is none."""
    found = [data for each, data in reply.options if each == code]
    assert len(found) <= 1
    return found[0] if found else None


async def answer(query, _context):
    """Answer every question with an address."""
    return query.reply(dns.A("192.0.2.80"), dns.TXT("text"))
