"""Sends queries to a server: one, or many at once over one socket.

    response = await query("127.0.0.1:5300", "www.example.", "AAAA")

    async with Client("127.0.0.1:5300") as client:
        responses = await asyncio.gather(*(client.query(name, "MX") for name in names))

Over datagrams it retries when no answer arrives, ignores answers to other questions, and falls back
to TCP if the answer is truncated. It returns the server's cookie if asked to. Time is the event
loop's, so that a test can control it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from types import TracebackType
from typing import TypeVar

from pierhead.address import InetAddress, ListenSpec
from pierhead.client.dial import dial_datagram
from pierhead.clock import Clock, SystemClock
from pierhead.errors import PeerError, TimedOut, UsageError
from pierhead.limits import Limit
from pierhead.printable import digits
from pierhead.protocols.dns.exchange import DatagramExchange, StreamExchange
from pierhead.protocols.dns.question import Question
from pierhead.protocols.dns.response import Response
from pierhead.protocols.dns.signed_question import SignatureRefused, SignedQuestion
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import RD
from pierhead.protocols.dns.wire.tsig.key import Key

__all__ = ["LIMITS", "MAX_IN_FLIGHT", "Client", "over_tcp", "query"]

_Opened = TypeVar("_Opened")

_EDNS = Edns()
_DATAGRAMS = ("udp", "unixgram", "memgram")
#: Each attempt has its own identifier, and each pending one is one that can be guessed.
_MAX_ATTEMPTS = 15

MAX_IN_FLIGHT = Limit(
    name="max_in_flight",
    default=1000,
    minimum=1,
    maximum=4000,
    unit="queries",
    meaning="How many queries of one client may await an answer at the same time; more queue.",
    source="65,536 identifiers, most of them free so that an unused one is found quickly",
    metric="none: further queries queue",
    effect="at start",
)

LIMITS = (MAX_IN_FLIGHT,)


class Client:
    """Queries one server, with many queries in flight on one socket; an async context manager.

    A stream is opened when needed, shared by all queries, and reopened after the server closes it.
    All queries share one source port, so only the identifier protects against off-path forgery (RFC
    5452 §9.2); `query` uses a new port each time.

    Args:
        address: the server's, as it listens: ``127.0.0.1:5300`` (UDP, and TCP if the answer is
            truncated), ``tcp:…``, ``unix:…``, ``memgram:b``, ``tls+tcp:…`` (RFC 7858).
        attempts: how many times to send over datagrams, 1 to 15; over a stream, once.
        timeout: how long to wait for the answer to each attempt, in seconds. This also bounds
        opening the socket, and connecting is part of a stream's single attempt.
        source: the address to send from.
        max_in_flight: how many queries may wait at the same time.
        key: signs every query, and verifies every answer (RFC 8945): one that is not signed with it
            is ignored in a datagram, and ends a stream.
        clock: the source of the time that is signed.

    Raises:
        UsageError: an argument is out of range.

    Example:
        >>> async def both():
        ...     async with Client("127.0.0.1:5300") as client:
        ...         return await asyncio.gather(client.query("a."), client.query("b."))
    """

    def __init__(
        self,
        address: str | ListenSpec,
        *,
        attempts: int = 3,
        timeout: float = 2.0,
        source: str | None = None,
        max_in_flight: int = int(MAX_IN_FLIGHT.default),
        key: Key | None = None,
        clock: Clock | None = None,
    ) -> None:
        numbers: tuple[object, object] = attempts, timeout  # as passed without a type checker
        is_valid = isinstance(numbers[0], int) and isinstance(numbers[1], int | float)
        if not is_valid or not 1 <= attempts <= _MAX_ATTEMPTS or not timeout > 0:
            raise UsageError(
                f"{attempts!r} attempts of {timeout!r} s; expected 1 to {_MAX_ATTEMPTS}, above 0 s"
            )
        self.spec = address if isinstance(address, ListenSpec) else ListenSpec.parse(address)
        if "tls" in self.spec.wrappers:
            self.spec = self.spec.to_dial("tcp")  # RFC 7858: there is no TLS over datagrams
        self._attempts = attempts
        self._timeout = timeout
        self._source = source
        self._key = key
        self._now = (clock or SystemClock()).wall
        self._turns = asyncio.Semaphore(int(MAX_IN_FLIGHT.check(max_in_flight)))
        # One lock each: a connection that is slow to open delays no datagram.
        self._opening_datagrams = asyncio.Lock()
        self._opening_stream = asyncio.Lock()
        self._dialling: set[asyncio.Timeout] = set()
        self._datagrams: DatagramExchange | None = None
        self._stream: StreamExchange | None = None
        self._is_open = False

    @property
    def ignored(self) -> int:
        """How many messages were ignored: forged, late, or unrelated."""
        exchanges = (self._datagrams, self._stream)
        return sum(exchange.ignored for exchange in exchanges if exchange is not None)

    async def __aenter__(self) -> Client:
        """Prepare the client; nothing is opened yet."""
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close what was opened; pending queries get an error."""
        self._is_open = False
        for scope in self._dialling:
            scope.reschedule(asyncio.get_running_loop().time())
        # Nothing is being opened any more.
        async with self._opening_datagrams, self._opening_stream:
            for exchange in (self._datagrams, self._stream):
                if exchange is not None:
                    await exchange.close()

    async def query(
        self,
        name: str,
        rtype: str = "A",
        *,
        rclass: str = "IN",
        edns: Edns | None = _EDNS,
        recursion_desired: bool = False,
        flags: int = 0,
        accept_truncated: bool = False,
    ) -> Response:
        """Return the server's answer, whatever its code.

        Args:
            name: absolute, with or without its last dot.
            rtype: ``AAAA``, ``TYPE65280`` …
            rclass: ``IN``, ``CH`` …
            edns: the content of the OPT record; None for none.
            recursion_desired: the RD bit.
            flags: more bits of the header's second word: AD, CD, an opcode.
            accept_truncated: never fall back to TCP.

        Returns:
            The response. It is ``truncated`` only if there is no TCP to fall back to.

        Raises:
            TimedOut: no answer arrived in time.
            PeerError: the server closed the stream, sent something that is not an answer, or
                refuses the signature.
            UsageError: the name, the type or the class is invalid; or the client is not open.
            ConnectError: the address cannot be reached.
        """
        if recursion_desired:
            flags |= RD
        question = Question(name, rtype, rclass=rclass, edns=edns, flags=flags)
        return await self.ask(question, accept_truncated=accept_truncated)

    async def ask(self, question: Question, *, accept_truncated: bool = False) -> Response:
        """Return the server's answer to a question; otherwise the same as `query`."""
        if self._key is not None:
            question = SignedQuestion(question, self._key, self._now)
        async with self._turns:
            response = await self._ask(question, accept_truncated)
            again = question.shown_cookie(response)
            return response if again is None else await self._ask(again, accept_truncated)

    async def _ask(self, question: Question, accept_truncated: bool) -> Response:
        target = self.spec.address
        if target.scheme is not None and target.scheme not in _DATAGRAMS:
            return await self._ask_stream(self.spec, question, self._source)
        async with self._attempt(self.spec):
            exchange = await self._open_datagrams()
        response = await exchange.ask(question, self._attempts, self._timeout)
        if response.truncated and isinstance(target, InetAddress) and not accept_truncated:
            # RFC 7766 §5: a truncated answer is requested again over TCP, where it is whole.
            inet = InetAddress(None, target.host, target.port)
            tcp_spec = ListenSpec(self.spec.wrappers, inet, self.spec.options).to_dial("tcp")
            return await self._ask_stream(tcp_spec, question, over_tcp(self._source))
        return response

    async def _ask_stream(
        self, spec: ListenSpec, question: Question, source: str | None
    ) -> Response:
        async with self._attempt(spec):
            while True:
                exchange = await self._open_stream(spec, source)
                is_used = exchange.answered > 0
                try:
                    return await exchange.ask(question)
                except SignatureRefused:
                    raise  # an answer, which would be the same again
                except PeerError:
                    # RFC 7766 §6.2.4: the server may close at any time, even as a query is sent,
                    # which is not an answer to it; a connection that never answered is another
                    # matter.
                    if not is_used:
                        raise

    @contextlib.asynccontextmanager
    async def _attempt(self, spec: ListenSpec) -> AsyncIterator[None]:
        """Bound the enclosed block by the time of one attempt."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise TimedOut(f"no answer from {spec} in {digits(self._timeout)} s") from None

    async def _open_datagrams(self) -> DatagramExchange:
        async with self._opening_datagrams:
            self._check_open()
            if self._datagrams is None:
                end = await self._dial(dial_datagram(self.spec, source=self._source))
                target = self.spec.address
                place = f"udp:{target}" if target.scheme is None else str(target)
                self._datagrams = DatagramExchange(end, place)
            return self._datagrams

    async def _open_stream(self, spec: ListenSpec, source: str | None) -> StreamExchange:
        async with self._opening_stream:
            self._check_open()
            if self._stream is None or not self._stream.is_open:
                if self._stream is not None:
                    await self._stream.close()
                self._stream = await self._dial(StreamExchange.open(spec, source))
            return self._stream

    async def _dial(self, opening: Awaitable[_Opened]) -> _Opened:
        """Wait until the opening completes or the client is closed."""
        try:
            async with asyncio.timeout(None) as scope:
                self._dialling.add(scope)
                return await opening
        except TimeoutError:
            if not scope.expired():
                raise  # the system's own: ETIMEDOUT
            raise UsageError("the client was closed before the answer arrived") from None
        finally:
            self._dialling.discard(scope)

    def _check_open(self) -> None:
        if not self._is_open:
            raise UsageError(
                "the client is not open; query inside 'async with Client(…) as client:'"
            )


async def query(
    address: str | ListenSpec,
    name: str,
    rtype: str = "A",
    *,
    attempts: int = 3,
    timeout: float = 2.0,  # noqa: ASYNC109  # for one attempt; a bound on all is the caller's
    source: str | None = None,
    rclass: str = "IN",
    edns: Edns | None = _EDNS,
    recursion_desired: bool = False,
    flags: int = 0,
    key: Key | None = None,
) -> Response:
    """Return the server's answer to one question, whatever its code.

    The arguments and exceptions are those of `Client` and `Client.query`.

    Example:
        >>> from pierhead.protocols import dns
        >>> asyncio.run(dns.query("127.0.0.1:5300", "www.example."))  # doctest: +SKIP
        <Response 4711 NOERROR 1+0+0 records>
    """
    async with Client(
        address, attempts=attempts, timeout=timeout, source=source, key=key
    ) as client:
        return await client.query(
            name,
            rtype,
            rclass=rclass,
            edns=edns,
            recursion_desired=recursion_desired,
            flags=flags,
        )


def over_tcp(source: str | None) -> str | None:
    """Return the source for the TCP fallback: the same address, the port chosen by the system."""
    if source is None:
        return None
    local = ListenSpec.parse(source).address
    return f"tcp:{InetAddress(None, local.host, 0)}" if isinstance(local, InetAddress) else None
