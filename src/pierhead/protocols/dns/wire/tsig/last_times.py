"""When each key was last used from each address, so that nothing older is accepted again."""

from __future__ import annotations

from pierhead.protocols.dns.wire.tsig.key import Key

__all__ = ["LastTimes"]


class LastTimes:
    """The latest time signed of a key and an address (RFC 8945 §5.2.3).

    Args:
        max_entries: how many pairs are kept, at least 1; the one least recently used is forgotten.
    """

    __slots__ = ("_latest", "_max_entries")

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._latest: dict[tuple[Key, bytes], int] = {}

    def advance(self, key: Key, peer: bytes, time: int) -> int | None:
        """Note when a message was signed; return the later time of one before, None if none is.

        Args:
            key: has verified the message: nobody else may set a time.
            peer: the address it came from.
            time: in seconds since 1970.
        """
        pair = key, peer
        latest = self._latest.pop(pair, time)
        if len(self._latest) >= self._max_entries:
            del self._latest[next(iter(self._latest))]
        self._latest[pair] = max(latest, time)
        return latest if latest > time else None

    def __len__(self) -> int:
        return len(self._latest)
