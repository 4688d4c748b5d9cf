"""Asks one server one question.

    response = await query("127.0.0.1:5300", "www.example.", "AAAA")

Over datagrams it asks again when no answer comes, waits on past answers to other questions, and
turns to TCP where the answer is truncated. Times are the event loop's, so that a test can hold
them.
"""

from __future__ import annotations

import asyncio
import secrets

from pierhead.address import InetAddress, ListenSpec
from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.codec import LengthPrefixed
from pierhead.errors import DecodeError, PeerError, TimedOut, UsageError
from pierhead.protocols.dns.response import Response, parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.name import ROOT, from_text, key
from pierhead.protocols.dns.wire.query import build_query

__all__ = ["query"]

_FRAMING = LengthPrefixed(2)
_EDNS = Edns()
_DATAGRAMS = ("udp", "unixgram", "memgram")


async def query(
    address: str | ListenSpec,
    name: str,
    rtype: str = "A",
    *,
    attempts: int = 3,
    timeout: float = 2.0,  # noqa: ASYNC109  # an attempt's own; around all of them is the caller's
    source: str | None = None,
    edns: Edns | None = _EDNS,
    recursion_desired: bool = False,
) -> Response:
    """Return the server's answer, whatever its code.

    Args:
        address: the server's, as it listens: ``127.0.0.1:5300`` (UDP, and TCP where the answer
            is truncated), ``tcp:…``, ``unix:…``, ``memgram:b``.
        name: absolute, with or without its last dot.
        rtype: ``AAAA``, ``TYPE65280`` …
        attempts: how often to ask over datagrams; a stream is asked once.
        timeout: how long to wait for an answer to each attempt, in seconds.
        source: the address to ask from.
        edns: what the OPT record says; None for none.
        recursion_desired: the RD bit.

    Returns:
        The response. It is ``truncated`` only where there is no TCP to turn to.

    Raises:
        TimedOut: no answer came in time.
        PeerError: the server closed the stream, or answered something else.
        UsageError: the name, the type or a number is none.
        OSError: the address cannot be reached.
    """
    if attempts < 1 or not timeout > 0:
        raise UsageError(f"{attempts} attempts of {timeout} s; expected 1 or more, above 0 s")
    question = _Question(name, rtype, edns, recursion_desired)
    spec = ListenSpec.parse(address) if isinstance(address, str) else address
    target = spec.address
    if target.scheme is not None and target.scheme not in _DATAGRAMS:
        return await _ask_stream(spec, question, timeout, source)
    response = await _ask_datagram(spec, question, attempts, timeout, source)
    if response.truncated and isinstance(target, InetAddress):
        # RFC 7766 §5: who sees TC asks again over TCP, where the answer is whole.
        over_tcp = ListenSpec((), InetAddress("tcp", target.host, target.port))
        return await _ask_stream(over_tcp, question, timeout, _over_tcp(source))
    return response


class _Question:
    """What is asked, and whether a response answers it."""

    def __init__(self, name: str, rtype: str, edns: Edns | None, rd: bool) -> None:
        try:
            self.qname = from_text(name, ROOT)
        except DecodeError as error:
            raise UsageError(f"{name!r} is no domain name: {error}") from None
        self.qtype = iana.type_number(rtype)
        self._edns = edns
        self._rd = rd

    def ask(self) -> tuple[int, bytes]:
        """Return an identifier nobody can guess (RFC 5452 §9.2) and the query with it."""
        ident = secrets.randbits(16)
        return ident, build_query(ident, self.qname, self.qtype, edns=self._edns, rd=self._rd)

    def match(self, frame: bytes, asked: set[int]) -> Response | None:
        """Return the response in a frame if it answers one of the queries asked.

        RFC 5452 §9.1: identifier and question must be the query's own. A refusal may leave the
        question out where the server could not read it.
        """
        try:
            response = parse_response(frame)
        except DecodeError:
            return None  # anybody may send anything; the real answer may still come
        if response.id not in asked:
            return None
        if response.question is None:
            return response if response.rcode != iana.NOERROR else None
        qname, qtype, qclass = response.question
        same = key(qname) == key(self.qname) and (qtype, qclass) == (self.qtype, iana.CLASS_IN)
        return response if same else None


async def _ask_datagram(
    spec: ListenSpec, question: _Question, attempts: int, seconds: float, source: str | None
) -> Response:
    client = await dial_datagram(spec, source=source)
    # A late answer to an earlier attempt is as good as one to the last.
    asked: set[int] = set()
    try:
        for _ in range(attempts):
            ident, frame = question.ask()
            asked.add(ident)
            client.send(frame)
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        response = question.match(await client.receive(), asked)
                        if response is not None:
                            return response
            except TimeoutError:
                continue
    finally:
        client.close()
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    raise TimedOut(f"no answer from {spec} in {tries} of {seconds:g} s")


async def _ask_stream(
    spec: ListenSpec, question: _Question, seconds: float, source: str | None
) -> Response:
    ident, frame = question.ask()
    try:
        async with asyncio.timeout(seconds):
            connection = _Connection()
            transport = await dial_stream(spec, lambda: connection, source=source)
            try:
                transport.write(_FRAMING.frame(frame))
                reply = await connection.reply
            finally:
                # Nothing is left to be sent, and the server's end of stream is not waited for.
                transport.abort()
                await connection.closed
    except TimeoutError:
        raise TimedOut(f"no answer from {spec} in {seconds:g} s") from None
    response = question.match(reply, {ident})
    if response is None:
        # On a stream nobody else can have sent it.
        raise PeerError(f"{spec} answered something that was not asked")
    return response


class _Connection(asyncio.Protocol):
    """Takes one frame from a stream."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.reply: asyncio.Future[bytes] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._framer = _FRAMING.new()

    def data_received(self, data: bytes) -> None:
        self._framer.feed(data)
        for frame in self._framer.frames(1):
            if not self.reply.done():
                self.reply.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.reply.done():
            reason = f": {exc}" if exc else ""
            self.reply.set_exception(PeerError(f"the server closed without an answer{reason}"))
            self.reply.exception()  # seen, even where the connection never came into use
        self.closed.set_result(None)


def _over_tcp(source: str | None) -> str | None:
    """Return the source for the second way: the same address, the port left to the system."""
    if source is None:
        return None
    local = ListenSpec.parse(source).address
    return f"tcp:{InetAddress(None, local.host, 0)}" if isinstance(local, InetAddress) else None
