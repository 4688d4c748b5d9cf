"""The addresses of this process's datagram listeners, to detect senders that claim to be one."""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from typing import Any

from pierhead.address import ListenSpec
from pierhead.address.addresses import AbstractAddress, InetAddress, MemoryAddress, UnixAddress
from pierhead.errors import AddressError
from pierhead.service.context import Peer

__all__ = ["OwnAddresses"]

_ANY = b""
#: Linux: the size of a padded abstract name.
_SUN_PATH_BYTES = 108


class OwnAddresses:
    """The datagram addresses that this process listens on.

    Attributes:
        suspects: the values of `glance` for senders that need a full check.
    """

    def __init__(self) -> None:
        self.suspects: dict[Any, int] = {b"\0\0": 1, 0: 1}
        self._inet: Counter[tuple[int, bytes]] = Counter()
        self._names: Counter[bytes] = Counter()

    def add(self, local: str) -> None:
        """Add a listener, by its bound address as text."""
        self._count(local, 1)

    def remove(self, local: str) -> None:
        """Remove a listener that was added."""
        self._count(local, -1)

    def why_silent(self, peer: Peer) -> str | None:
        """Return why a suspect gets no answer; None if it gets one."""
        port = peer.port
        if port is None:
            return "own_address" if peer.source in self._names else None
        if port == 0:
            return "port_zero"
        address = peer.ip
        if address is None:
            return None
        is_own = (port, address) in self._inet or (
            (port, _ANY) in self._inet and _is_local(address)
        )
        return "own_address" if is_own else None

    def _count(self, local: str, change: int) -> None:
        glances: list[Any] = []
        for own in _addresses(local):
            if isinstance(own, tuple):
                self._inet[own] += change
                glances += [own[0], own[0].to_bytes(2, "big")]
            else:
                self._names[own] += change
                glances += [own[:2], own.decode("utf-8", "surrogateescape")]
        for glance in glances:
            self.suspects[glance] = self.suspects.get(glance, 0) + change
            if not self.suspects[glance]:
                del self.suspects[glance]
        self._inet, self._names = +self._inet, +self._names


def _addresses(local: str) -> list[tuple[int, bytes] | bytes]:
    """Return the port and address of each sender that is this listener, or its name as a peer."""
    try:
        address = ListenSpec.parse(local).address
    except AddressError:  # of a custom listener, whose peers are unknown here
        return []
    if isinstance(address, InetAddress):
        host = ipaddress.ip_address(address.host.partition("%")[0]) if address.host else None
        if host is None or host.is_unspecified:
            return [(address.port, _ANY)]
        mapped = getattr(host, "ipv4_mapped", None)
        return [(address.port, (mapped or host).packed)]
    if isinstance(address, MemoryAddress):
        return [address.name.encode("utf-8", "surrogateescape")]
    if isinstance(address, AbstractAddress):
        name = b"\0" + address.name
        return [name.ljust(_SUN_PATH_BYTES, b"\0") if address.padded else name]
    return [address.path] if isinstance(address, UnixAddress) else []


def _is_local(address: bytes) -> bool:
    """Return whether an address belongs to this host, without sending anything.

    To reach one of its own addresses, a host uses that address as the source.
    """
    host = ipaddress.ip_address(address)
    if host.is_loopback:
        return True
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(host), 9))
            return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == host
    except OSError:  # there is no route
        return False
