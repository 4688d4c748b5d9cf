"""What each address option does to a socket, in one table, for listeners and clients alike."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pierhead.address.views import SocketOptions, for_each
from pierhead.net.datagram.ancillary import enable_ecn, enable_gro

__all__ = ["OptionMissing", "set_options"]

_log = logging.getLogger("pierhead.net")

# Linux numbers that Python's socket module lacks in some supported version.
_IP_TRANSPARENT, _IP_FREEBIND = 19, 15
_IPV6_TRANSPARENT, _IPV6_FREEBIND = 75, 78
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = 10, 23
_PMTUDISC = {"dont": 0, "want": 1, "do": 2, "probe": 3, "interface": 4, "omit": 5}
_SO_MARK = 36
_TCP_FASTOPEN_CONNECT = 30
_FORCED = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}  # the buffers, beyond the system's maximum
_TCP = socket.IPPROTO_TCP
_AF_VSOCK: int = getattr(socket, "AF_VSOCK", -1)

#: Linux: a bit mask; 2 enables TCP Fast Open for servers, without which it is silently off.
_FASTOPEN_SWITCH = Path("/proc/sys/net/ipv4/tcp_fastopen")

Apply = Callable[[socket.socket, Any], None]


class OptionMissing(OSError):
    """This platform does not have the option of this ``key``."""

    def __init__(self, key: str) -> None:
        super().__init__(None, f"option {key}: it does not exist on {sys.platform}")
        self.key = key


def set_options(sock: socket.socket, options: Iterable[tuple[str, Any]]) -> None:
    """Set options, each given by its key and value.

    Raises:
        OptionMissing: this platform does not have one.
        OSError: one cannot be set; ``strerror`` begins with ``option`` and its key.
    """
    for key, value in options:
        try:
            _SETTERS[key](sock, value)
        except AttributeError:  # this platform's socket module lacks the constant
            raise OptionMissing(key) from None
        except OSError as error:
            raise OSError(error.errno, f"option {key}: {error.strerror or error}") from error


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
    # How much the other end may have in flight; other size options have no effect here.
    sock.setsockopt(_AF_VSOCK, socket.SO_VM_SOCKETS_BUFFER_MAX_SIZE, value)
    sock.setsockopt(_AF_VSOCK, socket.SO_VM_SOCKETS_BUFFER_SIZE, value)


def _set_unprivileged(sock: socket.socket, option: int, value: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, option, value)
    # Linux silently reduces a larger value, and reports double the value it took (socket(7)).
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
        # Linux uses the IPv4 mark towards IPv4 peers of a dual-stack socket.
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value << 2)


def _mtu_discover(sock: socket.socket, word: str) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC[word])
    # A dual-stack socket uses the IPv4 setting towards IPv4 peers.
    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC[word])


def _fastopen(sock: socket.socket, queue: int) -> None:
    sock.setsockopt(_TCP, socket.TCP_FASTOPEN, queue)
    if sys.platform == "linux" and _FASTOPEN_SWITCH.exists():
        switch = int(_FASTOPEN_SWITCH.read_text())
        if not switch & 2:
            _log.warning(
                "the option fastopen has no effect: the system has disabled it for servers; "
                "enable it: sysctl net.ipv4.tcp_fastopen=%d",
                switch | 2,
            )


_SETTERS: Mapping[str, Apply] = for_each(
    SocketOptions,
    reuseaddr=_switch(socket.SOL_SOCKET, "SO_REUSEADDR"),
    reuseport=_switch(socket.SOL_SOCKET, "SO_REUSEPORT"),
    device=lambda sock, name: sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode()
    ),
    freebind=_by_family(_IP_FREEBIND, _IPV6_FREEBIND),
    transparent=_by_family(_IP_TRANSPARENT, _IPV6_TRANSPARENT),
    mark=lambda sock, mark: sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark),
    dscp=_dscp,
    mtu_discover=_mtu_discover,
    ecn=enable_ecn,
    gro=enable_gro,
    broadcast=_switch(socket.SOL_SOCKET, "SO_BROADCAST"),
    rcvbuf=_buffer(socket.SO_RCVBUF),
    sndbuf=_buffer(socket.SO_SNDBUF),
    nodelay=_switch(_TCP, "TCP_NODELAY"),
    keepalive=_keepalive,
    defer_accept=_switch(_TCP, "TCP_DEFER_ACCEPT"),
    fastopen=_fastopen,
    fastopen_connect=lambda sock, value: sock.setsockopt(_TCP, _TCP_FASTOPEN_CONNECT, int(value)),
    user_timeout=_milliseconds(_TCP, "TCP_USER_TIMEOUT"),
    notsent_lowat=_switch(_TCP, "TCP_NOTSENT_LOWAT"),
    maxseg=_switch(_TCP, "TCP_MAXSEG"),
)
