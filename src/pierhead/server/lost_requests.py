"""Requests that a server accepted and could not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["REASONS", "LostRequest", "LostRequests"]

#: Why requests are lost.
REASONS: Mapping[str, str] = {
    "aborted": "the program aborted its conversation",
    "after_close_timeout": "a hosted program was still working on it that long after its "
    "connection had closed",
    "cancelled": "the program cancelled its task, or the user interrupted it",
    "drain": "it was not finished when the drain timeout passed",
    "error": "a bug of the program's framing or hosted protocol ended its connection",
    "evicted": "the connection limit was reached, and its network held the most",
    "forced": "it was given up at the second signal",
    "liveness": "the peer of its conversation gave no sign of life in time",
    "max_buffer_bytes": "no receive buffer was available",
    "max_unsent_bytes": "a hosted program kept writing to a peer that does not read",
    "peer_gone": "its peer closed the connection",
    "slow": "the peer of its conversation did not keep up with what it was sent",
    "unanswered": "an earlier request failed, and replies are in order",
    "write": "its peer did not take its replies in time",
}

#: Reasons caused by the stop, not by a peer.
_IN_STOP = ("drain", "forced")


@dataclass(frozen=True, slots=True)
class LostRequest:
    """One accepted request that will not be answered.

    Attributes:
        listener: the listener's name.
        peer: the client, as text.
        reason: one of `REASONS`, or what a program has given to `Server.abort`.
    """

    listener: str
    peer: str
    reason: str


class LostRequests:
    """Lost requests: all are counted, the latest are kept.

    Args:
        keep: how many are kept.

    Attributes:
        count: how many there are.
        in_stop: how many of them were lost to the stop of the server.
    """

    def __init__(self, keep: int = 1000) -> None:
        self.count = 0
        self.in_stop = 0
        self._keep = keep
        self._named: list[LostRequest] = []

    def add(self, lost: LostRequest) -> None:
        """Count one and keep it, in place of the oldest when full."""
        self.count += 1
        if lost.reason in _IN_STOP:
            self.in_stop += 1
        self._named.append(lost)
        if len(self._named) > 2 * self._keep:
            del self._named[: -self._keep]

    def __iter__(self) -> Iterator[LostRequest]:
        return iter(self._named[-self._keep :])

    def __bool__(self) -> bool:
        return self.count > 0

    def __repr__(self) -> str:
        return f"<LostRequests {self.count}>"
