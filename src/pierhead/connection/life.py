"""The life of one connection: its states, its deadlines, and how it ends.

    NEW ─ made ─▶ OPEN ─ finish ─▶ FINISHING ─ end, the peer may still send ─▶ LINGERING
                    │                  │ end, or nothing to wait for               │
                    └───── close ──────┴─────────────▶ CLOSED ◀────────────────────┘
                                                          │ abort, as from everywhere else
                                                          ▼
                  GONE ◀── transport's last call ────  ABORTED

It never waits and reads no clock: the owner of a connection reports what happens and when, and asks
at every sweep what to do. It is the same for framed connections, connections of a hosted protocol,
and conversations.

After the last octet the stream is ended, and the peer's end of stream is awaited: closing with
unread input would send a reset that can overtake the reply.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

__all__ = ["Event", "Life", "State", "Timeouts", "Waits"]


class State(Enum):
    """What a connection is doing."""

    NEW = "no transport yet"
    OPEN = "reading and answering"
    FINISHING = "accepting nothing more; replies are due"
    LINGERING = "everything is sent; waiting for the peer to close"
    CLOSED = "the system takes the last octets, then reports the end"
    ABORTED = "nothing more is sent"
    GONE = "the transport has reported its end"


class Event(Enum):
    """An event that changes the state."""

    MADE = "the transport is connected"
    FINISH = "nothing more is accepted"
    LINGER = "the last octet is written and the stream ended"
    CLOSE = "the transport is closed"
    ABORT = "the transport is aborted"
    LOST = "the transport has ended"


_NEW, _OPEN, _FINISHING, _LINGERING, _CLOSED, _ABORTED, _GONE = State

#: Every transition; an event without an entry has no effect.
_NEXT: dict[tuple[State, Event], State] = {
    (_NEW, Event.MADE): _OPEN,
    (_OPEN, Event.FINISH): _FINISHING,
    (_OPEN, Event.LINGER): _LINGERING,
    (_FINISHING, Event.LINGER): _LINGERING,
    **{(state, Event.CLOSE): _CLOSED for state in (_NEW, _OPEN, _FINISHING, _LINGERING)},
    **{(state, Event.ABORT): _ABORTED for state in (_NEW, _OPEN, _FINISHING, _LINGERING, _CLOSED)},
    **{(state, Event.LOST): _GONE for state in State if state is not _GONE},
}


class Waits(Enum):
    """What a connection is waiting for from its peer."""

    NOTHING = "nothing: it has work to do"
    A_MESSAGE = "the next whole message"
    ACTIVITY = "any input; its owner cannot recognise messages"


class Timeouts(Protocol):
    """How long a connection waits, in seconds."""

    @property
    def first_byte_timeout(self) -> float:
        """For the first octet."""
        ...

    @property
    def message_timeout(self) -> float:
        """From the first octet of a message to its last."""
        ...

    @property
    def write_timeout(self) -> float:
        """For the peer to accept what it is sent."""
        ...

    @property
    def linger_timeout(self) -> float:
        """For the peer to close after the last octet; 0 closes at once."""
        ...


class Life:
    """The state and the deadlines of one connection.

    Args:
        now: seconds on the owner's monotonic clock, as for every method.

    Attributes:
        state: what it is doing.
        reason: why it ends; "" while it is not ending.
        last_active: when it was last busy.
        has_heard: whether any octet has arrived.
        message_began: when the incomplete message began; None between messages.
    """

    __slots__ = (
        "_linger_until",
        "_write_deadline",
        "_write_goal",
        "has_heard",
        "last_active",
        "message_began",
        "reason",
        "state",
    )

    def __init__(self, now: float) -> None:
        self.state = _NEW
        self.reason = ""
        self.last_active = now
        self.has_heard = False
        self.message_began: float | None = None
        self._linger_until = 0.0
        self._write_goal = 0
        self._write_deadline: float | None = None

    def happens(self, event: Event) -> bool:
        """Move to the next state; return whether it has changed."""
        state = _NEXT.get((self.state, event))
        if state is None:
            return False
        self.state = state
        return True

    def finish(self, reason: str) -> bool:
        """Accept nothing more, for this reason; return whether the state has changed."""
        if not self.happens(Event.FINISH):
            return False
        self.reason = self.reason or reason
        return True

    def close(self, reason: str = "") -> bool:
        """Note that the transport is closed; return whether the state has changed."""
        if not self.happens(Event.CLOSE):
            return False
        self.reason = self.reason or reason
        return True

    def abort(self, reason: str) -> bool:
        """Note that the transport is aborted; as `close`, but this reason wins."""
        if not self.happens(Event.ABORT):
            return False
        self.reason = reason
        return True

    @property
    def is_open(self) -> bool:
        """Whether it may still send: neither closed nor aborted, and not gone."""
        return self.state not in _ENDED

    def linger(self, now: float, timeouts: Timeouts) -> None:
        """Wait for the peer to end its stream, after our own end is written."""
        if self.happens(Event.LINGER):
            self._linger_until = now + timeouts.linger_timeout

    def note_message(self, is_partial: bool, now: float) -> None:
        """Start or stop the clock of a message that has begun and is not complete."""
        if not is_partial:
            self.message_began = None
        elif self.message_began is None:
            self.message_began = now

    def end_message(self) -> None:
        """Stop the clock of a message: it is complete, or its peer cannot complete it for now."""
        self.message_began = None

    def is_write_late(
        self, now: float, handed_over: int, unsent_bytes: int, timeouts: Timeouts
    ) -> bool:
        """Return whether the peer has missed its goal; called at every sweep.

        The goal is everything handed over when the deadline was set: a peer that takes its replies
        slowly but steadily reaches it and gets a new one.

        Args:
            handed_over: octets written to the transport so far.
            unsent_bytes: of these, how many the system has not taken.
        """
        if not unsent_bytes:
            self._write_deadline = None
        elif self._write_deadline is None or handed_over - unsent_bytes >= self._write_goal:
            self._write_goal = handed_over
            self._write_deadline = now + timeouts.write_timeout
        return self._write_deadline is not None and now >= self._write_deadline

    def is_over(self, now: float, waits: Waits, timeouts: Timeouts, idle_timeout: float) -> bool:
        """Return whether it is time to close; called at every sweep. `reason` then says why."""
        if self.state is _LINGERING:
            return now >= self._linger_until
        if waits is Waits.NOTHING or not self.is_open:
            return False
        late = self._late(now, waits, timeouts, idle_timeout)
        self.reason = self.reason or late
        return bool(late)

    def _late(self, now: float, waits: Waits, timeouts: Timeouts, idle_timeout: float) -> str:
        quiet_s = now - self.last_active
        if waits is Waits.A_MESSAGE:
            if self.message_began is not None:
                is_late = now - self.message_began >= timeouts.message_timeout
                return "message" if is_late else ""
            if not self.has_heard:
                return "first_byte" if quiet_s >= timeouts.first_byte_timeout else ""
        return "idle" if quiet_s >= idle_timeout else ""


_ENDED = frozenset([_CLOSED, _ABORTED, _GONE])
