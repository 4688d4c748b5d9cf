"""Replies of one connection that its peer has not taken yet, and whose requests they answer.

    held behind older ones ─▶ to be written in this turn ─▶ in the transport's buffer
        `held_bytes`              `frames`, `size_bytes`         `note_sent`

A request counts as answered once the system has taken its last reply from the transport; what is
still on its way when a connection is cut has been lost. So each request is counted once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from pierhead.server.metered import ConnectionCounters
from pierhead.server.turn import Turn
from pierhead.server.write_deadline import WriteDeadline

__all__ = ["Outgoing"]


class Outgoing:
    """Replies on their way to one peer.

    Args:
        counters: of the listener; what is written and what has been answered is counted here.
        is_joined: whether the frames of one turn may leave in one write.

    Attributes:
        frames: written together at the end of this turn of the loop.
        size_bytes: how long they are.
        held_bytes: how long the replies are that wait for older ones.
        answered: requests whose last reply is among ``frames``.
        ready: ready answers among ``frames``.
        is_writable: whether the peer keeps up, as far as the transport has said.
        deadline: for the peer to take what is handed to the system.
    """

    __slots__ = (
        "_counters",
        "_is_joined",
        "_unsent",
        "_waiters",
        "answered",
        "deadline",
        "frames",
        "held_bytes",
        "is_writable",
        "ready",
        "size_bytes",
    )

    def __init__(self, counters: ConnectionCounters, *, is_joined: bool = True) -> None:
        self._counters = counters
        self._is_joined = is_joined
        self.deadline = WriteDeadline()
        self.is_writable = True
        self._waiters: deque[asyncio.Future[None]] | None = None
        self.frames: list[bytes] = []
        self.size_bytes = self.held_bytes = self.answered = self.ready = 0
        # (octets handed over when it was, requests, ready answers); most connections never
        # have one that the system does not take at once.
        self._unsent: deque[tuple[int, int, int]] | None = None

    def add(self, frame: bytes) -> None:
        """Take one that is due."""
        self.frames.append(frame)
        self.size_bytes += len(frame)

    def hold(self, turn: Turn, frame: bytes) -> None:
        """Keep one until the older ones are given."""
        turn.frames = [*turn.frames, frame]
        self.held_bytes += len(frame)

    def release(self, turn: Turn) -> bool:
        """Let out what a turn holds, as it has come up; true where there is something to write."""
        frames, turn.frames = turn.frames, ()
        if frames:
            size = sum(map(len, frames))
            self.frames += frames
            self.size_bytes += size
            self.held_bytes -= size
        if turn.done:
            self.answered += turn.is_answered
            self.ready += turn.is_ready
        return bool(frames)

    def waiting(self, transport: asyncio.Transport) -> int:
        """Return how many octets the system has not taken."""
        return self.size_bytes + self.held_bytes + transport.get_write_buffer_size()

    def has_room(self, limit_bytes: int, transport: asyncio.Transport) -> bool:
        """Tell whether what waits for the peer leaves room for the reply to another request."""
        if self.size_bytes + self.held_bytes <= limit_bytes:
            return True
        self.write(transport)  # which tells whether the peer keeps up
        return self.is_writable and self.held_bytes <= limit_bytes

    async def room(self) -> None:
        """Wait until the peer keeps up, or there is no sense in waiting."""
        while not self.is_writable:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if self._waiters is None:
                self._waiters = deque()
            self._waiters.append(waiter)
            await waiter

    def resume(self) -> None:
        """The peer keeps up again: let waiting senders on, oldest first."""
        self.is_writable = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def write(self, transport: asyncio.Transport) -> None:
        """Hand over what is due."""
        frames = self.frames
        if frames:
            size, self.size_bytes, self.frames = self.size_bytes, 0, []
            self.deadline.handed_over += size
            self._counters.frames_sent.value += len(frames)
            self._counters.bytes_sent.value += size
            if not self._is_joined:
                for frame in frames:
                    transport.write(frame)
            else:
                transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        elif not self.answered and not self.ready:
            return
        waiting = transport.get_write_buffer_size()
        if waiting or self._unsent:
            self._note_unsent(waiting)
        else:
            self._count(self.answered, self.ready)
        self.answered = self.ready = 0

    def _note_unsent(self, waiting: int) -> None:
        if self._unsent is None:
            self._unsent = deque()
        self._unsent.append((self.deadline.handed_over, self.answered, self.ready))
        self.note_sent(waiting)

    def note_sent(self, waiting: int) -> None:
        """Count the answers that the system has taken; so many octets are still to be."""
        upto = self.deadline.handed_over - waiting
        while self._unsent and self._unsent[0][0] <= upto:
            _, answered, ready = self._unsent.popleft()
            self._count(answered, ready)

    def _count(self, answered: int, ready: int) -> None:
        self._counters.requests.answered.value += answered
        self._counters.ready_answers.value += ready

    def give_up(self, turns: Iterable[Turn]) -> int:
        """Forget everything; return how many replies do not arrive in full, these turns' too."""
        lost = self.answered + self.ready
        lost += sum(answered + ready for _, answered, ready in self._unsent or ())
        self._unsent = None
        self.frames = []
        self.size_bytes = self.answered = self.ready = 0
        return lost + self.give_up_held(turns)

    def give_up_held(self, turns: Iterable[Turn]) -> int:
        """Forget what these turns hold; return how many requests and ready answers it answers."""
        self.held_bytes = 0
        return sum(turn.is_answered or turn.is_ready for turn in turns if turn.done)
