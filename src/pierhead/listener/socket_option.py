"""What an option of an address does to a socket, in one table.

Accepted sockets inherit all of these from the listening one (Linux and the BSDs alike), so that
nothing is left to do for each connection. Unix sockets alone inherit nothing on Linux:
`for_accepted` sets their buffers.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pierhead.address import ListenSpec
from pierhead.address.registry import OPTIONS_BY_KEY
from pierhead.errors import ListenError
from pierhead.listener.control import ask_ecn, ask_gro

__all__ = ["SOCKET_OPTIONS", "apply_options", "for_accepted", "refuse_unknown_options"]

_log = logging.getLogger("pierhead.listener")

# Linux numbers that Python's socket module lacks in some version we run on.
_IP_TRANSPARENT, _IP_FREEBIND = 19, 15
_IPV6_TRANSPARENT, _IPV6_FREEBIND = 75, 78
_SO_MARK = 36
_FORCED = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}  # the buffers, past the system's maximum
_TCP = socket.IPPROTO_TCP
_AF_VSOCK: int = getattr(socket, "AF_VSOCK", -1)

#: Linux: a sum of bits; 2 allows servers TCP Fast Open, without which it is off in silence.
_FASTOPEN_SWITCH = Path("/proc/sys/net/ipv4/tcp_fastopen")

#: Options that a listener leaves to its server: `pierhead.server.at_address`.
_SERVERS = frozenset(
    {
        "name",
        "drain",
        "maxconn",
        "maxconn-per-network",
        "when-full",
        "maxrate",
        "accept-backoff",
        "idle-timeout",
        "handshake-timeout",
        "allow-uid",
        "allow-gid",
    }
)

#: Options that accepted Unix sockets do not inherit.
_BUFFERS = ("rcvbuf", "sndbuf")

Apply = Callable[[socket.socket, Any], None]


def apply_options(sock: socket.socket, spec: ListenSpec, defaults: Mapping[str, Any]) -> None:
    """Set what the address asks for, and what it leaves to these defaults.

    Raises:
        ListenError: one cannot be set.
        OSError: likewise; ``strerror`` begins with the option's key.
    """
    wanted = {**defaults, **{k: v for k, v in spec.options.given if k in SOCKET_OPTIONS}}
    for key, value in wanted.items():
        try:
            SOCKET_OPTIONS[key](sock, value)
        except AttributeError:  # this platform's socket module lacks the constant
            reason = f"the option {key} does not exist on {sys.platform}"
            raise ListenError(str(spec), f"option {key}", reason, "leave it out") from None
        except OSError as error:
            raise OSError(error.errno, f"option {key}: {error.strerror or error}") from error


def for_accepted(sock: socket.socket, spec: ListenSpec) -> Callable[[socket.socket], None] | None:
    """Return what sets the options that sockets accepted from this one do not inherit.

    None where they inherit all.
    """
    buffers = [(key, spec.options.get(key)) for key in _BUFFERS if key in spec.options]
    if sock.family != getattr(socket, "AF_UNIX", None) or not buffers:
        return None
    return partial(_apply_each, buffers)


def _apply_each(options: list[tuple[str, Any]], sock: socket.socket) -> None:
    for key, value in options:
        SOCKET_OPTIONS[key](sock, value)


def refuse_unknown_options(spec: ListenSpec, known: frozenset[str]) -> None:
    """Refuse an address with an option that would have no effect.

    Those of its wrappers are theirs, and some are for whoever serves it.

    Raises:
        ListenError: there is one.
    """
    wrappers = frozenset(spec.wrappers)
    for key, _ in spec.options.given:
        is_wrappers = any(row.wrappers & wrappers for row in OPTIONS_BY_KEY[key])
        if key not in known and key not in _SERVERS and not is_wrappers:
            raise ListenError(
                str(spec),
                f"option {key}",
                f"this version does not apply the option {key} to {spec.address.scheme}:",
                "leave it out",
            )


def _switch(level: int, option: str) -> Apply:
    return lambda sock, value: sock.setsockopt(level, getattr(socket, option), int(value))


def _milliseconds(level: int, option: str) -> Apply:
    return lambda sock, value: sock.setsockopt(level, getattr(socket, option), round(value * 1000))


def _by_family(ipv4: int, ipv6: int) -> Apply:
    def apply(sock: socket.socket, value: Any) -> None:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, ipv6, int(value))
        else:
            sock.setsockopt(socket.IPPROTO_IP, ipv4, int(value))

    return apply


def _buffer(option: int) -> Apply:
    def apply(sock: socket.socket, value: int) -> None:
        if sock.family == _AF_VSOCK:
            _set_vsock_buffer(sock, value)
        elif sys.platform == "linux":
            try:
                sock.setsockopt(socket.SOL_SOCKET, _FORCED[option], value)
            except PermissionError:
                _set_unprivileged(sock, option, value)
        else:
            sock.setsockopt(socket.SOL_SOCKET, option, value)

    return apply


def _set_vsock_buffer(sock: socket.socket, value: int) -> None:
    # What the other end may have under way; the sizes that others go by have no effect here.
    sock.setsockopt(_AF_VSOCK, socket.SO_VM_SOCKETS_BUFFER_MAX_SIZE, value)
    sock.setsockopt(_AF_VSOCK, socket.SO_VM_SOCKETS_BUFFER_SIZE, value)


def _set_unprivileged(sock: socket.socket, option: int, value: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, option, value)
    # Linux cuts a larger value in silence and reports double of what it took (socket(7)).
    taken = sock.getsockopt(socket.SOL_SOCKET, option) // 2
    if taken < value:
        limit = "rmem_max" if option == socket.SO_RCVBUF else "wmem_max"
        raise OSError(
            None, f"the system allows {taken} bytes; raise it: sysctl net.core.{limit}={value}"
        )


def _keepalive(sock: socket.socket, times: tuple[Any, Any, Any]) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
    for option, value in zip((idle, "TCP_KEEPINTVL", "TCP_KEEPCNT"), times, strict=True):
        if value is not None:
            sock.setsockopt(_TCP, getattr(socket, option), int(value))


def _dscp(sock: socket.socket, value: int) -> None:
    # The upper six bits of the octet that was once "type of service" (RFC 2474 §3).
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value << 2)
    if sock.family == socket.AF_INET or sys.platform == "linux":
        # Linux sends to IPv4 peers of a socket for both families with the mark of IPv4.
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value << 2)


def _fastopen(sock: socket.socket, queue: int) -> None:
    sock.setsockopt(_TCP, socket.TCP_FASTOPEN, queue)
    if sys.platform == "linux" and _FASTOPEN_SWITCH.exists():
        switch = int(_FASTOPEN_SWITCH.read_text())
        if not switch & 2:
            _log.warning(
                "the option fastopen has no effect: the system has it switched off for servers; "
                "switch it on: sysctl net.ipv4.tcp_fastopen=%d",
                switch | 2,
            )


SOCKET_OPTIONS: Mapping[str, Apply] = {
    "reuseaddr": _switch(socket.SOL_SOCKET, "SO_REUSEADDR"),
    "reuseport": _switch(socket.SOL_SOCKET, "SO_REUSEPORT"),
    "device": lambda sock, name: sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode()
    ),
    "freebind": _by_family(_IP_FREEBIND, _IPV6_FREEBIND),
    "transparent": _by_family(_IP_TRANSPARENT, _IPV6_TRANSPARENT),
    "mark": lambda sock, mark: sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark),
    "dscp": _dscp,
    "ecn": ask_ecn,
    "gro": ask_gro,
    "rcvbuf": _buffer(socket.SO_RCVBUF),
    "sndbuf": _buffer(socket.SO_SNDBUF),
    "nodelay": _switch(_TCP, "TCP_NODELAY"),
    "keepalive": _keepalive,
    "defer-accept": _switch(_TCP, "TCP_DEFER_ACCEPT"),
    "fastopen": _fastopen,
    "user-timeout": _milliseconds(_TCP, "TCP_USER_TIMEOUT"),
    "notsent-lowat": _switch(_TCP, "TCP_NOTSENT_LOWAT"),
}
