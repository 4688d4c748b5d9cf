"""One server that queries are forwarded to."""

from __future__ import annotations

from pierhead.address import InetAddress, ListenSpec
from pierhead.client.dial import dial_datagram
from pierhead.errors import ConnectError, ConnectionEnded, PeerError
from pierhead.protocols.dns.client import Client
from pierhead.protocols.dns.exchange import DatagramExchange
from pierhead.protocols.dns.question import Question
from pierhead.protocols.dns.response import Response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query
from pierhead.service.context import Context

__all__ = ["DnsUpstream"]

_DATAGRAMS = ("udp", "unixgram", "memgram")


class DnsUpstream:
    """A service that asks one server.

    Over datagrams, each query has a socket of its own, and so a port that nobody can guess (RFC
    5452 §9.2). Over streams all share one connection, which is opened again when it is needed.

    Args:
        address: without a scheme, UDP, and TCP for what is truncated.
        timeout: how long to wait for the answer to each attempt, in seconds.
        attempts: how many times to send over datagrams.

    Attributes:
        name: the address.

    Raises:
        UsageError: the address cannot be dialled.
    """

    def __init__(self, address: str, timeout: float, attempts: int) -> None:
        self.name = address
        self._timeout = timeout
        self._attempts = attempts
        self._spec, over = _ways(ListenSpec.parse(address))
        self._is_datagram = self._spec.address.scheme in _DATAGRAMS
        self._stream = None if over is None else Client(over, attempts=1, timeout=timeout)
        self._is_open = False

    def __repr__(self) -> str:
        return f"<DNS upstream {self.name}>"

    async def __call__(self, query: Query, context: Context) -> Response:
        """Forward a query.

        Raises:
            TimedOut: no answer came in time.
            PeerUnavailable: the server cannot be reached, or closed the connection.
        """
        response = await self._ask(Question.of_next_hop(query))
        if response.edns is None and response.rcode in (iana.FORMERR, iana.NOTIMP):
            # RFC 6891 §7: it does not know EDNS; the bits that need it are lost.
            response = await self._ask(Question.of_next_hop(query, has_edns=False))
        return response

    async def check(self, name: str) -> None:
        """Ask for the SOA record of a name; any answer will do.

        Raises:
            TimedOut: no answer came in time.
            PeerUnavailable: the server cannot be reached, or closed the connection.
        """
        await self._ask(Question(name, "SOA"))

    async def close(self) -> None:
        """Close the connection."""
        if self._stream is not None and self._is_open:
            self._is_open = False
            await self._stream.__aexit__(None, None, None)

    async def _ask(self, question: Question) -> Response:
        try:
            if not self._is_datagram:
                return await self._ask_stream(question)
            response = await self._ask_datagram(question)
            if response.truncated and self._stream is not None:
                return await self._ask_stream(question)
            return response
        except PeerError as error:
            raise ConnectionEnded(self.name, str(error)) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConnectError(self.name, "connect", reason, errno=error.errno) from error

    async def _ask_datagram(self, question: Question) -> Response:
        exchange = DatagramExchange(await dial_datagram(self._spec), self.name)
        try:
            return await exchange.ask(question, self._attempts, self._timeout)
        finally:
            await exchange.close()

    async def _ask_stream(self, question: Question) -> Response:
        assert self._stream is not None
        if not self._is_open:
            self._is_open = True
            await self._stream.__aenter__()
        return await self._stream.ask(question)


def _ways(spec: ListenSpec) -> tuple[ListenSpec, ListenSpec | None]:
    """Return where queries go, and where those go whose answer is too long for a datagram."""
    target = spec.address
    if not isinstance(target, InetAddress):
        return spec, None if target.scheme in _DATAGRAMS else spec
    over = ListenSpec(
        spec.wrappers, InetAddress("tcp", target.host, target.port, target.last_port), spec.options
    )
    if spec.wrappers or target.scheme == "tcp":
        return over, over
    over_udp = InetAddress("udp", target.host, target.port, target.last_port)
    return ListenSpec((), over_udp, spec.options), ListenSpec((), over.address)
