"""Allow and deny lists, by network or by name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from pierhead.errors import UsageError
from pierhead.service.admission.base import Drop, Verdict
from pierhead.service.context import Peer, Via

__all__ = ["NetworkList", "allow", "deny"]

_NAME = "name:"


def allow(*entries: str) -> NetworkList:
    """Admit only peers on the list.

    An entry is a network (``10.0.0.0/8``, ``2001:db8::/32``), an address, or ``name:`` with the
    name of a peer that has no IP address: ``name:/run/client.sock`` or ``name:@abstract`` for a
    UNIX socket, ``name:a`` for an end of a memory network, ``name:`` alone for one without a
    name, which most UNIX stream clients are.

    IPv4 entries also match IPv4 peers of an IPv6 socket; ``::/0`` matches IPv6 alone.

    Raises:
        UsageError: an entry is none of these, or the list is empty.
    """
    return NetworkList(entries, allows=True)


def deny(*entries: str) -> NetworkList:
    """Refuse peers on the list; entries as for `allow`.

    Raises:
        UsageError: an entry is not a network, address or name, or the list is empty.
    """
    return NetworkList(entries, allows=False)


class NetworkList:
    """An admission check by source; created by `allow` and `deny`.

    It costs one look-up per prefix length on the list, however many networks have that length.
    """

    __slots__ = ("_allows", "_drop", "_names", "_networks")

    def __init__(self, entries: Iterable[str], *, allows: bool) -> None:
        listed = list(entries)
        if not listed:
            raise UsageError(f"{'allow' if allows else 'deny'}() got no network; name at least one")
        for entry in listed:
            _check_text(entry, "allow" if allows else "deny")
        self._allows = allows
        self._drop = Drop("not_allowed" if allows else "denied")
        self._names = frozenset(_name(e) for e in listed if e.startswith(_NAME))
        self._networks = _by_length(_network(e) for e in listed if not e.startswith(_NAME))

    def __call__(self, frame: bytes, peer: Peer, via: Via) -> Verdict:
        """Let the frame pass, or drop it."""
        return None if self.lists(peer) is self._allows else self._drop

    def admit_connection(self, peer: Peer, via: Via) -> Drop | None:
        """Accept the connection, or refuse it before its first byte is read."""
        return None if self.lists(peer) is self._allows else self._drop

    def lists(self, peer: Peer) -> bool:
        """Return whether the peer is on the list."""
        source = peer.ip
        if source is None:
            return peer.source in self._names
        number = int.from_bytes(source, "big")
        for shift, prefixes in self._networks[len(source)]:  # noqa: SIM110  # a third of any()
            if number >> shift in prefixes:
                return True
        return False


def _by_length(
    networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> Mapping[int, list[tuple[int, frozenset[int]]]]:
    """Group networks by address length in octets, then by the shift of their prefix."""
    table: dict[int, dict[int, set[int]]] = {4: {}, 16: {}}
    for network in networks:
        shift = network.max_prefixlen - network.prefixlen
        prefix = int(network.network_address) >> shift
        table[network.max_prefixlen // 8].setdefault(shift, set()).add(prefix)
    return {
        octets: [(shift, frozenset(found)) for shift, found in lengths.items()]
        for octets, lengths in table.items()
    }


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(entry)
    except ValueError as error:
        raise UsageError(f"{entry!r} is not a network: {error}{_remedy(entry)}") from error
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _check_text(entry: object, function: str) -> None:
    if isinstance(entry, str):
        return
    star = f"; write {function}(*networks)" if isinstance(entry, list | tuple | set) else ""
    raise UsageError(f"a network is {entry!r}, expected text such as '10.0.0.0/8'{star}")


def _remedy(entry: str) -> str:
    try:
        return f"; did you mean {ipaddress.ip_network(entry, strict=False)}?"
    except ValueError:
        return "; expected an address, a network or name:..."


def _name(entry: str) -> bytes:
    name = entry.removeprefix(_NAME).encode("utf-8", "surrogateescape")
    return b"\0" + name[1:] if name.startswith(b"@") else name
