"""The base of listeners over a socket, stream or datagram."""

from __future__ import annotations

import socket
from collections.abc import Callable

from pierhead.address import ListenSpec
from pierhead.listener.socket_option import apply_change

__all__ = ["SocketListener"]


class SocketListener:
    """Owns a socket.

    Args:
        spec: the address as given.
        local: the bound address, as text.
        sock: closed by `close`.
        on_close: called once after the socket is closed.
    """

    def __init__(
        self,
        spec: ListenSpec,
        local: str,
        sock: socket.socket,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._spec = spec
        self._local = local
        self._sock = sock
        self._on_close = on_close
        self._closed = False

    @property
    def spec(self) -> ListenSpec:
        """The address as given."""
        return self._spec

    @property
    def local(self) -> str:
        """The bound address, as text."""
        return self._local

    @property
    def socket(self) -> socket.socket:
        """The socket, for settings that no address option covers; this object owns it."""
        return self._sock

    def fileno(self) -> int:
        """Return the descriptor of the socket, which this object owns."""
        return self._sock.fileno()

    def check_change(self, spec: ListenSpec) -> None:
        """Try what this spec says otherwise on another socket.

        Raises:
            OSError: the system refuses it.
        """
        with socket.socket(self._sock.family, self._sock.type) as other:
            apply_change(other, self._spec, spec)

    def change(self, spec: ListenSpec) -> None:
        """Obey the options of another spec of the same address from now on.

        Raises:
            OSError: the system refuses one of them.
        """
        apply_change(self._sock, self._spec, spec)
        self._spec = spec

    def unwatch(self) -> None:
        """Stop the event loop from watching the socket; later calls do nothing."""

    def release(self) -> None:
        """Release its other resources; called once, before the socket is closed."""

    def close(self) -> None:
        """Close the socket and release what belongs to it; later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        self.unwatch()
        self.release()
        self._sock.close()
        if self._on_close is not None:
            self._on_close()

    def lend(self) -> None:
        """Leave everything but the descriptor to another process, which has the same socket.

        After a fork, in the process that does not own the address: `close` removes no path then.
        """
        self._on_close = None

    def abandon(self) -> None:
        """Undo an adoption: as `close`, but the descriptor stays open for another attempt."""
        self.unwatch()
        self._sock.detach()
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._local}>"
