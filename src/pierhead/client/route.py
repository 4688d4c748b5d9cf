"""The way to one address: checked once, and gone as often as needed.

route = Route("tcp:127.0.0.1:7000")
transport = await route.stream(Protocol, timeout_s=10)
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pierhead.address import InetAddress, ListenAddress, ListenSpec, MemoryAddress
from pierhead.address.views import SocketOptions
from pierhead.client.connecting import Ends, connect_socket
from pierhead.client.datagram_end import DatagramClient, PrefixedEnd
from pierhead.client.memory_end import MemoryDatagramClient
from pierhead.client.reaching import Reaching
from pierhead.client.socket_end import SocketDatagramClient
from pierhead.codec.proxy_header import ProxyHeader
from pierhead.errors import UsageError
from pierhead.net.memory.network import connect_memory
from pierhead.net.race import NoneSucceeded
from pierhead.net.transport.channel import PacketChannel, StreamChannel
from pierhead.net.transport.channel_transport import ChannelTransport

if TYPE_CHECKING:
    from pierhead.client.wrapping import Wrapping

__all__ = ["DATAGRAMS", "STREAMS", "Route"]

T = TypeVar("T")

STREAMS = ("tcp", "unix", "unixseq", "vsock", "vsockseq", "mem")
DATAGRAMS = ("udp", "unixgram", "memgram")

#: Families for which every event loop has a stream transport.
_FAMILIAR = ("tcp", "unix")
_KINDS = {
    **dict.fromkeys(("tcp", "unix", "vsock"), socket.SOCK_STREAM),
    **dict.fromkeys(("udp", "unixgram"), socket.SOCK_DGRAM),
    **dict.fromkeys(("unixseq", "vsockseq"), getattr(socket, "SOCK_SEQPACKET", None)),
}


class Route:
    """How one address is reached.

    Args:
        address: in any form that a listener takes and that names one place.
        source: the address of this end; None to let the system choose.
        schemes: those allowed, the one of a short form first.
        attempt_delay_s: how long an address of a name may take before the next is tried as well.
        protocols: what ALPN offers, preferred first, unless the address sets it.

    Attributes:
        spec: the address, with a scheme.
        name: the same without its options.

    Raises:
        UsageError: the address or the source cannot be dialled.
    """

    def __init__(
        self,
        address: str | ListenSpec,
        *,
        source: str | None = None,
        schemes: tuple[str, ...] = STREAMS,
        attempt_delay_s: float = 0.25,
        protocols: tuple[str, ...] = (),
    ) -> None:
        spec = ListenSpec.parse(address) if isinstance(address, str) else address
        self.spec = spec.to_dial(schemes[0])
        scheme = self.spec.address.scheme or ""
        if scheme not in schemes:
            forms = ", ".join(f"{name}:" for name in schemes)
            raise UsageError(f"{spec} cannot be dialled here: expected one of {forms}")
        self.name = str(ListenSpec(self.spec.wrappers, self.spec.address))
        self._scheme = scheme
        self._source = _source(source, self.spec.address)
        self._attempt_delay_s = attempt_delay_s
        self._protocols = protocols
        self._wrapping: Wrapping | None = None

    async def stream(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *,
        timeout_s: float | None = None,
        forwarded: ProxyHeader | None = None,
    ) -> asyncio.Transport:
        """Connect, attach a protocol and return the transport.

        Args:
            protocol_factory: called once, when the connection is established and the handshakes of
                its wrappers are complete.
            timeout_s: for all of it; None for as long as it takes.
            forwarded: for ``proxy+``, whom the connection is for; None for this process itself.

        Raises:
            ConnectError: the address cannot be reached; says at which step, and why.
        """
        reaching = Reaching(self.name)
        steps = self._stream(protocol_factory, reaching, forwarded)
        return await _within(timeout_s, reaching, steps)

    async def datagrams(
        self, *, timeout_s: float | None = None, forwarded: ProxyHeader | None = None
    ) -> DatagramClient:
        """Return an end that sends to this address and receives only from it.

        Args:
            timeout_s: for resolving a name; None for as long as it takes.
            forwarded: for ``proxy+``, whom the datagrams are for; None for this process itself.

        Raises:
            ConnectError: there is no route to the address.
            ListenError: the memory network already has an end with the source's name.
        """
        reaching = Reaching(self.name)
        end = await _within(timeout_s, reaching, self._bound_end(reaching))
        if not self.spec.wrappers:
            return end
        from pierhead.client.wrapping import header_of

        return PrefixedEnd(end, header_of(self.spec, forwarded))

    async def _stream(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        reaching: Reaching,
        forwarded: ProxyHeader | None,
    ) -> asyncio.Transport:
        if not self.spec.wrappers:
            return await self._connect(protocol_factory, reaching)

        async def attach(below: Callable[[], asyncio.BaseProtocol]) -> asyncio.Transport:
            return await self._connect(below, reaching)

        if self._wrapping is None:
            from pierhead.client.wrapping import Wrapping  # with ssl: most addresses need none

            self._wrapping = Wrapping(self.spec, self.name, self._protocols)
        return await self._wrapping.begin(attach, protocol_factory, reaching, forwarded)

    async def _connect(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], reaching: Reaching
    ) -> asyncio.Transport:
        target = self.spec.address
        if isinstance(target, MemoryAddress):
            reaching.step = "connect"
            return connect_memory(target.name, protocol_factory(), self._memory_name)
        connected = await connect_socket(self._ends(), reaching, self._attempt_delay_s)
        connected.forget_source()
        try:
            return await self._attached(connected.sock, protocol_factory)
        except BaseException:
            connected.close()
            raise

    async def _attached(
        self, sock: socket.socket, protocol_factory: Callable[[], asyncio.BaseProtocol]
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        if self._scheme in _FAMILIAR:
            transport, _ = await loop.create_connection(protocol_factory, sock=sock)
            if SocketOptions.of(self.spec.options).nodelay is False:
                # Both event loops enable it for every transport.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            return transport
        is_packets = sock.type == getattr(socket, "SOCK_SEQPACKET", None)
        channel = PacketChannel(sock) if is_packets else StreamChannel(sock)
        return ChannelTransport(loop, channel, protocol_factory())

    async def _bound_end(self, reaching: Reaching) -> DatagramClient:
        target, source = self.spec.address, self._source
        if isinstance(target, MemoryAddress):
            return MemoryDatagramClient(
                target, source if isinstance(source, MemoryAddress) else None
            )
        connected = await connect_socket(self._ends(), reaching, self._attempt_delay_s)
        return SocketDatagramClient(connected.sock, connected.bound)

    @property
    def _memory_name(self) -> str | None:
        return self._source.name if isinstance(self._source, MemoryAddress) else None

    def _ends(self) -> Ends:
        kind = _KINDS[self._scheme]
        if kind is None:
            raise UsageError(f"{self.name}: this system has no sockets that keep message borders")
        return Ends(self.spec.address, self.spec.options, self._source, kind)


def _source(source: str | None, target: ListenAddress) -> ListenAddress | None:
    """Return the address of this end.

    Raises:
        UsageError: it is of another kind than the target.
    """
    if source is None:
        return None
    spec = ListenSpec.parse(source)
    local = spec.address
    if isinstance(local, InetAddress) and local.scheme is None:
        local = InetAddress(target.scheme, local.host, local.port, local.last_port)
    if local.scheme != target.scheme or spec.wrappers or spec.options:
        raise UsageError(f"source {source} does not match {target}: expected {target.scheme}:…")
    return local


async def _within(timeout_s: float | None, reaching: Reaching, steps: Awaitable[T]) -> T:
    """Await the steps; turn what can go wrong into one error."""
    try:
        async with asyncio.timeout(timeout_s) as scope:
            return await steps
    except TimeoutError as error:
        if not scope.expired():
            raise reaching.failed(error) from error  # the system's own: ETIMEDOUT
        raise reaching.timed_out(timeout_s or 0.0) from error
    except NoneSucceeded as error:
        raise reaching.none_succeeded(error.errors) from error.errors[-1]
    except OSError as error:
        raise reaching.failed(error) from error
