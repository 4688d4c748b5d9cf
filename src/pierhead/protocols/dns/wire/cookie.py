"""DNS cookies: the option and the server's half of it (RFC 7873 §4, RFC 9018 §4).

client cookie   version  reserved  timestamp  SipHash-2-4 of all before it and the address
8 octets        1        000000    seconds    8 octets
└─ client's ──┘ └─ server's: 16 octets, opaque to the client ───────────────────────────┘

Servers that share a secret accept each other's cookies. Time and secrets are arguments.
"""

from __future__ import annotations

from hmac import compare_digest
from struct import Struct

from siphash24 import siphash24

from pierhead.errors import DecodeError

__all__ = ["CLIENT_OCTETS", "SECRET_OCTETS", "check_cookie", "cookie_age", "make_cookie"]

#: RFC 7873 §4: a client cookie has 8 octets, a server cookie 8 to 32.
CLIENT_OCTETS = 8
_LENGTHS = frozenset((CLIENT_OCTETS, *range(CLIENT_OCTETS + 8, CLIENT_OCTETS + 33)))
#: RFC 9018 §4.4: the key of SipHash-2-4.
SECRET_OCTETS = 16

_HEAD = Struct("!BxxxI")
_VERSION = 1
#: Both halves, with version to timestamp between them (RFC 9018 §4).
_OURS_OCTETS = CLIENT_OCTETS + 16
_HASHED_OCTETS = CLIENT_OCTETS + 8


def check_cookie(data: bytes) -> None:
    """Return if the data can be a cookie: the client's half, or both.

    Raises:
        DecodeError: its length is invalid; the answer is FORMERR (RFC 7873 §5.2.2).
    """
    if len(data) not in _LENGTHS:
        raise DecodeError(f"cookie of {len(data)} octets, expected 8 or 16 to 40")


def make_cookie(client: bytes, address: bytes, now: int, secret: bytes) -> bytes:
    """Return a whole option, both halves, for a client at an address.

    Args:
        client: the client's half.
        address: 4 or 16 octets of the client's IP address.
        now: seconds since 1970; cookies carry the lower 32 bits.
        secret: 16 octets.
    """
    head = _HEAD.pack(_VERSION, now & 0xFFFFFFFF)
    return client + head + _hash(client + head + address, secret)


def cookie_age(data: bytes, address: bytes, now: int, secret: bytes) -> int | None:
    """Return how many seconds ago we made this cookie; negative if in the future.

    None if we did not make it: another version or length, or the hash does not match. The reserved
    octets are hashed as received (RFC 9018 §4.4).
    """
    if len(data) != _OURS_OCTETS or data[CLIENT_OCTETS] != _VERSION:
        return None
    expected = _hash(data[:_HASHED_OCTETS] + address, secret)
    if not compare_digest(expected, data[_HASHED_OCTETS:]):
        return None
    # RFC 9018 §4.3: "Serial Number Arithmetic", so that the year 2106 is no exception.
    elapsed = now - int.from_bytes(data[12:16], "big") & 0xFFFFFFFF
    return elapsed - 2**32 if elapsed >= 2**31 else elapsed


def _hash(data: bytes, secret: bytes) -> bytes:
    digest: bytes = siphash24(data, key=secret).digest()
    return digest
