"""Unix domain sockets: from an address to a bound socket, with its place in the file system.

A socket's permissions are exact from its first moment, and whoever may connect is settled
before anybody can: mode on the unbound socket (Linux), bind, owner, rest of the mode, listen.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from pierhead.address import AbstractAddress, ListenSpec, UnixAddress
from pierhead.buffer import BufferSource
from pierhead.context import Transport
from pierhead.errors import ListenError
from pierhead.listener.datagram import SocketDatagramListener
from pierhead.listener.fault import unix_refused
from pierhead.listener.socket_option import apply_options, for_accepted, refuse_unknown_options
from pierhead.listener.stream import SocketStreamListener, StreamSettings
from pierhead.listener.unix_path import ClaimedPath

if sys.platform != "win32":
    import grp
    import pwd

__all__ = ["SUN_PATH_BYTES", "abstract_name", "open_unix"]

#: Size of sun_path, the NUL at its end included.
SUN_PATH_BYTES = 104 if sys.platform == "darwin" or "bsd" in sys.platform else 108

_BACKLOG = 1024
_SOCKET = {"rcvbuf", "sndbuf"}
_FILE = {"mode", "user", "group", "unlink"}
_TYPES = {
    "unix": socket.SOCK_STREAM,
    "unixgram": socket.SOCK_DGRAM,
    "unixseq": socket.SOCK_SEQPACKET,
}

_Opened = SocketStreamListener | SocketDatagramListener


def open_unix(spec: ListenSpec, buffers: BufferSource, batched: bool | None) -> _Opened:
    """Open a Unix domain address.

    Raises:
        ListenError: something stands in its place, or the system refused.
    """
    address = spec.address
    assert isinstance(address, (UnixAddress, AbstractAddress))
    known = _SOCKET | ({"backlog"} if address.scheme != "unixgram" else set())
    if isinstance(address, AbstractAddress):
        refuse_unknown_options(spec, frozenset(known))
        return _open(spec, abstract_name(address), None, buffers, batched)
    refuse_unknown_options(spec, frozenset(known | _FILE))
    _check_length(spec, address.path)
    claimed = ClaimedPath.claim(
        str(spec), address.path, _TYPES[address.scheme], spec.options.get("unlink", "stale")
    )
    try:
        return _open(spec, address.path, claimed, buffers, batched)
    except BaseException:
        claimed.release()
        raise


def _open(
    spec: ListenSpec,
    name: bytes,
    claimed: ClaimedPath | None,
    buffers: BufferSource,
    batched: bool | None,
) -> _Opened:
    step = "socket"
    path = b"" if claimed is None else claimed.path
    sock = None
    try:
        sock = socket.socket(socket.AF_UNIX, _TYPES[spec.address.scheme or ""])
        sock.setblocking(False)
        step = "option"
        apply_options(sock, spec, {})
        step = "bind"
        if claimed is None:
            sock.bind(name)
        else:
            _bind(sock, spec, claimed)
        step = "listen"
        return _listen(spec, sock, claimed, buffers, batched)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise unix_refused(str(spec), step, error, path) from error
        raise


def _listen(
    spec: ListenSpec,
    sock: socket.socket,
    claimed: ClaimedPath | None,
    buffers: BufferSource,
    batched: bool | None,
) -> _Opened:
    local, on_close = str(spec.address), None if claimed is None else claimed.release
    if spec.address.scheme == "unixgram":
        return SocketDatagramListener(
            spec, local, sock, buffers, batched=batched, on_close=on_close
        )
    sock.listen(spec.options.get("backlog", _BACKLOG))
    transport = Transport.SEQPACKET if spec.address.scheme == "unixseq" else Transport.STREAM
    settings = StreamSettings(prepare=for_accepted(sock, spec))
    return SocketStreamListener(spec, local, sock, settings, transport=transport, on_close=on_close)


def _bind(sock: socket.socket, spec: ListenSpec, claimed: ClaimedPath) -> None:
    options = spec.options
    user = _number(spec, "user", pwd.getpwnam)
    group = _number(spec, "group", grp.getgrnam)
    mode = options.get("mode")
    if mode is not None and sys.platform == "linux":
        # The file gets the mode of the unbound socket, less the umask: never more than asked.
        os.fchmod(sock.fileno(), mode)
    sock.bind(claimed.path)
    claimed.taken()
    # Nobody can connect before listen().
    claimed.permit(mode, user, group)


def _number(spec: ListenSpec, key: str, lookup: Callable[[str], Any]) -> int:
    account: int | str = spec.options.get(key, -1)
    if isinstance(account, int):
        return account
    try:
        entry = lookup(account)
    except KeyError:
        reason = f"no {key} is called {account} here"
        raise ListenError(
            str(spec), f"option {key}", reason, "name another, or its number"
        ) from None
    number: int = entry.pw_uid if key == "user" else entry.gr_gid
    return number


def abstract_name(address: AbstractAddress) -> bytes:
    """Return the name as the system takes it."""
    name = b"\0" + address.name
    return name.ljust(SUN_PATH_BYTES, b"\0") if address.padded else name


def _check_length(spec: ListenSpec, path: bytes) -> None:
    if len(path) >= SUN_PATH_BYTES:
        reason = f"the path has {len(path)} octets, the system takes {SUN_PATH_BYTES - 1}"
        raise ListenError(str(spec), "path", reason, "choose a shorter path, or a relative one")
