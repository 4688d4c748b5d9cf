"""Datagrams that the system had no room for: retried until their deadline, then given up."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pierhead.clock import Clock
from pierhead.listener.base import Datagram

__all__ = ["Unsent", "is_full"]

#: The send buffer of the socket is full, or the receiver's queue on a Unix socket.
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})
#: No event loop reports when one of several receivers has room, so sending is retried.
_AGAIN_AFTER_S = 0.005
#: Datagrams retried at a time. Those still refused go to the end, so that one receiver that takes
#: nothing does not block the others.
_AT_ONCE = 64
#: The overhead of a datagram besides its octets.
_OVERHEAD_BYTES = 256


def is_full(number: int) -> bool:
    """Return whether a send error may be temporary."""
    return number in _FULL


T = TypeVar("T")


def _size(datagram: Datagram, held_bytes: int) -> int:
    return len(datagram[0]) + _OVERHEAD_BYTES + held_bytes


class Unsent(Generic[T]):
    """The datagrams of one listener that wait for room, bounded in octets.

    Args:
        send: sends datagrams; returns index and error of each that was refused.
        sent: called with what was kept with a datagram that was sent.
        gave_up: called with a datagram that will not be retried, what was kept with it, and the
            error.
    """

    def __init__(
        self,
        clock: Clock,
        send: Callable[[Sequence[Datagram]], list[tuple[int, int]]],
        sent: Callable[[T], None],
        gave_up: Callable[[Datagram, T, int], None],
    ) -> None:
        self._clock = clock
        self._send = send
        self._sent = sent
        self._gave_up = gave_up
        self._waiting: deque[tuple[float, Datagram, T, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.octets = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(
        self, datagram: Datagram, whose: T, for_s: float, max_bytes: int, held_bytes: int = 0
    ) -> bool:
        """Retry a datagram for this long; return false if there is no room here either.

        Args:
            whose: what is kept with it.
            held_bytes: the octets that this holds.
        """
        size = _size(datagram, held_bytes)
        if not for_s or self.octets + size > max_bytes:
            return False
        self.octets += size
        until = self._clock.monotonic() + for_s
        self._waiting.append((until, datagram, whose, held_bytes))
        self._wake()
        return True

    def give_up(self) -> None:
        """Stop retrying."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            _, datagram, whose, _ = self._take()
            self._gave_up(datagram, whose, errno.EAGAIN)

    def _take(self) -> tuple[float, Datagram, T, int]:
        waiting = self._waiting.popleft()
        self.octets -= _size(waiting[1], waiting[3])
        return waiting

    def _wake(self) -> None:
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_AGAIN_AFTER_S, self._try_again)

    def _try_again(self) -> None:
        self._timer = None
        batch = [self._take() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        now = self._clock.monotonic()
        refused = dict(self._send([datagram for _, datagram, _, _ in batch]))
        for index, (until, datagram, whose, held) in enumerate(batch):
            number = refused.get(index)
            if number is None:
                self._sent(whose)
            elif is_full(number) and now < until:
                self.octets += _size(datagram, held)
                self._waiting.append((until, datagram, whose, held))
            else:
                self._gave_up(datagram, whose, number)
        self._wake()
