"""A bounded queue to a conversation, which any task may hold: the seed of a channel.

    sender.send ─▶ [up to ``capacity`` messages, while the peer does not keep up] ─▶ the writer

What happens when it is full is the holder's choice (`Policy`). Messages of one sender keep their
order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from pierhead.errors import ConnectionEnded, UsageError

__all__ = ["Outlet", "Policy", "Sender"]

Out_contra = TypeVar("Out_contra", contravariant=True)


class Policy(Enum):
    """What happens to a message when a sender is full."""

    WAIT = "wait"
    DROP_OLDEST = "drop-oldest"
    CLOSE = "close"

    @classmethod
    def _missing_(cls, value: object) -> Policy:
        choices = ", ".join(repr(each.value) for each in cls)
        raise UsageError(f"when_full is {value!r}, expected one of {choices}")


class Outlet(Protocol):
    """Where a sender's messages go."""

    @property
    def format(self) -> object:
        """How messages are framed: outlets with the same one frame them in the same way."""
        ...

    def encode(self, message: Any, /) -> bytes:
        """Return the message in its form on the wire."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether a message may leave now, with nobody waiting before it."""
        ...

    def check_open(self) -> None:
        """Raise ConnectionEnded if nothing more can be sent."""
        ...

    def put(self, framed: bytes, /) -> None:
        """Send what `encode` has returned."""
        ...

    def is_time_to_pause(self) -> bool:
        """Count a message; return whether other tasks should run."""
        ...

    def join_queue(self, sender: Sender[Any], /) -> None:
        """Call `Sender.forward` when messages may leave."""
        ...

    def too_slow(self) -> ConnectionEnded:
        """Close, since the peer does not keep up; return the error that says so."""
        ...

    def end_output(self) -> None:
        """End this side of the conversation."""
        ...


class Sender(Generic[Out_contra]):
    """Sends messages to one conversation.

    Attributes:
        dropped: how many messages have been dropped for newer ones.
        is_cut: whether it has closed the conversation, since its peer did not keep up.
    """

    def __init__(self, outlet: Outlet, capacity: int, policy: Policy) -> None:
        if type(capacity) is not int or capacity < 1:
            raise UsageError(f"capacity is {capacity!r}, expected a number of messages, 1 or more")
        self.dropped = 0
        self.is_cut = False
        self._outlet = outlet
        self._capacity = capacity
        self._policy = policy
        self._queue: deque[bytes] = deque()
        self._waiters: deque[tuple[asyncio.Future[None], bytes]] = deque()

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._queue)

    async def send(self, message: Out_contra) -> None:
        """Send a message; if the sender is full, do as its policy says.

        Raises:
            ConnectionEnded: the conversation has ended, or ends now since its peer is too slow.
            UsageError: the message cannot be encoded.
        """
        await self.put(self._outlet.encode(message))

    def try_send(self, message: Out_contra) -> bool:
        """Send a message without waiting; return false if the policy is to wait and it is full.

        Raises:
            ConnectionEnded: the conversation has ended, or ends now since its peer is too slow.
            UsageError: the message cannot be encoded.
        """
        return self.try_put(self._outlet.encode(message))

    @property
    def format(self) -> object:
        """How messages are framed: senders with the same one frame them in the same way."""
        return self._outlet.format

    def frame(self, message: Out_contra) -> bytes:
        """Return a message as it is sent, for `put` of this sender, or of another of its format.

        Raises:
            UsageError: the message cannot be encoded.
        """
        return self._outlet.encode(message)

    async def put(self, framed: bytes) -> None:
        """Send what `frame` has returned; otherwise as `send`."""
        self._outlet.check_open()
        if self._waiters or not self._takes(framed):
            await self._wait_with(framed)
        elif self._outlet.is_time_to_pause():
            await asyncio.sleep(0)  # a peer that takes everything at once keeps nobody else waiting

    def try_put(self, framed: bytes) -> bool:
        """Send what `frame` has returned; otherwise as `try_send`."""
        self._outlet.check_open()
        return not self._waiters and self._takes(framed)

    def end_output(self) -> None:
        """End this side of the conversation after what was sent (half-close)."""
        self._outlet.end_output()

    def _takes(self, framed: bytes) -> bool:
        if not self._queue:
            if self._outlet.is_open:
                self._outlet.put(framed)
                return True
            self._outlet.join_queue(self)
        elif len(self._queue) >= self._capacity:
            if self._policy is Policy.WAIT:
                return False
            if self._policy is Policy.CLOSE:
                self.is_cut = True
                raise self._outlet.too_slow()
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(framed)
        return True

    async def _wait_with(self, framed: bytes) -> None:
        """Wait until this message has room in the queue."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (waiter, framed)
        self._waiters.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if entry in self._waiters:
                self._waiters.remove(entry)
            raise

    # -- the conversation's side ---------------------------------------------------------------

    def forward(self) -> bool:
        """Send one message on; return whether more wait."""
        framed = self._queue.popleft()
        while self._waiters:
            waiter, waiting = self._waiters.popleft()
            if not waiter.done():
                self._queue.append(waiting)
                waiter.set_result(None)
                break
        self._outlet.put(framed)
        return bool(self._queue)

    def end(self, error: ConnectionEnded) -> int:
        """Give up what waits; return how many messages are lost.

        Those who wait to send get the error: their messages have not been taken.
        """
        lost = len(self._queue)
        self._queue.clear()
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)
        return lost
