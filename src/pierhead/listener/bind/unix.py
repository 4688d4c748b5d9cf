"""Unix domain sockets: opening a bound socket for an address, with its path in the file system.

A socket's permissions are exact from its creation, and are set before any client can connect: mode
on the unbound socket (Linux), bind, owner, rest of the mode, listen.
"""

from __future__ import annotations

import os
import socket
import sys

from pierhead.address import AbstractAddress, ListenSpec, UnixAddress
from pierhead.address.views import BindOptions, PathOptions
from pierhead.buffer import BufferSource
from pierhead.errors import ListenError
from pierhead.listener.bind.locked_path import LockedPath
from pierhead.listener.datagram import SocketDatagramListener
from pierhead.listener.os_errors import unix_refused
from pierhead.listener.socket_option import apply_options, for_accepted
from pierhead.listener.stream import SocketStreamListener, StreamSettings
from pierhead.net.unix import SUN_PATH_BYTES, abstract_name
from pierhead.service.context import Transport

if sys.platform != "win32":
    import grp
    import pwd

__all__ = ["open_unix"]

_TYPES = {
    "unix": socket.SOCK_STREAM,
    "unixgram": socket.SOCK_DGRAM,
    "unixseq": socket.SOCK_SEQPACKET,
}

_Opened = SocketStreamListener | SocketDatagramListener


def open_unix(spec: ListenSpec, buffers: BufferSource, batched: bool | None) -> _Opened:
    """Open a Unix domain address.

    Raises:
        ListenError: something is in its place, or the system refused.
    """
    address = spec.address
    assert isinstance(address, (UnixAddress, AbstractAddress))
    if isinstance(address, AbstractAddress):
        return _open(spec, abstract_name(address), None, buffers, batched)
    _check_length(spec, address.path)
    unlink = PathOptions.of(spec.options).unlink
    locked = LockedPath.lock(str(spec), address.path, _TYPES[address.scheme], unlink)
    try:
        return _open(spec, address.path, locked, buffers, batched)
    except BaseException:
        locked.release()
        raise


def _open(
    spec: ListenSpec,
    name: bytes,
    locked: LockedPath | None,
    buffers: BufferSource,
    batched: bool | None,
) -> _Opened:
    step = "socket"
    path = b"" if locked is None else locked.path
    sock = None
    try:
        sock = socket.socket(socket.AF_UNIX, _TYPES[spec.address.scheme or ""])
        sock.setblocking(False)
        step = "option"
        apply_options(sock, spec)
        step = "bind"
        if locked is None:
            sock.bind(name)
        else:
            _bind(sock, spec, locked)
        step = "listen"
        return _listen(spec, sock, locked, buffers, batched)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise unix_refused(str(spec), step, error, path) from error
        raise


def _listen(
    spec: ListenSpec,
    sock: socket.socket,
    locked: LockedPath | None,
    buffers: BufferSource,
    batched: bool | None,
) -> _Opened:
    local, on_close = str(spec.address), None if locked is None else locked.release
    if spec.address.scheme == "unixgram":
        return SocketDatagramListener(
            spec, local, sock, buffers, batched=batched, on_close=on_close
        )
    sock.listen(BindOptions.of(spec.options).backlog)
    transport = Transport.SEQPACKET if spec.address.scheme == "unixseq" else Transport.STREAM
    settings = StreamSettings(prepare=for_accepted(sock, spec))
    return SocketStreamListener(spec, local, sock, settings, transport=transport, on_close=on_close)


def _bind(sock: socket.socket, spec: ListenSpec, locked: LockedPath) -> None:
    options = PathOptions.of(spec.options)
    user, group = _user_number(spec, options.user), _group_number(spec, options.group)
    mode = options.mode
    if mode is not None and sys.platform == "linux":
        # The file gets the mode of the unbound socket minus the umask: never more than requested.
        os.fchmod(sock.fileno(), mode)
    sock.bind(locked.path)
    locked.taken()
    # No client can connect before listen().
    locked.permit(mode, user, group)


def _user_number(spec: ListenSpec, account: int | str | None) -> int:
    """Return the number of a user; -1 to keep the current one."""
    if not isinstance(account, str):
        return -1 if account is None else account
    try:
        return pwd.getpwnam(account).pw_uid
    except KeyError:
        raise _unknown(spec, "user", account) from None


def _group_number(spec: ListenSpec, account: int | str | None) -> int:
    """Return the number of a group; -1 to keep the current one."""
    if not isinstance(account, str):
        return -1 if account is None else account
    try:
        return grp.getgrnam(account).gr_gid
    except KeyError:
        raise _unknown(spec, "group", account) from None


def _unknown(spec: ListenSpec, what: str, account: str) -> ListenError:
    reason = f"no {what} is called {account} here"
    return ListenError(str(spec), f"option {what}", reason, "name another, or its number")


def _check_length(spec: ListenSpec, path: bytes) -> None:
    if len(path) >= SUN_PATH_BYTES:
        reason = f"the path has {len(path)} octets, the system allows {SUN_PATH_BYTES - 1}"
        raise ListenError(str(spec), "path", reason, "choose a shorter path, or a relative one")
