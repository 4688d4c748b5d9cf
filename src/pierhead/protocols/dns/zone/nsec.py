"""Denial by NSEC: each name of the zone points to the next (RFC 4034 §4, RFC 4035 §3.1.3)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.denial import Link, link
from pierhead.protocols.dns.zone.node import Node

__all__ = ["Nsec", "order_key"]

_WILDCARD = b"\x01*"


class Nsec:
    """The NSEC chain of a zone, as `denial.Denial` describes it.

    Memory is one key and one link for each name of the chain; a proof costs one or two binary
    searches.
    """

    __slots__ = ("_keys", "_links")

    def __init__(self, nodes: Mapping[Name, Node]) -> None:
        chain = sorted(
            (order_key(key), link(node, iana.NSEC))
            for key, node in nodes.items()
            if iana.NSEC in node.sets and node.is_chained
        )
        self._keys = [key for key, _ in chain]
        self._links = [found for _, found in chain]

    @classmethod
    def find(cls, nodes: Mapping[Name, Node]) -> Nsec | None:
        """Return the chain of a zone; None if it has no NSEC record."""
        chain = cls(nodes)
        return chain if chain._links else None

    def no_type(self, key: Name) -> list[Link]:
        """Prove "no data" (RFC 4035 §3.1.3.1)."""
        # An empty non-terminal has no NSEC record of its own; the one that covers it points to a
        # name below it, which proves that it exists.
        return [self._nearest(key)]

    def no_name(self, key: Name, closest: Name) -> list[Link]:
        """Prove "name error" (RFC 4035 §3.1.3.2); one link may be enough for both parts."""
        return [self._nearest(key), self._nearest(_WILDCARD + closest)]

    def no_closer(self, key: Name, closest: Name) -> list[Link]:
        """Prove "wildcard answer" (RFC 4035 §3.1.3.3)."""
        # The resolver learns the closest encloser from the Labels field of the signature.
        return [self._nearest(key)]

    def no_type_by_wildcard(self, key: Name, closest: Name) -> list[Link]:
        """Prove "wildcard no data" (RFC 4035 §3.1.3.4)."""
        return [self._nearest(_WILDCARD + closest), self._nearest(key)]

    def _nearest(self, key: Name) -> Link:
        """Return the link that matches or covers a name."""
        # Before the first comes the last: the chain is a ring (RFC 4034 §4.1.1).
        return self._links[bisect_right(self._keys, order_key(key)) - 1]


def order_key(key: Name) -> bytes:
    """Return octets that sort in the canonical order of names (RFC 4034 §6.1).

    Labels from the right, separated by octet 0, so that parents sort first; 0 and 1 inside a label
    become pairs that keep their order.
    """
    parts = name.labels(key)
    if b"\0" in key[:-1] or b"\1" in key:
        parts = tuple([part.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") for part in parts])
    return b"\0".join(parts[::-1])
