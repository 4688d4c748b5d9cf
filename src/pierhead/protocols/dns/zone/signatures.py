"""Whether the signatures of a zone can be valid, as far as visible without cryptography.

A `Verify`, if given, verifies them against the records.

    RRSIG  covered(2) algorithm(1) labels(1) TTL(4) expiration(4) inception(4) tag(2) signer
    DNSKEY flags(2) protocol(1) algorithm(1) public key

All of these are warnings: a validating resolver rejects the answers, and all others accept them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from struct import Struct
from typing import TypeAlias

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.builder import (
    COVERED_SHIFT,
    OWNER,
    RDATAS,
    TTL,
    RawSet,
    ZoneBuilder,
    place_of,
)
from pierhead.protocols.dns.zone.faults import Faults, Place

__all__ = ["Verify", "check_signatures", "key_tag"]

#: Takes the RDATA of a signature, its key and the set, and the set's owner and class; returns
#: whether they match, and None if the algorithm is unknown.
Verify: TypeAlias = Callable[[bytes, bytes, Sequence[bytes], Name, int], bool | None]

#: By algorithm and tag; two keys may share them.
_Keys: TypeAlias = dict[tuple[int, int], list[bytes]]

_HEAD = Struct("!HBBIIIH")
_RSAMD5 = 1
_ZONE_KEY, _PROTOCOL = 0x0100, 3


def check_signatures(
    builder: ZoneBuilder, faults: Faults, now: int | None, verify: Verify | None = None
) -> None:
    """Warn about signatures that no resolver can validate; does nothing if the zone has no key.

    A fault shared by many, as after a night without the signer, is reported once.

    Args:
        builder: the records of the zone.
        faults: where warnings go.
        now: seconds since 1970; None skips the check of expiry.
        verify: verifies signatures against the records; None skips that.
    """
    apex = name.key(builder.origin)
    keys = builder.nodes[apex].get(iana.DNSKEY)
    if keys is None:
        return
    checker = _Checker(apex, _usable_keys(keys), builder.rclass, now, verify)
    for nodes in (builder.nodes, builder.hashed):
        for sets in nodes.values():
            for set_key, signatures in sets.items():
                if set_key >> COVERED_SHIFT:
                    checker.check(set_key, signatures, sets.get(set_key >> COVERED_SHIFT))
    for count, place, message in checker.found.values():
        more = f"; the same is wrong with {count - 1} more" if count > 1 else ""
        faults.warning(place, message + more, "sign the zone again", "signature")


def key_tag(rdata: bytes) -> int:
    """Return the tag of a DNSKEY record (RFC 4034 §B)."""
    if rdata[3] == _RSAMD5:
        return int.from_bytes(rdata[-3:-1], "big")
    padded = rdata + b"\0" if len(rdata) % 2 else rdata
    total = sum(padded[::2]) * 256 + sum(padded[1::2])
    return (total + (total >> 16)) & 0xFFFF


def _usable_keys(keys: RawSet) -> _Keys:
    """Return the keys that may sign a zone (RFC 4034 §2.1)."""
    found: _Keys = {}
    for rdata in keys[RDATAS:]:
        if int.from_bytes(rdata[:2], "big") & _ZONE_KEY and rdata[2] == _PROTOCOL:
            found.setdefault((rdata[3], key_tag(rdata)), []).append(rdata)
    return found


class _Checker:
    """Checks signatures, one set at a time.

    Attributes:
        found: by kind, how many are wrong, where the first one is, and what is wrong with it.
    """

    def __init__(
        self, apex: Name, usable: _Keys, rclass: int, now: int | None, verify: Verify | None
    ) -> None:
        self._apex = apex
        self._usable = usable
        self._rclass = rclass
        self._now = now
        self._verify = verify
        self.found: dict[str, tuple[int, Place, str]] = {}

    def check(self, set_key: int, signatures: RawSet, covered: RawSet | None) -> None:
        """Check the signatures of one set; ``covered`` is None if there is no such set."""
        for index, rdata in enumerate(signatures[RDATAS:]):
            for kind, text in self._complaints(rdata, signatures[OWNER], covered):
                if kind in self.found:
                    count, place, message = self.found[kind]
                    self.found[kind] = count + 1, place, message
                    continue
                what = iana.type_text(set_key >> COVERED_SHIFT)
                message = f"the signature of {name.to_text(signatures[OWNER])} {what} {text}"
                self.found[kind] = 1, place_of(signatures, index), message

    def _complaints(
        self, rdata: bytes, owner: Name, covered: RawSet | None
    ) -> Iterator[tuple[str, str]]:
        """Yield what a resolver would reject in one signature (RFC 4035 §5.3.1)."""
        _, algorithm, labels, original_ttl, expires, begins, tag = _HEAD.unpack_from(rdata)
        keys = self._usable.get((algorithm, tag))
        signer = rdata[_HEAD.size : _HEAD.size + len(self._apex)]
        if covered is None:
            yield "covered", "covers nothing: there is no such record (RFC 4035 §2.2)"
            return
        if signer.lower() != self._apex:
            yield "signer", f"names a signer other than {name.to_text(self._apex)}"
        elif keys is None:
            yield "key", f"was made by key {tag} of algorithm {algorithm}, which the zone lacks"
        elif self._verify is not None:
            yield from self._mismatch(rdata, keys, owner, covered[RDATAS:])
        signed = _signed_labels(owner)
        if labels != signed:
            yield "labels", f"counts {labels} labels, expected {signed} (RFC 4034 §3.1.3)"
        if covered[TTL] > original_ttl:
            yield (
                "ttl",
                f"was made for a TTL of {original_ttl}, but the records have {covered[TTL]}",
            )
        if _after(begins, expires):
            yield "period", "ends before it begins"
        elif self._now is not None and _after(self._now, expires):
            yield "expired", f"expired at {_date(expires, self._now)}"
        elif self._now is not None and _after(begins, self._now):
            yield "early", f"is not valid before {_date(begins, self._now)}"

    def _mismatch(
        self, rdata: bytes, keys: list[bytes], owner: Name, rdatas: Sequence[bytes]
    ) -> Iterator[tuple[str, str]]:
        """Yield a complaint if no key has made a signature of these records (RFC 4035 §5.3.3)."""
        assert self._verify is not None
        matches = [self._verify(rdata, key, rdatas, owner, self._rclass) for key in keys]
        if any(matches):
            return
        if None in matches:
            yield (
                "algorithm",
                f"is of algorithm {rdata[2]}, which cannot be verified here; use 13 for signing "
                "(RFC 8624 §3.1)",
            )
            return
        yield "match", "does not match the records, or the key that made it (RFC 4035 §5.3.3)"


def _signed_labels(owner: Name) -> int:
    count = name.label_count(owner)
    return count - 1 if owner.startswith(b"\x01*") else count


def _after(one: int, other: int) -> bool:
    """Tell whether a time comes after another (RFC 4034 §3.1.5, RFC 1982 §3.2)."""
    return 0 < (one - other) % 2**32 < 2**31


def _date(seconds: int, now: int) -> str:
    """Return a 32-bit time, the one nearest to ``now``, in readable form."""
    nearest = now + (seconds - now + 2**31) % 2**32 - 2**31
    return f"{datetime.fromtimestamp(nearest, UTC):%Y-%m-%d %H:%M:%S} UTC"
