"""TCP and UDP: opening bound sockets for an address."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any

from pierhead.address import InetAddress, ListenSpec
from pierhead.address.host import is_ipv4, is_ipv6
from pierhead.address.views import BindOptions, SocketOptions
from pierhead.buffer import BufferSource
from pierhead.errors import ListenError
from pierhead.listener.ancillary_datagram import AncillaryDatagramListener
from pierhead.listener.datagram import SocketDatagramListener
from pierhead.listener.os_errors import inet_refused
from pierhead.listener.socket_option import apply_options
from pierhead.listener.stream import SocketStreamListener, StreamSettings
from pierhead.net.datagram.ancillary import enable_packet_info
from pierhead.net.resolve import inet_text, resolve_host

__all__ = ["InetSocket", "plan_inet"]

#: Defaults for TCP sockets. On Windows SO_REUSEADDR would let other programs take over the port.
_TCP_DEFAULTS = SocketOptions(nodelay=True, reuseaddr=None if sys.platform == "win32" else True)
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True, slots=True)
class InetSocket:
    """One socket to open: a family and an address to bind, including the port."""

    spec: ListenSpec
    family: int
    bind_to: tuple[Any, ...]
    v6only: bool | None = None

    @property
    def scheme(self) -> str:
        """``tcp`` or ``udp``."""
        return self.spec.address.scheme or ""

    @property
    def port(self) -> int:
        """The port; 0 for any free one."""
        port: int = self.bind_to[1]
        return port

    def with_port(self, port: int) -> InetSocket:
        """Return the same socket on this port."""
        bind_to = (self.bind_to[0], port, *self.bind_to[2:])
        return InetSocket(self.spec, self.family, bind_to, self.v6only)

    def collides(self, spec: ListenSpec, local: str) -> bool:
        """Return whether a listener with this spec and bound address conflicts with this socket."""
        scheme, _, rest = local.partition(":")
        host, _, port = rest.rpartition(":")
        host = host.strip("[]").partition("%")[0]
        if scheme.rpartition("+")[2] != self.scheme or port != str(self.port):
            return False
        if not (is_ipv4(host) or is_ipv6(host)):
            return False  # a custom listener
        theirs = ipaddress.ip_address(host)
        mine = ipaddress.ip_address(self.bind_to[0].partition("%")[0])
        if theirs.version == mine.version:
            return theirs == mine or theirs.is_unspecified or mine.is_unspecified
        # [::] is the wildcard of IPv4 as well, unless restricted to IPv6.
        if theirs.version == 6:
            v6only = BindOptions.of(spec.options).v6only
            if v6only is None:
                v6only = getattr(spec.address, "host", None) == ""
            return theirs.is_unspecified and not v6only
        return mine.is_unspecified and not self.v6only

    def open(
        self, buffers: BufferSource, batched: bool | None
    ) -> SocketStreamListener | SocketDatagramListener:
        """Open the socket.

        Raises:
            ListenError: the system refused.
        """
        step = "socket"
        sock = None
        try:
            sock = socket.socket(self.family, _TYPES[self.scheme])
            step = "option"
            self._configure(sock)
            step = "bind"
            sock.bind(self._on_interface())
            step = "listen"
            return self._listen(sock, buffers, batched)
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, OSError):
                host = self.bind_to[0] if self.family == socket.AF_INET6 else ""
                raise inet_refused(self._address(), step, error, self.port, host) from error
            raise

    def _configure(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        apply_options(sock, self.spec, _TCP_DEFAULTS if self.scheme == "tcp" else SocketOptions())
        if self.v6only is not None and self.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self.v6only)

    def _listen(
        self, sock: socket.socket, buffers: BufferSource, batched: bool | None
    ) -> SocketStreamListener | SocketDatagramListener:
        spec, options = self.spec, self._options
        socket_options = SocketOptions.of(spec.options)
        local = inet_text(self.scheme, sock.getsockname())
        is_wildcard = ipaddress.ip_address(self.bind_to[0].partition("%")[0]).is_unspecified
        if self.scheme == "tcp":
            sock.listen(options.backlog)
            reached = (lambda name: inet_text("tcp", name)) if is_wildcard else None
            no_delay = socket_options.or_else(_TCP_DEFAULTS).nodelay
            settings = StreamSettings(reached, no_delay)
            return SocketStreamListener(spec, local, sock, settings)
        if options.multicast == "join":
            _join(sock, self.bind_to, self._interface())
        wanted = is_wildcard if options.pktinfo is None else options.pktinfo
        packet_info = wanted and enable_packet_info(sock)
        if options.pktinfo and not packet_info:
            reason = f"the option pktinfo does not exist for IPv4 on {sys.platform}"
            raise ListenError(str(spec), "option pktinfo", reason, "leave it out")
        says_more = socket_options.ecn or socket_options.gro
        kind = AncillaryDatagramListener if says_more else SocketDatagramListener
        return kind(spec, local, sock, buffers, packet_info=packet_info, batched=batched)

    def _interface(self) -> int:
        """Return the index of the interface on which a group is joined; 0 for any."""
        name = self._options.iface
        try:
            return socket.if_nametoindex(name) if name else 0
        except OSError:
            raise OSError(errno.ENODEV, f"no interface is called {name}") from None

    def _on_interface(self) -> tuple[Any, ...]:
        """Return the address to bind; a link-local group needs its interface."""
        if self.family != socket.AF_INET6 or self.bind_to[3]:
            return self.bind_to
        return (*self.bind_to[:3], self._interface())

    @property
    def _options(self) -> BindOptions:
        return BindOptions.of(self.spec.options)

    def _address(self) -> str:
        asked = str(self.spec)
        bound = inet_text(self.scheme, self.bind_to)
        return asked if asked.partition("?")[0] == bound else f"{asked} ({bound})"


async def plan_inet(spec: ListenSpec) -> list[InetSocket]:
    """Return the sockets of an address: every host times every port of the range.

    Raises:
        ListenError: the name does not resolve, or an option has no effect here.
    """
    address = spec.address
    assert isinstance(address, InetAddress)
    _check_multicast(spec, address)
    hosts = await _hosts(spec, address)
    v6only = BindOptions.of(spec.options).v6only
    if v6only is not None and all(family != socket.AF_INET6 for family, _ in hosts):
        reason = f"v6only is for IPv6, and {address.host} has only IPv4 addresses"
        raise ListenError(str(spec), "option v6only", reason, "leave it out")
    if address.host == "" and len(hosts) > 1:
        v6only = True  # its sibling serves IPv4
    return [
        InetSocket(spec, family, (bind_to[0], port, *bind_to[2:]), v6only)
        for port in address.ports
        for family, bind_to in hosts
    ]


async def _hosts(spec: ListenSpec, address: InetAddress) -> list[tuple[int, tuple[Any, ...]]]:
    ipv6: tuple[int, tuple[Any, ...]] = (socket.AF_INET6, ("::", 0, 0, 0))
    ipv4: tuple[int, tuple[Any, ...]] = (socket.AF_INET, ("0.0.0.0", 0))
    if address.host == "":
        return [ipv6, ipv4] if _has_ipv6() else [ipv4]
    try:
        found = await resolve_host(address.host, 0, _TYPES[address.scheme or ""])
    except OSError as error:
        raise inet_refused(str(spec), "resolve", error, address.port) from error
    return found


def _has_ipv6() -> bool:
    """Return whether this system has IPv6; some have the socket but not the address."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _check_multicast(spec: ListenSpec, address: InetAddress) -> None:
    options = BindOptions.of(spec.options)
    joins = options.multicast == "join"
    if options.iface is not None and not joins:
        reason = "iface says where to join a group, and no group is joined"
        raise ListenError(str(spec), "option iface", reason, "add multicast=join, or use device")
    if not joins:
        return
    literal = address.is_ipv4 or address.is_ipv6
    if not (literal and ipaddress.ip_address(address.host.partition("%")[0]).is_multicast):
        reason = f"{address.host or '*'} is not a multicast group"
        remedy = "name a group: 224.0.0.0 to 239.255.255.255, or ff00::/8"
        raise ListenError(str(spec), "option multicast", reason, remedy)


def _join(sock: socket.socket, group: tuple[Any, ...], interface: int) -> None:
    packed = socket.inet_pton(sock.family, group[0].partition("%")[0])
    if sock.family == socket.AF_INET6:  # struct ipv6_mreq
        request = packed + struct.pack("@I", interface or group[3])
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:  # struct ip_mreqn
        request = packed + bytes(4) + struct.pack("@i", interface)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
