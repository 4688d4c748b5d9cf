"""Whether a signature matches its records: the cryptography of DNSSEC.

    signed: RRSIG without its signature │ owner type class TTL length RDATA, of each record

The algorithms are those that RFC 8624 §3.1 requires or recommends for validators. The extra
``dnssec`` installs *cryptography*; only ``pierhead zone check`` needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["verify"]

#: Takes a signature and the signed data; raises `InvalidSignature`.
_Check: TypeAlias = Callable[[bytes, bytes], None]
#: Creates one from a public key; raises `ValueError` if that is invalid.
_Loader: TypeAlias = Callable[[bytes], _Check]

_RECORD = Struct("!HHIH")
_HEAD_OCTETS = 18
_KEY_HEAD_OCTETS = 4


def verify(
    signature: bytes, key: bytes, rdatas: Sequence[bytes], owner: Name, rclass: int
) -> bool | None:
    """Tell whether a key has made a signature of these records (RFC 4034 §3.1.8.1).

    Names, labels and times are not checked. None if the algorithm is unknown.

    Args:
        signature, key: RDATA of the RRSIG and the DNSKEY record.
        rdatas: what the set of records holds.
        owner, rclass: the set's.
    """
    try:
        check = _load(key)
        if check is None:
            return None
        end = _name_end(signature, _HEAD_OCTETS)
        check(signature[end:], _signed(signature, end, rdatas, owner, rclass))
    except UnsupportedAlgorithm:  # disabled by the system's policy
        return None
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed(signature: bytes, end: int, rdatas: Sequence[bytes], owner: Name, rclass: int) -> bytes:
    covered, ttl = int.from_bytes(signature[:2], "big"), int.from_bytes(signature[4:8], "big")
    canonical = sorted({canonical_rdata(covered, rdata) for rdata in rdatas})
    parts = [signature[:_HEAD_OCTETS], signature[_HEAD_OCTETS:end].lower()]
    for rdata in canonical:
        parts += [owner.lower(), _RECORD.pack(covered, rclass, ttl, len(rdata)), rdata]
    return b"".join(parts)


def _name_end(rdata: bytes, position: int) -> int:
    while length := rdata[position]:
        position += length + 1
    return position + 1


@lru_cache(maxsize=16)  # a zone has a few keys, and thousands of signatures by each
def _load(key: bytes) -> _Check | None:
    loader = _LOADERS.get(key[3])
    return None if loader is None else loader(key[_KEY_HEAD_OCTETS:])


def _rsa(algorithm: hashes.HashAlgorithm) -> _Loader:
    def load(key: bytes) -> _Check:
        """Read the exponent, its length before it, and the modulus (RFC 3110 §2)."""
        if len(key) < 3:
            raise ValueError(f"{len(key)} octets")
        start, octets = (1, key[0]) if key[:1] != b"\0" else (3, int.from_bytes(key[1:3], "big"))
        exponent = int.from_bytes(key[start : start + octets], "big")
        modulus = int.from_bytes(key[start + octets :], "big")
        public = RSAPublicNumbers(exponent, modulus).public_key()
        return lambda signature, data: public.verify(signature, data, PKCS1v15(), algorithm)

    return load


def _ecdsa(curve: EllipticCurve, algorithm: hashes.HashAlgorithm, octets: int) -> _Loader:
    def load(key: bytes) -> _Check:
        """Read the two halves of a point (RFC 6605 §4)."""
        if len(key) != 2 * octets:
            raise ValueError(f"{len(key)} octets")
        public = EllipticCurvePublicNumbers(*_halves(key), curve).public_key()

        def check(signature: bytes, data: bytes) -> None:
            if len(signature) != 2 * octets:
                raise InvalidSignature
            public.verify(encode_dss_signature(*_halves(signature)), data, ECDSA(algorithm))

        return check

    return load


def _halves(octets: bytes) -> tuple[int, int]:
    half = len(octets) // 2
    return int.from_bytes(octets[:half], "big"), int.from_bytes(octets[half:], "big")


#: By number (IANA, DNS Security Algorithm Numbers).
_LOADERS: dict[int, _Loader] = {
    5: _rsa(hashes.SHA1()),
    7: _rsa(hashes.SHA1()),
    8: _rsa(hashes.SHA256()),
    10: _rsa(hashes.SHA512()),
    13: _ecdsa(SECP256R1(), hashes.SHA256(), 32),
    14: _ecdsa(SECP384R1(), hashes.SHA384(), 48),
    15: lambda key: Ed25519PublicKey.from_public_bytes(key).verify,
    16: lambda key: Ed448PublicKey.from_public_bytes(key).verify,
}
