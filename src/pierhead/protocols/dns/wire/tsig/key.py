"""Keys: a name, an algorithm and a secret that two sides share (RFC 8945 §6)."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire.name import ROOT, from_text, key, to_text
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["ALGORITHMS", "Algorithm", "Key", "Keyring"]

#: RFC 8945 §5.2.2.1: no MAC is shorter than this, nor than half of what the hash gives.
_MIN_MAC = 10
#: ``hmac-sha256-128``, as BIND and dig write a MAC truncated to 128 bits.
_TRUNCATED = re.compile(r"(.+?)-([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A keyed hash.

    Attributes:
        text: its name without the last dot: ``hmac-sha256``.
        name: the same in wire form.
        hash: the name of the hash function.
        octets: how long a whole MAC is.
    """

    text: str
    name: Name
    hash: str
    octets: int

    @property
    def min_octets(self) -> int:
        """The shortest MAC that may be sent (RFC 8945 §5.2.2.1)."""
        return max(_MIN_MAC, (self.octets + 1) // 2)


def _algorithm(text: str, name: str, octets: int) -> Algorithm:
    return Algorithm(text, from_text(text, ROOT), name, octets)


#: RFC 8945 §6: the ones that a server must or may have, except MD5, which must not be used.
ALGORITHMS: dict[str, Algorithm] = {
    each.text: each
    for each in (
        _algorithm("hmac-sha1", "sha1", 20),
        _algorithm("hmac-sha224", "sha224", 28),
        _algorithm("hmac-sha256", "sha256", 32),
        _algorithm("hmac-sha384", "sha384", 48),
        _algorithm("hmac-sha512", "sha512", 64),
    )
}


class Key:
    """A secret shared with other servers or clients; immutable, and never shown.

    Attributes:
        name: the name that both sides know it by, in wire form and lower case.
        algorithm: the keyed hash.
        secret: its octets.
        mac_octets: how many octets of a MAC are sent, and at least accepted.

    Args:
        name: a domain name, with or without its last dot.
        secret: octets, or their text in base64.
        algorithm: ``hmac-sha1``, ``-sha224``, ``-sha256``, ``-sha384`` or ``-sha512``; with the
            bits of a truncated MAC after it if wanted: ``hmac-sha256-128``.

    Raises:
        UsageError: one of them is invalid.

    Example:
        >>> Key("north.example", "c2VjcmV0IG9mIHRoZSBub3J0aA==")
        <Key north.example. hmac-sha256>
    """

    __slots__ = ("algorithm", "mac_octets", "name", "secret")

    def __init__(self, name: str, secret: str | bytes, *, algorithm: str = "hmac-sha256") -> None:
        try:
            self.name: Name = key(from_text(name, ROOT))
        except DecodeError as error:
            raise UsageError(f"{name!r} is not the name of a key: {error.reason}") from None
        self.algorithm, self.mac_octets = _parse_algorithm(algorithm)
        self.secret = secret if isinstance(secret, bytes) else _decode(self.text, secret)
        if not self.secret:
            raise UsageError(f"the secret of key {self.text} is empty; {_GENERATE}")

    @property
    def text(self) -> str:
        """The name as text: ``north.example.``."""
        return to_text(self.name)

    @property
    def algorithm_text(self) -> str:
        """The algorithm as a configuration names it: ``hmac-sha256``, ``hmac-sha256-128``."""
        if self.mac_octets == self.algorithm.octets:
            return self.algorithm.text
        return f"{self.algorithm.text}-{self.mac_octets * 8}"

    def mac(self, octets: bytes) -> bytes:
        """Return the whole MAC of some octets."""
        return hmac.digest(self.secret, octets, self.algorithm.hash)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[object, ...]:
        return self.name, self.algorithm, self.secret, self.mac_octets

    def __repr__(self) -> str:
        return f"<Key {self.text} {self.algorithm_text}>"


class Keyring:
    """Keys by their names.

    Raises:
        UsageError: two keys have one name.

    Example:
        >>> ring = Keyring([Key("a.", b"secret"), Key("b.", b"other")])
        >>> len(ring)
        2
    """

    __slots__ = ("_by_name",)

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._by_name: dict[Name, Key] = {}
        for each in keys:
            if not isinstance(each, Key):
                # Not shown: it may be a secret.
                raise UsageError(f"a key is {type(each).__name__}, expected dns.Key(…)")
            if self._by_name.setdefault(each.name, each) is not each:
                raise UsageError(f"two keys are named {each.text}; give each its own name")

    def get(self, name: Name, algorithm: Name) -> Key | None:
        """Return the key of this name and algorithm, both in wire form; None if there is none."""
        found = self._by_name.get(key(name))
        if found is None or found.algorithm.name != key(algorithm):
            return None
        return found

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<Keyring {' '.join(each.text for each in self)}>"


_GENERATE = "make one with 'pierhead key generate NAME'"


def _decode(name: str, secret: str) -> bytes:
    try:
        return base64.b64decode("".join(secret.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"the secret of key {name} is not base64; {_GENERATE}") from None


def _parse_algorithm(text: str) -> tuple[Algorithm, int]:
    """Return the algorithm and how many octets of a MAC are sent."""
    plain = text.lower().removesuffix(".")
    known = ", ".join(ALGORITHMS)
    if plain.startswith("hmac-md5"):
        raise UsageError(f"{text!r} must not be used (RFC 8945 §6); use one of {known}")
    algorithm, bits = ALGORITHMS.get(plain), ""
    if algorithm is None and (found := _TRUNCATED.fullmatch(plain)):
        algorithm, bits = ALGORITHMS.get(found[1]), found[2]
    if algorithm is None:
        raise UsageError(f"{text!r} is not an algorithm of TSIG; known: {known}")
    octets = int(bits) // 8 if bits else algorithm.octets
    if int(bits or 0) % 8 or not algorithm.min_octets <= octets <= algorithm.octets:
        lowest, highest = algorithm.min_octets * 8, algorithm.octets * 8
        raise UsageError(
            f"{text!r} truncates MACs to {bits} bits, expected {lowest} to {highest} in whole "
            "octets (RFC 8945 §5.2.2.1)"
        )
    return algorithm, octets
