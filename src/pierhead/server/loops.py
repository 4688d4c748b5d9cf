"""What must not be answered, or two servers talk for ever: datagrams whose sender is forged.

One datagram that claims to come from another server makes each of the two answer the other. So
nobody answers a datagram that claims the address *and* the port of a listener of this process
(a client on this host has a port of its own and is answered), nor one from port 0, which nobody
has. A service whose reply is its request, as echo's is, cannot know another of its kind
anywhere; it keeps quiet towards the ports of such services, and says the same to the same sender
only once in a while.
"""

from __future__ import annotations

from pierhead.service.context import Peer

__all__ = ["Reflections"]

#: Those that answer whatever comes, on whatever host: echo, daytime, qotd, chargen, time.
_SMALL_SERVICES = frozenset({7, 13, 17, 19, 37})
#: How long the same datagram of the same sender is not answered again, at least; at most twice
#: as long. Longer than any way there and back.
_SAME_AGAIN_S = 0.5
#: Datagrams remembered for that. More of them are forgotten sooner: about 1 MB of memory.
_REMEMBERED = 8192


class Reflections:
    """Who is not answered by a service that sends back what it gets."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._before: set[int] = set()
        self._turns_at = float("-inf")

    def why_silent(self, frame: bytes, peer: Peer, now: float) -> str | None:
        """Return the reason why a datagram gets no answer; None where it gets one, and is noted."""
        if peer.port in _SMALL_SERVICES:
            return "small_service"
        if now >= self._turns_at or len(self._recent) >= _REMEMBERED:
            is_old = now >= self._turns_at + _SAME_AGAIN_S
            self._before = set() if is_old else self._recent
            self._recent = set()
            self._turns_at = now + _SAME_AGAIN_S
        # Python's hash of octets has a key that nobody else knows.
        mark = hash((peer.raw, frame))
        if mark in self._recent or mark in self._before:
            return "reflected"
        self._recent.add(mark)
        return None
