"""The transport that a hosted protocol sees: the connection's own, with a host in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Protocol

from pierhead.server.connection import ConnectionScope

__all__ = ["HostedTransport"]


class _Host(Protocol):
    """The connection behind the transport."""

    protocol: asyncio.BaseProtocol  # the guest's, in charge

    @property
    def is_lingering(self) -> bool: ...

    def pause_reading(self, is_paused: bool) -> None: ...

    def read_on(self) -> None: ...

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def close(self) -> None: ...


class HostedTransport(asyncio.Transport):
    """Passes everything on to the transport below; the host notes what is written.

    ``get_extra_info`` knows, beside what the transport below knows:

    - ``peername``: who asks, which is the client that a trusted PROXY header names;
    - ``socket``: None where that is not the other end of the socket, since whoever asks the
      socket for its peer would take the proxy for the client;
    - ``sslcontext``: that of TLS, by which servers tell ``https`` from ``http``;
    - ``peer`` and ``via``: the `Peer` and the `Via` of the connection.
    """

    def __init__(self, host: _Host, base: asyncio.Transport, scope: ConnectionScope) -> None:
        super().__init__()
        self._host = host
        self._base = base
        self._scope = scope

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact of the connection."""
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
        """Put another protocol in charge: an upgrade, say to WebSocket."""
        self._host.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol in charge, which is not the host."""
        return self._host.protocol

    def is_reading(self) -> bool:
        """Tell whether the protocol gets what arrives."""
        return self._base.is_reading()

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`."""
        self._host.pause_reading(True)

    def resume_reading(self) -> None:
        """Read again."""
        self._host.pause_reading(False)

    def read_on(self) -> None:
        """Go on reading while the connection finishes: for the rest of what was accepted.

        The body of a request may still be on its way, and a WebSocket closes by a handshake. To
        be called from `Guest.finish`.
        """
        self._host.read_on()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send these octets; after `close`, none."""
        self._host.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send these pieces, in order."""
        self.write(b"".join(list_of_data))

    @property
    def _sendfile_compatible(self) -> NoReturn:
        """Make ``loop.sendfile`` say what servers are prepared for, on every loop.

        asyncio looks this up; for want of it `RuntimeError` is raised, which servers take for a
        mistake. uvloop raises `NotImplementedError` by itself. Either way the octets of a file
        pass the host, which counts them and sees whether the peer takes them.
        """
        raise NotImplementedError("a hosted connection has no sendfile")

    def can_write_eof(self) -> bool:
        """Tell whether each direction ends by itself here."""
        return self._base.can_write_eof()

    def write_eof(self) -> None:
        """Say that nothing more will be written."""
        self._base.write_eof()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which the protocol is told to pause and to resume writing.

        What the peer has not taken is bounded by ``max_unsent_bytes`` all the same.
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
        """Return the low-water and high-water marks."""
        return self._base.get_write_buffer_limits()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self._host.is_lingering or self._base.is_closing()

    def close(self) -> None:
        """Close once everything written has been sent."""
        self._host.close()

    def abort(self) -> None:
        """Close at once."""
        self._base.abort()

    def __repr__(self) -> str:
        return f"<HostedTransport {self._scope.peer} by {self._scope.via.listener}>"
