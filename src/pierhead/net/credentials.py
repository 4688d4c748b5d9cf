"""The credentials of the other end of a Unix socket, as the system reports them."""

from __future__ import annotations

import os
import socket
import struct
import sys
from array import array

from pierhead.net.pidfd import identity_of_pidfd
from pierhead.service.context import Credentials

__all__ = ["peer_credentials"]

# Linux numbers that Python's socket module lacks.
_SO_PEERGROUPS, _SO_PEERPIDFD = 59, 77
_UCRED = struct.Struct("@iII")
_MOST_GROUPS_BYTES = 1024  # the most that getsockopt() returns; of more groups, the first are kept

# struct xucred of macOS and FreeBSD: version, uid, number of groups, groups.
_LOCAL_PEERCRED, _XUCRED = 1, struct.Struct("@IIh2x16I")


def peer_credentials(sock: socket.socket) -> Credentials | None:
    """Return the credentials of a connected Unix socket; None if the system has none."""
    system = "freebsd" if sys.platform.startswith("freebsd") else sys.platform
    read = {"linux": _linux, "darwin": _bsd, "freebsd": _bsd}.get(system)
    try:
        return None if read is None else read(sock)
    except OSError:  # the peer has gone; the next read will notice
        return None


def _linux(sock: socket.socket) -> Credentials:
    packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(packed)
    return Credentials(pid, uid, gid, _groups(sock), _pidfd_id(sock))


def _groups(sock: socket.socket) -> tuple[int, ...]:
    try:
        return tuple(
            array("I", sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS_BYTES))
        )
    except OSError:  # Linux before 4.13, or more groups than fit
        return ()


def _pidfd_id(sock: socket.socket) -> int | None:
    try:
        descriptor = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:  # Linux before 6.5, or the process has ended
        return None
    try:
        return identity_of_pidfd(descriptor)
    finally:
        os.close(descriptor)


def _bsd(sock: socket.socket) -> Credentials:
    packed = sock.getsockopt(0, _LOCAL_PEERCRED, _XUCRED.size)
    _, uid, count, *groups = _XUCRED.unpack(packed)
    return Credentials(0, uid, groups[0], tuple(groups[1:count]))
