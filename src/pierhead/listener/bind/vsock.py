"""``vsock:`` and ``vsockseq:``: connections between a virtual machine and its host (Linux)."""

from __future__ import annotations

import socket

from pierhead.address import ListenSpec, VsockAddress
from pierhead.address.views import BindOptions
from pierhead.errors import ListenError
from pierhead.listener.os_errors import vsock_refused
from pierhead.listener.socket_option import apply_options
from pierhead.listener.stream import SocketStreamListener, StreamSettings
from pierhead.service.context import Transport

__all__ = ["open_vsock"]


def open_vsock(spec: ListenSpec) -> SocketStreamListener:
    """Open a vsock address; with port ``any`` the system chooses one.

    Raises:
        ListenError: the system refused.
    """
    address = spec.address
    assert isinstance(address, VsockAddress)
    packets = address.scheme == "vsockseq"
    step = "socket"
    sock = None
    try:
        sock = _socket(spec, socket.SOCK_SEQPACKET if packets else socket.SOCK_STREAM)
        step = "option"
        apply_options(sock, spec)
        step = "bind"
        sock.bind((address.cid, address.port))
        step = "listen"
        sock.listen(BindOptions.of(spec.options).backlog)
        local = str(VsockAddress(address.scheme, *sock.getsockname()))
        transport = Transport.SEQPACKET if packets else Transport.STREAM
        return SocketStreamListener(spec, local, sock, StreamSettings(), transport=transport)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise vsock_refused(str(spec), step, error) from error
        raise


def _socket(spec: ListenSpec, kind: socket.SocketKind) -> socket.socket:
    family = getattr(socket, "AF_VSOCK", None)
    if family is None:
        reason = "this Python was built without vsock"
        raise ListenError(str(spec), "socket", reason, "listen on tcp: or unix: instead")
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    return sock
