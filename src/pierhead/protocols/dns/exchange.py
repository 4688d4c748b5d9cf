"""Queries in flight on one socket or connection, and matching of answers to them.

    Question ──frame──▶ socket ──frames──▶ by identifier, then by question ──▶ its waiter

An answer belongs to a query if identifier and question match (RFC 5452 §9.1). A datagram that
matches no query is counted and ignored: it may be forged, and the real answer may still arrive. On
a connection only the server can have sent it.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TypeAlias

from pierhead.address import ListenSpec
from pierhead.client.datagram_end import DatagramClient
from pierhead.client.dial import dial_stream
from pierhead.client.socket_end import Unreachable
from pierhead.codec import Asked
from pierhead.codec.matching import ByIdMatcher
from pierhead.errors import DecodeError, PeerError, TimedOut, UsageError
from pierhead.printable import digits
from pierhead.protocols.dns.codec import MATCHING, wire_format
from pierhead.protocols.dns.question import Question, begins_answer
from pierhead.protocols.dns.response import Response, parse_head, parse_response
from pierhead.protocols.dns.signed_question import SignatureRefused, SignedQuestion
from pierhead.protocols.dns.wire.message import Query
from pierhead.protocols.dns.wire.tsig.signature import BadTsig

__all__ = ["DatagramExchange", "StreamExchange"]

_WIRE = wire_format()
#: Those on which messages have their length in front (RFC 1035 §4.2.2).
_STREAMS = ("tcp", "unix", "vsock", "mem")
#: DNS over TLS, as registered by IANA (RFC 7858).
_ALPN = ("dot",)
#: Datagrams read in one go before other tasks run, so that a flood of forged ones cannot keep a
#: deadline from firing.
_BATCH = 64

#: Why no answer can arrive any more: the server, the caller, or the system.
_Failure: TypeAlias = PeerError | UsageError | OSError
_Asked: TypeAlias = Asked[Query | Question, asyncio.Future[Response]]
_Matcher: TypeAlias = ByIdMatcher[Query | Question, Response, asyncio.Future[Response]]


class _InFlight:
    """The pending queries.

    Args:
        place: where their answers come from, for messages.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        # An unpredictable identifier (RFC 5452 §9.2).
        self._matcher: _Matcher = MATCHING.new(None, secrets.randbelow)
        self._failure: _Failure | None = None
        #: Why the last answer to a signed question was ignored; empty if none was.
        self.unverified = ""

    @property
    def has_failed(self) -> bool:
        """Tell whether no answer can arrive any more."""
        return self._failure is not None

    def ask(self, question: Question, answer: asyncio.Future[Response]) -> _Asked:
        """Register a query, and give it an identifier."""
        if self._failure is not None:
            raise _another(self._failure)
        return self._matcher.ask(question, answer)

    def give_up(self, asked: _Asked) -> None:
        """Forget a query that has no answer yet; one that arrives later is ignored."""
        self._matcher.give_up(asked)

    def take(self, frame: bytes) -> bool:
        """Deliver an answer to its query; tell whether there was one.

        Raises:
            DecodeError: it is not an answer, or it answers another question.
        """
        head = parse_head(frame)
        asked = self._matcher.find(head.id)
        if asked is None or asked.is_given_up or asked.token.done():
            return False
        request = asked.request
        if not begins_answer(request, head):
            raise DecodeError("another question")
        if isinstance(request, SignedQuestion):
            try:
                response = parse_response(request.opened(frame), self._place)
            except BadTsig as bad:
                self.unverified = str(bad)
                raise
            except SignatureRefused as refused:
                self._matcher.give_up(asked)
                asked.token.set_exception(refused)
                return True
        else:
            response = parse_response(frame, self._place, head=head)
        self._matcher.take(response)
        asked.token.set_result(response)
        return True

    def fail(self, failure: _Failure) -> None:
        """Fail every pending query."""
        self._failure = failure
        for asked in self._matcher.end():
            if not asked.token.done():
                asked.token.set_exception(_another(failure))
                asked.token.exception()  # retrieved, even if the waiter has just given up


def _another(failure: _Failure) -> _Failure:
    # An exception raised twice would grow its traceback.
    return type(failure)(*failure.args)


class DatagramExchange:
    """Many queries on one datagram socket.

    Args:
        client: the socket's end; closed by `close`.
        place: where it leads, for messages.
    """

    def __init__(self, client: DatagramClient, place: str) -> None:
        self._client = client
        self._place = place
        self._in_flight = _InFlight(place)
        self._stray = 0
        self._unreachable: asyncio.Future[Unreachable] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @property
    def ignored(self) -> int:
        """How many datagrams matched no query, including failed sends and ICMP errors."""
        return self._stray + self._client.ignored

    async def ask(self, question: Question, attempts: int, seconds: float) -> Response:
        """Send a query until an answer arrives; a late answer to an earlier attempt counts.

        An attempt that ICMP reports as undeliverable ends at once.

        Raises:
            TimedOut: none arrived.
            OSError: no attempt was delivered, or the socket cannot send or receive.
        """
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        asked: list[_Asked] = []
        unreachable: list[Unreachable] = []
        try:
            for _ in range(attempts):
                asked.append(self._in_flight.ask(question, answer))
                told = self._unreachable
                self._client.send(_WIRE.requests.encode(asked[-1].request))
                await asyncio.wait(
                    (answer, told), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if answer.done():
                    return answer.result()
                if told.done():
                    unreachable.append(told.result())
        finally:
            for each in asked:
                self._in_flight.give_up(each)
        if len(unreachable) == attempts:
            raise Unreachable(*unreachable[-1].args)
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        unverified = self._in_flight.unverified
        ignored = f"; one was ignored: {unverified}" if unverified else ""
        raise TimedOut(f"no answer from {self._place} in {tries} of {digits(seconds)} s{ignored}")

    async def close(self) -> None:
        """Close the socket; pending queries get an error."""
        self._in_flight.fail(UsageError("the client was closed before the answer arrived"))
        self._reading.cancel()
        await asyncio.wait((self._reading,))
        self._client.close()

    async def _read(self) -> None:
        try:
            while True:
                for _ in range(_BATCH):
                    try:
                        self._take(await self._client.receive())
                    except Unreachable as told:
                        self._unreachable.set_result(told)
                        self._unreachable = asyncio.get_running_loop().create_future()
                await asyncio.sleep(0)
        except OSError as error:
            self._in_flight.fail(error)

    def _take(self, frame: bytes) -> None:
        try:
            is_taken = self._in_flight.take(frame)
        except DecodeError:  # it may be forged; the answer may still arrive
            is_taken = False
        if not is_taken:
            self._stray += 1


class StreamExchange(asyncio.Protocol):
    """Many queries on one connection, answered in any order (RFC 7766 §6.2.1.1, §7).

    Args:
        place: where it leads, for messages.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._in_flight = _InFlight(place)
        self._framer = _WIRE.framing.new()
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: How many answers arrived on this connection.
        self.answered = 0
        #: How many arrived too late.
        self.ignored = 0

    @property
    def is_open(self) -> bool:
        """Tell whether queries can be sent."""
        return not self._in_flight.has_failed

    @classmethod
    async def open(cls, spec: ListenSpec, source: str | None) -> StreamExchange:
        """Connect to an address.

        Raises:
            UsageError: the address cannot be dialled.
            ConnectError: it cannot be reached.
        """
        exchange = cls(str(spec))
        exchange._transport = await dial_stream(
            spec, lambda: exchange, source=source, schemes=_STREAMS, protocols=_ALPN
        )
        return exchange

    async def ask(self, question: Question) -> Response:
        """Send a query and wait for its answer, without a time limit.

        Raises:
            PeerError: the server closed, or sent something that is not an answer.
        """
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        asked = self._in_flight.ask(question, answer)
        try:
            assert self._transport is not None  # it is open
            self._transport.write(_WIRE.framing.frame(_WIRE.requests.encode(asked.request)))
            return await answer
        finally:
            self._in_flight.give_up(asked)

    async def close(self) -> None:
        """Close the connection; pending queries get an error."""
        self._in_flight.fail(UsageError("the client was closed before the answer arrived"))
        if self._transport is not None:
            # Nothing is left to send, and the server's end of stream is not waited for.
            self._transport.abort()
            await self._lost

    def data_received(self, data: bytes) -> None:
        """Receive octets; deliver the answers they complete."""
        try:
            self._framer.feed(data)
            for frame in self._framer.frames(1 << 16):
                if self._in_flight.take(frame):
                    self.answered += 1
                else:
                    self.ignored += 1  # the answer to a query that was given up
        except BadTsig as bad:
            self._fail(PeerError(f"the answer from {self._place} is not trusted: {bad}"))
        except DecodeError:
            self._fail(PeerError(f"{self._place} answered a question that was not asked"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the pending queries."""
        reason = f": {exc}" if exc else ""
        self._fail(PeerError(f"the server closed without an answer{reason}"))
        self._lost.set_result(None)

    def _fail(self, failure: PeerError) -> None:
        if not self._in_flight.has_failed:
            self._in_flight.fail(failure)
            if self._transport is not None:
                self._transport.abort()
