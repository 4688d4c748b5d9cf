"""Queries in flight on one socket or one connection, and the way of each answer to who asked.

    Question ──frame──▶ socket ──frames──▶ by identifier, then by question ──▶ who waits

An answer belongs to a query when identifier and question are the query's own (RFC 5452 §9.1).
What arrives on a datagram socket and belongs to none is counted and waited past: anybody can send
it, and the real answer may still come. On a connection only the server can have sent it.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TypeAlias

from pierhead.address import ListenSpec
from pierhead.client.dial import DatagramClient, dial_stream
from pierhead.client.socket_end import Unreachable
from pierhead.codec import LengthPrefixed
from pierhead.errors import DecodeError, PeerError, TimedOut, UsageError
from pierhead.protocols.dns.question import Question
from pierhead.protocols.dns.response import Response, parse_head, parse_response

__all__ = ["DatagramExchange", "StreamExchange"]

_FRAMING = LengthPrefixed(2)
#: Datagrams read in one go before others get their turn, so that a flood of forged ones cannot
#: keep a deadline from passing.
_BATCH = 64

#: Why no answer can come any more: the server, the caller, the system.
_Failure: TypeAlias = PeerError | UsageError | OSError


class _InFlight:
    """The queries that wait, by identifier."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Question, asyncio.Future[Response]]] = {}
        self._failure: _Failure | None = None

    @property
    def has_failed(self) -> bool:
        """Tell whether no answer can come any more."""
        return self._failure is not None

    def add(self, question: Question, answer: asyncio.Future[Response]) -> int:
        """Give a query an identifier nobody can guess (RFC 5452 §9.2) and nobody else has."""
        if self._failure is not None:
            raise _another(self._failure)
        ident = secrets.randbits(16)
        while ident in self._waiting:
            ident = secrets.randbits(16)
        self._waiting[ident] = (question, answer)
        return ident

    def remove(self, ident: int) -> None:
        """Forget a query; its answer is a stranger from now on."""
        del self._waiting[ident]

    def find(self, ident: int) -> tuple[Question, asyncio.Future[Response]] | None:
        """Return the query of an identifier that still waits."""
        return self._waiting.get(ident)

    def fail(self, failure: _Failure) -> None:
        """Let nobody wait any longer."""
        self._failure = failure
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(_another(failure))
                answer.exception()  # seen, even where the waiting has just been given up


def _another(failure: _Failure) -> _Failure:
    # One that is raised twice would grow its traceback.
    return type(failure)(*failure.args)


class DatagramExchange:
    """Many queries on one datagram socket.

    Args:
        client: the socket's end; closed by `close`.
        place: what it leads to, for messages.
    """

    def __init__(self, client: DatagramClient, place: str) -> None:
        self._client = client
        self._place = place
        self._in_flight = _InFlight()
        self._stray = 0
        self._unreachable: asyncio.Future[Unreachable] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @property
    def ignored(self) -> int:
        """How many datagrams were no answer to anything asked, and sends and ICMP errors lost."""
        return self._stray + self._client.ignored

    async def ask(self, question: Question, attempts: int, seconds: float) -> Response:
        """Send a query until an answer comes; a late one to an earlier attempt is as good.

        An attempt that reaches nobody, as ICMP says, is over at once.

        Raises:
            TimedOut: none came.
            OSError: no attempt reached anybody, or the socket cannot send or receive.
        """
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        asked: list[int] = []
        unreachable: list[Unreachable] = []
        try:
            for _ in range(attempts):
                asked.append(self._in_flight.add(question, answer))
                told = self._unreachable
                self._client.send(question.frame(asked[-1]))
                await asyncio.wait(
                    (answer, told), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if answer.done():
                    return answer.result()
                if told.done():
                    unreachable.append(told.result())
        finally:
            for ident in asked:
                self._in_flight.remove(ident)
        if len(unreachable) == attempts:
            raise Unreachable(*unreachable[-1].args)
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        raise TimedOut(f"no answer from {self._place} in {tries} of {seconds:g} s")

    async def close(self) -> None:
        """Close the socket; whoever waits gets an error."""
        self._in_flight.fail(UsageError("the client was closed before the answer came"))
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
        if not self._is_taken(frame):
            self._stray += 1

    def _is_taken(self, frame: bytes) -> bool:
        try:
            head = parse_head(frame)
            found = self._in_flight.find(head.id)
            if found is None or found[1].done() or not found[0].is_that_of(head):
                return False
            response = parse_response(frame, self._place, head=head)
        except DecodeError:
            return False
        question, answer = found
        if question.is_answered_by(response):
            answer.set_result(response)
        return answer.done()


class StreamExchange(asyncio.Protocol):
    """Many queries on one connection, answered in any order (RFC 7766 §6.2.1.1, §7).

    Args:
        place: what it leads to, for messages.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._in_flight = _InFlight()
        self._framer = _FRAMING.new()
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: How many answers came by this connection.
        self.answered = 0
        #: How many came too late.
        self.ignored = 0

    @property
    def is_open(self) -> bool:
        """Tell whether queries can be sent."""
        return not self._in_flight.has_failed

    @classmethod
    async def open(cls, spec: ListenSpec, source: str | None) -> StreamExchange:
        """Connect to an address.

        Raises:
            UsageError: it is none that can be dialled.
            OSError: it cannot be reached.
        """
        exchange = cls(str(spec))
        exchange._transport = await dial_stream(spec, lambda: exchange, source=source)
        return exchange

    async def ask(self, question: Question) -> Response:
        """Send a query and wait for its answer, for as long as the caller likes.

        Raises:
            PeerError: the server closed, or sent what is no answer.
        """
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        ident = self._in_flight.add(question, answer)
        try:
            assert self._transport is not None  # it is open
            self._transport.write(_FRAMING.frame(question.frame(ident)))
            return await answer
        finally:
            self._in_flight.remove(ident)

    async def close(self) -> None:
        """Close the connection; whoever waits gets an error."""
        self._in_flight.fail(UsageError("the client was closed before the answer came"))
        if self._transport is not None:
            # Nothing is left to be sent, and the server's end of stream is not waited for.
            self._transport.abort()
            await self._lost

    def data_received(self, data: bytes) -> None:
        """Take octets; hand out the answers they complete."""
        try:
            self._framer.feed(data)
            for frame in self._framer.frames(1 << 16):
                self._take(frame)
        except DecodeError:
            self._fail(PeerError(f"{self._place} answered something that was not asked"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Take leave."""
        reason = f": {exc}" if exc else ""
        self._fail(PeerError(f"the server closed without an answer{reason}"))
        self._lost.set_result(None)

    def _take(self, frame: bytes) -> None:
        head = parse_head(frame)
        found = self._in_flight.find(head.id)
        if found is None or found[1].done():
            self.ignored += 1  # the answer to a query that is not waited for any longer
            return
        question, answer = found
        if not question.is_that_of(head):
            raise DecodeError("another question")
        response = parse_response(frame, self._place, head=head)
        if not question.is_answered_by(response):
            raise DecodeError("another question")
        self.answered += 1
        answer.set_result(response)

    def _fail(self, failure: PeerError) -> None:
        if not self._in_flight.has_failed:
            self._in_flight.fail(failure)
            if self._transport is not None:
                self._transport.abort()
