"""Descriptors as a parent process leaves them: plain numbers that no object in here owns."""

from __future__ import annotations

import os
import socket


def leave(sock: socket.socket) -> int:
    """Return a socket's descriptor, inheritable, without an object that would close it."""
    sock.set_inheritable(True)
    return sock.detach()


def bound(kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> socket.socket:
    """Return a socket with an address; listening where its type can."""
    sock = socket.socket(family, kind)
    if family == socket.AF_UNIX:
        sock.bind("")  # Linux: an abstract name of the system's choice
    else:
        sock.bind(("127.0.0.1", 0))
    if kind != socket.SOCK_DGRAM:
        sock.listen()
    return sock


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
