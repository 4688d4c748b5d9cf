"""Which PROXY headers to trust: only those from the proxies that an address names.

Anyone can write a PROXY header, so it counts only from a peer in ``proxy.from``. On a socket
without IP addresses (Unix domain, memory) every peer that can connect is trusted: the socket's
permissions decide which those are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pierhead.address import ListenSpec
from pierhead.address.views import ProxyOptions
from pierhead.codec.proxy_header import ProxyHeader
from pierhead.errors import ListenError
from pierhead.listener.base import Listener
from pierhead.service.context import Peer

__all__ = ["ProxyRules", "header_peer", "rules_for"]

_IP_SCHEMES = ("tcp", "udp", "quic")
_PATH_SCHEMES = ("unix", "unixgram", "mem", "memgram")


class ProxyRules:
    """Which header is accepted, from which peers, and within which time.

    Args:
        networks: the networks of the proxies; empty if peers have no IP address.
        version: the only version accepted; None for either.
        timeout_s: the time for the complete header to arrive.
    """

    def __init__(
        self, networks: Iterable[str] = (), version: int | None = None, timeout_s: float = 5.0
    ) -> None:
        self.version = version
        self.timeout_s = timeout_s
        parsed = [ipaddress.ip_network(text) for text in networks]
        self._networks = [
            (one.max_prefixlen // 8, _shift(one), int(one.network_address) >> _shift(one))
            for one in parsed
        ]

    def trusts(self, peer: Peer) -> bool:
        """Return whether this peer is one of the proxies."""
        source = peer.ip
        if source is None:
            return not self._networks
        number = int.from_bytes(source, "big")
        return any(
            octets == len(source) and number >> shift == prefix
            for octets, shift, prefix in self._networks
        )


def _shift(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> int:
    return network.max_prefixlen - network.prefixlen


def rules_for(listener: Listener, spec: ListenSpec) -> ProxyRules:
    """Return the rules in the address of a listener.

    Raises:
        ListenError: it does not say which proxies to trust, or says something invalid.
    """
    options = ProxyOptions.of(spec.options)
    networks = options.proxy_from or ()
    scheme = listener.local.partition(":")[0].rpartition("+")[2]
    if scheme in _IP_SCHEMES and not networks:
        reason = "any peer could claim to be any client, because no trusted proxy is named"
        remedy = "add proxy.from= with the proxies' networks, such as proxy.from=10.0.0.0/8"
        raise ListenError(str(spec), "option proxy.from", reason, remedy)
    if scheme in _PATH_SCHEMES and networks:
        reason = f"peers of {scheme}: have no IP address, so none is in a network"
        remedy = "leave it out: every peer that can connect is trusted"
        raise ListenError(str(spec), "option proxy.from", reason, remedy)
    return ProxyRules(networks, options.proxy_version, options.proxy_timeout)


def header_peer(header: ProxyHeader, socket_peer: Peer) -> Peer:
    """Return the client that a header names, or the other end itself if it names none."""
    source = header.source
    if source is None:
        return socket_peer
    if not isinstance(source, bytes):
        return Peer(source)
    if source.startswith(b"\0"):
        return Peer.abstract(source)
    return Peer(source.decode("utf-8", "surrogateescape"))
