"""Checks RDATA whose code points are known; unknown ones are not restricted.

Registries grow, and have private ranges: a digest's length is checked only if its type is known.
The check is the same whichever way the RDATA is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.zone.svcb_format import service_key

__all__ = ["association_problem", "service_problem", "value_problem"]


class _Digests(NamedTuple):
    """The offset of a digest after its type, and its length by type."""

    what: str
    type_at: int
    start: int
    sizes: Mapping[int, int]


#: RFC 4034 §5.1.4, 4509, 5933, 6605, 9558, 9563.
_DS = _Digests("digest", 3, 4, {1: 20, 2: 32, 3: 32, 4: 48, 5: 32, 6: 32})
#: RFC 4255 §3.1.2, RFC 6594 §4: SHA-1 and SHA-256.
_SSHFP = _Digests("fingerprint", 1, 2, {1: 20, 2: 32})
#: RFC 6698 §2.1.3: SHA-256 and SHA-512.
_TLSA = _Digests("digest", 2, 3, {1: 32, 2: 64})
_DIGESTS = {
    iana.type_number(text): digests
    for texts, digests in {"DS CDS DLV TA": _DS, "SSHFP": _SSHFP}.items()
    for text in texts.split()
}
#: A CDS record that requests removal of the DS set has exactly this content (RFC 8078 §4).
_DELETE_DS = bytes(5)
#: Octets of a hashed owner name by the algorithm (RFC 5155 §11).
_OWNER_HASHES = {1: 20}
#: Octets of a zone digest by its algorithm (RFC 8976 §2.2.3).
_ZONE_DIGESTS = {1: 48, 2: 64}
#: RFC 8976 §2.2.4, whatever the algorithm.
_SHORTEST_ZONE_DIGEST = 12
#: Serial, scheme and algorithm.
_BEFORE_ZONE_DIGEST = 6
#: The only non-private scheme: what it hashes, and how, is known (RFC 8976 §3).
_SIMPLE = 1
_MANDATORY, _ALPN, _NO_DEFAULT_ALPN = 0, 1, 2

_Check: TypeAlias = Callable[[bytes], str]


def value_problem(rtype: int, rdata: bytes) -> str:
    """Describe what is wrong with RDATA of valid layout; empty if nothing is.

    Args:
        rtype: its type number.
        rdata: its wire form, names uncompressed.
    """
    digests = _DIGESTS.get(rtype)
    if digests is not None:
        return _digest_problem(digests, rdata)
    check = _CHECKS.get(rtype)
    return check(rdata) if check is not None else ""


def association_problem(rdata: bytes) -> str:
    """Say what keeps a TLSA or SMIMEA record from ever matching; nothing where it may.

    Servers load such a record and clients find it unusable (RFC 7671 §4), so it is not a fault.
    """
    return _digest_problem(_TLSA, rdata)


def _digest_problem(digests: _Digests, rdata: bytes) -> str:
    kind = rdata[digests.type_at]
    size = len(rdata) - digests.start
    expected = digests.sizes.get(kind, size)
    if size != expected:
        return f"{digests.what} of {size} octets, expected {expected} for type {kind}"
    if digests is _DS and kind == 0 and rdata != _DELETE_DS:
        return "digest type 0 is reserved, expected 0 0 0 00 to request removal"
    return ""


def _hash_problem(rdata: bytes) -> str:
    algorithm = rdata[0]
    size = rdata[5 + rdata[4]]  # after the salt
    expected = _OWNER_HASHES.get(algorithm, size)
    if size != expected:
        return f"hash of {size} octets, expected {expected} for algorithm {algorithm}"
    return ""


def _zone_digest_problem(rdata: bytes) -> str:
    scheme, algorithm = rdata[4:_BEFORE_ZONE_DIGEST]
    size = len(rdata) - _BEFORE_ZONE_DIGEST
    known = _ZONE_DIGESTS.get(algorithm) if scheme == _SIMPLE else None
    if known is not None and size != known:
        return f"digest of {size} octets, expected {known}"
    if size < _SHORTEST_ZONE_DIGEST:
        return f"digest of {size} octets, expected {_SHORTEST_ZONE_DIGEST} or more"
    return ""


def _binding_problem(rdata: bytes) -> str:
    position = 2
    while rdata[position]:
        position += 1 + rdata[position]
    position += 1
    params = {}
    while position < len(rdata):
        end = position + 4 + int.from_bytes(rdata[position + 2 : position + 4], "big")
        params[int.from_bytes(rdata[position : position + 2], "big")] = rdata[position + 4 : end]
        position = end
    return service_problem(params)[0]


def service_problem(params: Mapping[int, bytes]) -> tuple[str, str]:
    """Describe how parameters contradict each other (RFC 9460 §2.2, §8), and the remedy."""
    if _NO_DEFAULT_ALPN in params and _ALPN not in params:
        return (
            "no-default-alpn without alpn (RFC 9460 §7.1.1)",
            "add alpn=, or leave out no-default-alpn",
        )
    mandatory = params.get(_MANDATORY, b"")
    for start in range(0, len(mandatory) - 1, 2):
        number = int.from_bytes(mandatory[start : start + 2], "big")
        if number not in params:
            return f"{service_key(number)} is mandatory but not given (RFC 9460 §8)", ""
    return "", ""


_CHECKS: dict[int, _Check] = {
    iana.NSEC3: _hash_problem,
    iana.type_number("ZONEMD"): _zone_digest_problem,
    iana.SVCB: _binding_problem,
    iana.HTTPS: _binding_problem,
}
