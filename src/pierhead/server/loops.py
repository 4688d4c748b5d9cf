"""Forged datagrams that must not be answered, or two servers would answer each other for ever.

One datagram with the forged source address of another server makes the two answer each other. So a
datagram is not answered if its source is the address *and* port of a listener of this process (a
client on this host has another port and is answered), or port 0, which no socket has. A service
whose reply is its request, such as echo, cannot recognise others like it; it does not answer the
well-known ports of such services, and sends the same reply to the same sender only once in a while.
"""

from __future__ import annotations

from pierhead.service.context import Peer

__all__ = ["Reflections"]

#: Services that answer any datagram, on any host: echo, daytime, qotd, chargen, time.
_SMALL_SERVICES = frozenset({7, 13, 17, 19, 37})
#: The minimum time before the same datagram from the same sender is answered again; the maximum is
#: twice as long. Longer than any round trip.
_SAME_AGAIN_S = 0.5
#: Datagrams remembered for that; beyond this they are forgotten sooner. About 1 MB of memory.
_REMEMBERED = 8192


class Reflections:
    """Decides which datagrams a reflecting service does not answer."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._before: set[int] = set()
        self._turns_at = float("-inf")

    def why_silent(self, frame: bytes, peer: Peer, now: float) -> str | None:
        """Return why a datagram gets no answer; None if it gets one, and is then remembered."""
        if peer.port in _SMALL_SERVICES:
            return "small_service"
        if now >= self._turns_at or len(self._recent) >= _REMEMBERED:
            is_old = now >= self._turns_at + _SAME_AGAIN_S
            self._before = set() if is_old else self._recent
            self._recent = set()
            self._turns_at = now + _SAME_AGAIN_S
        # Python's hash of octets has a secret key.
        mark = hash((peer.raw, frame))
        if mark in self._recent or mark in self._before:
            return "reflected"
        self._recent.add(mark)
        return None
