"""The requests of one connection and the replies to them, without octets, loop or clock.

    settle_at_once ─────────────────────────┐
    begin ─▶ [queue] ─▶ settle ─▶ held ─▶ due ─▶ take ─▶ with the system ─▶ taken
                            behind older ones, in order        `note_unsent`

The exchange decides how many requests may begin, in which order replies leave, and what is lost
when a connection ends. A *place* stands for a request; a *part* is a piece of a reply, known here
only by its size. The owner does everything that waits: it reads, runs services, and writes.

In order, a reply waits until everything older is settled; a failure without a refusal breaks off
the exchange, since the peer would take the next reply for the missing one. In any order each reply
is due at once. A request counts as answered once the system has taken its last part: each is
counted once, and replies not yet taken when a connection is cut are lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from math import inf
from typing import Any, Generic, TypeVar

from pierhead.service.respond import Outcome

__all__ = ["Exchange", "Phase", "Place"]

P = TypeVar("P")

_ANSWERED, _READY = Outcome.ANSWERED, Outcome.READY


class Phase(Enum):
    """How far an exchange has come."""

    OPEN = "requests begin and are answered"
    BROKEN_OFF = "a reply is missing: what was due before it is still sent, nothing else"
    OVER = "nothing more is sent"


_OPEN, _BROKEN_OFF, _OVER = Phase


class Place:
    """The place of one request among those of its connection.

    Attributes:
        parts: parts of its reply that wait for older replies.
        held_bytes: their total size.
        request_bytes: the size of the request while it is open.
        outcome: its outcome; None until it is settled.
        new_idle_timeout: the idle timeout after its last reply, in seconds; None for no change.
        close_for: why the connection closes after its last reply; "" if it does not.
        has_commands: whether either of these is set.
        comes_up: for the owner's use: wakes the task that waits until `Exchange.may_send`.
    """

    # Created once per request: defaults that most requests never change are class attributes.
    parts: Sequence[Any] = ()
    held_bytes = request_bytes = 0
    outcome: Outcome | None = None
    has_commands = False
    new_idle_timeout: float | None = None
    close_for = ""
    comes_up: Any = None


class Exchange(Generic[P]):
    """The requests and replies of one connection.

    Args:
        in_order: whether replies leave in the order of their requests.

    Attributes:
        phase: its current phase.
        queue: in order only: requests without their last reply, oldest first.
        due: parts that may leave, oldest first; `take` returns them.
        due_bytes: their total size.
        held_bytes: the total size of parts that wait for older replies.
        open_bytes: the total size of requests that have begun and are not settled.
        is_writable: whether the peer keeps up, according to the transport.
        closes_for: why the connection closes once everything accepted is answered; "" while open.
        idle_timeout: what a service has requested, in seconds; None if none has.
        handed_over: how many octets have left in total.
    """

    __slots__ = (
        "_answered",
        "_in_order",
        "_lost",
        "_open",
        "_ready",
        "_taken_answered",
        "_taken_ready",
        "_unsent",
        "closes_for",
        "due",
        "due_bytes",
        "handed_over",
        "held_bytes",
        "idle_timeout",
        "is_writable",
        "open_bytes",
        "phase",
        "queue",
    )

    def __init__(self, *, in_order: bool) -> None:
        self._in_order = in_order
        self.phase = _OPEN
        self.queue: deque[Place] = _EMPTY  # most connections never have a request that waits
        self._open = 0  # begun and not settled
        self.due: list[P] = []
        self.due_bytes = self.held_bytes = self.open_bytes = self.handed_over = 0
        self._answered = self._ready = 0  # among the due parts
        self._taken_answered = self._taken_ready = 0  # since `note_unsent`
        self._lost = 0
        # (octets handed over when it was, requests, ready answers)
        self._unsent: deque[tuple[int, int, int]] | None = None
        self.is_writable = True
        self.closes_for = ""
        self.idle_timeout: float | None = None

    # -- requests ------------------------------------------------------------------------------

    def room(self, window: int, limit_bytes: int, most_open_bytes: float = inf) -> int:
        """Return how many requests may begin.

        Args:
            window: how many may be without their last reply.
            limit_bytes: none begins while more octets wait for the peer.
            most_open_bytes: none begins while open requests have this many octets, or more.
        """
        if self.phase is not _OPEN or not self.is_writable:
            return 0
        if self.due_bytes + self.held_bytes > limit_bytes or self.open_bytes >= most_open_bytes:
            return 0
        return max(0, window - (len(self.queue) if self._in_order else self._open))

    @property
    def load(self) -> int:
        """How many requests have not had their last reply."""
        return len(self.queue) if self._in_order else self._open

    @property
    def waiting_bytes(self) -> int:
        """How many octets have not left."""
        return self.due_bytes + self.held_bytes

    @property
    def is_idle(self) -> bool:
        """Whether no request is open and nothing is due."""
        return not (self._open or self.queue or self.due)

    def begin(self, place: Place, size: int = 0) -> None:
        """Record a request of this size that waits; `settle` follows, once."""
        self._open += 1
        if size:
            place.request_bytes = size
            self.open_bytes += size
        if self._in_order and self.phase is _OPEN:
            if self.queue is _EMPTY:
                self.queue = deque()
            self.queue.append(place)

    def may_send(self, place: Place) -> bool:
        """Return whether a reply to this request would leave at once, not wait for others."""
        return not self._in_order or not self.queue or self.queue[0] is place

    def send(self, place: Place, part: P, size: int) -> None:
        """Take one part of a reply; more may follow."""
        if self.phase is not _OPEN:
            return
        if self.may_send(place):
            self.due.append(part)
            self.due_bytes += size
        else:
            place.parts = [*place.parts, part]
            place.held_bytes += size
            self.held_bytes += size

    def settle_at_once(
        self, place: Place, outcome: Outcome, part: P | None = None, size: int = 0
    ) -> None:
        """Take the outcome of a request that has not begun: `begin` and `settle` in one."""
        if part is None or self.queue or place.has_commands or self.phase is not _OPEN:
            self.begin(place)
            self.settle(place, outcome, part, size)
            return
        # The fast path of the usual case.
        self.due.append(part)
        self.due_bytes += size
        if outcome is _ANSWERED:
            self._answered += 1
        elif outcome is _READY:
            self._ready += 1

    def settle(self, place: Place, outcome: Outcome, part: P | None = None, size: int = 0) -> None:
        """Take the outcome of a request that has begun, with the last part of its reply, if any.

        Everything that was waiting for it becomes due.
        """
        self._open -= 1
        self.open_bytes -= place.request_bytes
        place.outcome = outcome
        if self.phase is not _OPEN:
            self._lost += outcome in _REPLIED
            return
        queue = self.queue
        if self._in_order and queue[0] is not place:
            if part is not None:
                self.send(place, part, size)
            return
        if part is not None:
            self.due.append(part)
            self.due_bytes += size
        if not self._in_order:
            self._note_end(place, outcome)
            return
        ended: Outcome | None = outcome
        while ended is not None:
            self._note_end(queue.popleft(), ended)
            if not queue or self.phase is not _OPEN:
                return
            if queue[0].parts:
                self._release(queue[0])
            ended = queue[0].outcome

    def _release(self, place: Place) -> None:
        """Release the parts that a request holds; it is the oldest now."""
        self.due += place.parts
        self.due_bytes += place.held_bytes
        self.held_bytes -= place.held_bytes
        place.parts, place.held_bytes = (), 0

    def _note_end(self, place: Place, outcome: Outcome) -> None:
        """Note that every part of this request is due."""
        self._answered += outcome is _ANSWERED
        self._ready += outcome is _READY
        if outcome in _MISSING and self._in_order:
            self.phase, self.closes_for = _BROKEN_OFF, "unanswered"
            self._lose_queue()
        elif place.has_commands:
            if place.new_idle_timeout is not None:
                self.idle_timeout = place.new_idle_timeout
            self.closes_for = self.closes_for or place.close_for

    # -- replies -------------------------------------------------------------------------------

    def take(self) -> list[P]:
        """Return what is due; it counts as handed to the system."""
        parts, self.due = self.due, []
        self.handed_over += self.due_bytes
        self._taken_answered += self._answered
        self._taken_ready += self._ready
        self.due_bytes = self._answered = self._ready = 0
        return parts

    def note_unsent(self, waiting_bytes: int) -> tuple[int, int]:
        """Note how many of the taken octets the system has not accepted; called after `take` and
        later.

        Returns:
            How many requests and how many ready answers have been fully sent since the last call.
        """
        answered, ready = self._taken_answered, self._taken_ready
        if answered or ready:
            self._taken_answered = self._taken_ready = 0
            if not waiting_bytes and not self._unsent:
                return answered, ready
            if self._unsent is None:
                self._unsent = deque()
            self._unsent.append((self.handed_over, answered, ready))
        answered = ready = 0
        upto = self.handed_over - waiting_bytes
        while self._unsent and self._unsent[0][0] <= upto:
            _, more_answered, more_ready = self._unsent.popleft()
            answered += more_answered
            ready += more_ready
        return answered, ready

    def end(self) -> None:
        """Send nothing more: replies that have not been taken are lost."""
        if self.phase is not _OVER:
            self.phase = _OVER
            self._lost += self._answered + self._ready + self._taken_answered + self._taken_ready
            self._answered = self._ready = self._taken_answered = self._taken_ready = 0
            for _, answered, ready in self._unsent or ():
                self._lost += answered + ready
            self._unsent, self.due, self.due_bytes = None, [], 0
            if self.queue:
                self._lose_queue()

    def _lose_queue(self) -> None:
        """Forget the requests in the queue; those still open will be settled as lost."""
        self._lost += sum(place.outcome in _REPLIED for place in self.queue)
        self.queue, self.held_bytes = _EMPTY, 0

    def take_lost(self) -> int:
        """Return how many finished replies have been lost since the last call."""
        lost, self._lost = self._lost, 0
        return lost


#: Outcomes that are replies to a request.
_REPLIED = (_ANSWERED, _READY)

#: Outcomes that leave a peer waiting for a reply.
_MISSING = (Outcome.FAILED, Outcome.LOST)

#: A shared empty queue, for exchanges without one; nothing is ever put in.
_EMPTY: deque[Place] = deque()
