"""Notices that a connection has been reset while nothing is read from it or written to it.

An event loop that does not read is not told of a reset: on Linux because the descriptor is not
registered, elsewhere because only readable input is reported. The system keeps the error for
whoever asks.
"""

from __future__ import annotations

import asyncio
import errno
import socket

__all__ = ["was_reset"]

#: Errors after which a connection is over. Others may come from an ICMP message that anybody can
#: forge, and the connection goes on (RFC 5461 §2).
_FATAL = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT})


def was_reset(transport: asyncio.BaseTransport) -> bool:
    """Return whether the system knows that the peer has reset the connection, or has vanished.

    It asks for ``SO_ERROR``, which takes one system call and works for TCP on Linux, macOS and the
    BSDs, and for UNIX sockets on Linux. On Windows the system may not know before the next read or
    write. A peer that has only ended its side, or closed after its last octet, has not reset it.
    Asking takes the error away: abort the connection if there was one.
    """
    sock = transport.get_extra_info("socket")
    if sock is None:
        return False
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in _FATAL
    except (OSError, AttributeError, ValueError):  # closed already, or not a socket
        return False
