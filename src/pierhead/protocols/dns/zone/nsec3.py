"""Denial by NSEC3: each hash of a name of the zone points to the next (RFC 5155).

    owner   base32hex(hash of a name).zone.
    RDATA   algorithm  flags  iterations  salt length  salt  hash length  next hash  types
            1          1      2           1            n     1            20         n

A server must hash queried names, once for each extra iteration; that is work which any client can
cause. `MAX_ITERATIONS` bounds it, and the hashes of existing names are cached.
"""

from __future__ import annotations

from base64 import b32decode
from binascii import Error as NotBase32
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from hashlib import sha1
from typing import Final

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.denial import Link, link, next_closer
from pierhead.protocols.dns.zone.node import Node

__all__ = [
    "MAX_ITERATIONS",
    "Nsec3",
    "hash_name",
    "is_hashed_owner",
    "is_known_hash",
    "read_parameters",
]

#: A chain with more iterations gives no proofs. RFC 5155 §10.3 allows 500 with keys of 2,048 bits;
#: RFC 9276 §3.1 requires 0, and resolvers treat no more than 50 to 150 as secure. One answer hashes
#: two or three names: 500 iterations are half a millisecond of work.
MAX_ITERATIONS: Final = 500

_SHA1 = 1
_DIGEST = 20
#: How an NSEC3PARAM record for use by servers begins: algorithm 1, no flags.
_USABLE = b"\x01\x00"
_WILDCARD = b"\x01*"
#: From the alphabet that sorts like its octets (RFC 4648 §7), in lower case, to the usual one.
_TO_BASE_32 = bytes.maketrans(
    b"0123456789abcdefghijklmnopqrstuv", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)


class Nsec3:
    """The NSEC3 chain of a zone, as `denial.Denial` describes it.

    A proof costs a hash for each name involved, and the binary searches; existing names are hashed
    when first needed.

    Attributes:
        iterations: how many additional times a hash is hashed.
        salt: hashed along with each name.
    """

    __slots__ = ("_chain", "_hashes", "_kept", "iterations", "salt")

    def __init__(self, iterations: int, salt: bytes, chain: Mapping[bytes, Link]) -> None:
        self.iterations = iterations
        self.salt = salt
        self._chain = chain
        self._hashes = sorted(chain)
        self._kept: dict[Name, bytes] = {}

    @classmethod
    def find(
        cls, apex: Name, nodes: Mapping[Name, Node], hashed: Mapping[Name, Node]
    ) -> Nsec3 | None:
        """Return the chain announced by an NSEC3PARAM record at the apex; None without one.

        Args:
            apex: the zone's name in lower case.
            nodes: the names of the zone.
            hashed: the owners of NSEC3 records.
        """
        parameters = nodes[apex].sets.get(iana.NSEC3PARAM)
        if parameters is None:
            return None
        # RFC 5155 §7.3: any of them will do; the cheapest is best (RFC 9276 §3.1). Records for
        # another algorithm and those with flags are ignored (§4.1.2).
        for iterations, salt in sorted(
            read_parameters(rdata) for rdata in parameters.rdatas if rdata[:2] == _USABLE
        ):
            if iterations > MAX_ITERATIONS:
                break
            chain = dict(_find_links(apex, hashed, iterations, salt))
            if hash_name(apex, salt, iterations) in chain:
                return cls(iterations, salt, chain)
        return None

    def no_type(self, key: Name) -> list[Link]:
        """Prove "no data" (RFC 5155 §7.2.3, §7.2.4 and §7.2.7)."""
        found = self._match(key)
        if found is not None:
            return [found]
        # Opt-out: insecure delegations, and names that exist only because of them, have no hash in
        # the chain; the closest provable encloser must suffice (RFC 5155 §7.2.4).
        return self._enclose(key, name.parent(key))[1]

    def no_name(self, key: Name, closest: Name) -> list[Link]:
        """Prove "name error" (RFC 5155 §7.2.2): the closest encloser, and no wildcard there."""
        provable, links = self._enclose(key, closest)
        return [*links, self._nearest(self._keep_hash(_WILDCARD + provable))]

    def no_closer(self, key: Name, closest: Name) -> list[Link]:
        """Prove "wildcard answer" (RFC 5155 §7.2.6): the next closer name does not exist."""
        return [self._nearest(self._hash(next_closer(key, closest)))]

    def no_type_by_wildcard(self, key: Name, closest: Name) -> list[Link]:
        """Prove "wildcard no data" (RFC 5155 §7.2.5): the closest encloser and its wildcard."""
        provable, links = self._enclose(key, closest)
        return [*links, self._nearest(self._keep_hash(_WILDCARD + provable))]

    def _enclose(self, key: Name, closest: Name) -> tuple[Name, list[Link]]:
        """Return the closest provable encloser and its proof (RFC 5155 §7.2.1)."""
        found = self._match(closest)
        while found is None:
            closest = name.parent(closest)
            found = self._match(closest)
        return closest, [found, self._nearest(self._hash(next_closer(key, closest)))]

    def _match(self, key: Name) -> Link | None:
        """Return the link of an existing name; the apex always has one."""
        return self._chain.get(self._keep_hash(key))

    def _keep_hash(self, key: Name) -> bytes:
        """Hash an existing name, or the wildcard below one; the cache is bounded."""
        hashed = self._kept.get(key)
        if hashed is None:
            hashed = self._kept[key] = self._hash(key)
        return hashed

    def _hash(self, key: Name) -> bytes:
        return hash_name(key, self.salt, self.iterations)

    def _nearest(self, hashed: bytes) -> Link:
        """Return the link that matches or covers a hash; the chain is a ring."""
        hashes = self._hashes
        return self._chain[hashes[bisect_right(hashes, hashed) - 1]]


def hash_name(key: Name, salt: bytes, iterations: int) -> bytes:
    """Return the hash of a name in lower case (RFC 5155 §5)."""
    digest = sha1(key + salt, usedforsecurity=False).digest()
    for _ in range(iterations):
        digest = sha1(digest + salt, usedforsecurity=False).digest()
    return digest


def read_parameters(rdata: bytes) -> tuple[int, bytes]:
    """Return iterations and salt of an NSEC3 or NSEC3PARAM record."""
    return int.from_bytes(rdata[2:4], "big"), rdata[5 : 5 + rdata[4]]


def _find_links(
    apex: Name, hashed: Mapping[Name, Node], iterations: int, salt: bytes
) -> Iterator[tuple[bytes, Link]]:
    """Yield the hash and the link of each NSEC3 set made with these parameters."""
    for key, node in hashed.items():
        # RFC 5155 §3: "the hash of the original owner name prepended as a single label".
        rrset = node.sets.get(iana.NSEC3)
        if rrset is None or name.parent(key) != apex:
            continue
        digest = _read_hash(key)
        if digest is not None and any(
            rdata[0] == _SHA1 and read_parameters(rdata) == (iterations, salt)
            for rdata in rrset.rdatas
        ):
            yield digest, link(node, iana.NSEC3)


def is_known_hash(rdata: bytes) -> bool:
    """Tell whether an NSEC3 record uses the only defined hash algorithm, SHA-1."""
    return rdata[0] == _SHA1


def is_hashed_owner(key: Name, apex: Name) -> bool:
    """Tell whether a name, in lower case, can own an NSEC3 record of a zone (RFC 5155 §3)."""
    return name.parent(key) == apex and _read_hash(key) is not None


def _read_hash(key: Name) -> bytes | None:
    """Return the hash written in the first label; None if there is none."""
    try:
        digest = b32decode(key[1 : 1 + key[0]].translate(_TO_BASE_32))
    except NotBase32:
        return None
    return digest if len(digest) == _DIGEST else None
