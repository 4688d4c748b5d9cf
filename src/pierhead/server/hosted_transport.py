"""The transport that a hosted protocol sees: the connection's own, with the host in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Protocol

from pierhead.server.connection import ConnectionScope

__all__ = ["HostedTransport"]


class _Host(Protocol):
    """The connection behind the transport."""

    protocol: asyncio.BaseProtocol  # the guest's current protocol

    @property
    def is_lingering(self) -> bool: ...

    def pause_reading(self, is_paused: bool) -> None: ...

    def read_on(self) -> None: ...

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def close(self) -> None: ...


class HostedTransport(asyncio.Transport):
    """Passes everything on to the transport below; the host counts what is written.

    ``get_extra_info`` has these keys, besides those of the transport below:

    - ``peername``: the client, as named by a trusted PROXY header if there is one;
    - ``socket``: None if the client is not the other end of the socket, because a guest that asks
        the socket for its peer would mistake the proxy for the client;
    - ``sslcontext``: the TLS context, by which servers distinguish ``https`` from ``http``;
    - ``peer`` and ``via``: the `Peer` and the `Via` of the connection.
    """

    def __init__(self, host: _Host, base: asyncio.Transport, scope: ConnectionScope) -> None:
        super().__init__()
        self._host = host
        self._base = base
        self._scope = scope

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the connection."""
        facts: dict[str, Callable[[], Any]] = {
            "peer": lambda: self._scope.peer,
            "via": lambda: self._scope.via,
            "sslcontext": self._ssl_context,
        }
        if self._scope.via.socket_peer is not None:
            facts |= {"peername": self._peer_name, "socket": lambda: None}
        found = facts[name]() if name in facts else self._base.get_extra_info(name)
        return default if found is None else found

    def _ssl_context(self) -> Any:
        ssl_object = self._base.get_extra_info("ssl_object")
        return None if ssl_object is None else ssl_object.context

    def _peer_name(self) -> tuple[str, int] | str:
        peer = self._scope.peer
        return peer.host if peer.port is None else (peer.host, peer.port)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switch to another protocol: an upgrade, for example to WebSocket."""
        self._host.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the guest's current protocol, which is not the host."""
        return self._host.protocol

    def is_reading(self) -> bool:
        """Return whether the protocol receives input."""
        return self._base.is_reading()

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading`."""
        self._host.pause_reading(True)

    def resume_reading(self) -> None:
        """Resume reading."""
        self._host.pause_reading(False)

    def read_on(self) -> None:
        """Continue reading while the connection finishes, for the rest of accepted requests.

        The body of a request may still be arriving, and a WebSocket closes with a handshake. Call
        it from `Guest.finish`.
        """
        self._host.read_on()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send these octets; ignored after `close`."""
        self._host.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send these pieces, in order."""
        self.write(b"".join(list_of_data))

    @property
    def _sendfile_compatible(self) -> NoReturn:
        """Make ``loop.sendfile`` raise the error that servers expect, on every loop.

        asyncio looks this attribute up; without it, it raises `RuntimeError`, which servers treat
        as a bug. uvloop raises `NotImplementedError` itself. Either way the octets of a file pass
        through the host, which counts them and sees whether the peer takes them.
        """
        raise NotImplementedError("a hosted connection has no sendfile")

    def can_write_eof(self) -> bool:
        """Return whether each direction can be ended separately."""
        return self._base.can_write_eof()

    def write_eof(self) -> None:
        """End the write side: nothing more will be written."""
        self._base.write_eof()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits at which the protocol is told to pause and to resume writing.

        Octets that the peer has not taken are bounded by ``max_unsent_bytes`` regardless.
        """
        most = self._scope.options.max_unsent_bytes
        if high is None:
            high = 65_536 if low is None else 4 * low
        if high > most:
            high = most
            low = None if low is None else min(low, most)
        self._base.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many octets the peer has not taken yet."""
        return self._base.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and high limits."""
        return self._base.get_write_buffer_limits()

    def is_closing(self) -> bool:
        """Return whether the connection is closed or closing."""
        return self._host.is_lingering or self._base.is_closing()

    def close(self) -> None:
        """Close once everything written has been sent."""
        self._host.close()

    def abort(self) -> None:
        """Close at once."""
        self._base.abort()

    def __repr__(self) -> str:
        return f"<HostedTransport {self._scope.peer} by {self._scope.via.listener}>"
