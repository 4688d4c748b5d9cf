"""Requests that a server accepted and could not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["LostRequest", "LostRequests"]

#: Reasons caused by the stop, not by a peer.
_IN_STOP = ("drain", "forced")


@dataclass(frozen=True, slots=True)
class LostRequest:
    """One accepted request that will not be answered.

    Attributes:
        listener: the listener's name.
        peer: the client, as text.
        reason: ``drain`` (not finished when the drain timeout passed), ``forced`` (given up at the
            second signal), ``evicted`` (the connection limit was reached, and its network held the
            most), ``write`` (the peer did not take its replies in time), ``peer_gone`` (the peer
            closed the connection), ``unanswered`` (an earlier request failed, and replies are in
            order), ``max_buffer_bytes`` (no buffer was available) or ``cancelled`` (the program
            cancelled the request's task).
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
