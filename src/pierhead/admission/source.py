"""Which IP address a frame came from, as octets."""

from __future__ import annotations

from pierhead.context import Peer

__all__ = ["ip_source"]

# RFC 4291 §2.5.5.2: how an IPv6 socket shows an IPv4 peer.
_MAPPED = bytes(10) + b"\xff\xff"


def ip_source(peer: Peer) -> bytes | None:
    """Return the 4 or 16 octets of the peer's IP address; None for a peer that has none.

    An IPv4 address mapped into IPv6 is IPv4, whichever socket it came through.
    """
    source = peer.source
    if peer.port is None:  # a path or a name, which may well be 4 octets long
        return None
    if len(source) == 4:
        return source if "." in peer.host else None  # the other one is vsock's number
    if len(source) == 16:
        return source[12:] if source.startswith(_MAPPED) else source
    return None
