"""The link between two ends of a memory network, and its impairments.

Every impairment has its own random generator, seeded by the caller and by the direction, so that a
run can be repeated exactly and traffic one way never affects the other way. Time is the event
loop's, so a held clock controls the delays.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

from pierhead.errors import UsageError

__all__ = ["Direction", "Impairments", "Link", "Severable"]

#: How long a datagram held back for reordering waits for the next one.
_OVERTAKEN_WITHIN_S = 0.05

Deliver = Callable[[], None]


class Severable(Protocol):
    """An object that ends when its link is cut."""

    def sever(self) -> None:
        """End at once."""
        ...


class Impairments:
    """The impairments of one direction; none by default.

    Args:
        direction: distinguishes this direction's generators from those of the other.
    """

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._loss = _Chance(0.0, "", 0)
        self._reorder = self._duplicate = self._loss
        self._delay_s = self._jitter_s = 0.0
        self._jitter: random.Random | None = None

    def lose(self, probability: float, seed: int) -> None:
        """Lose datagrams with this probability."""
        self._loss = _Chance(probability, f"lose {self._direction}", seed)

    def reorder(self, probability: float, seed: int) -> None:
        """Let the next datagram overtake one with this probability."""
        self._reorder = _Chance(probability, f"reorder {self._direction}", seed)

    def duplicate(self, probability: float, seed: int) -> None:
        """Deliver a datagram twice with this probability."""
        self._duplicate = _Chance(probability, f"duplicate {self._direction}", seed)

    def delay(self, seconds: float, jitter: float, seed: int) -> None:
        """Deliver this many seconds later, plus up to ``jitter``."""
        if not (seconds >= 0 and jitter >= 0):
            raise UsageError(f"a delay is not negative; got {seconds} s, jitter {jitter} s")
        self._delay_s, self._jitter_s = seconds, jitter
        self._jitter = random.Random(f"delay {self._direction} {seed}") if jitter else None

    def copies(self) -> int:
        """Draw how many times a datagram arrives: 0, 1 or 2."""
        if self._loss.happens():
            return 0
        return 2 if self._duplicate.happens() else 1

    def is_overtaken(self) -> bool:
        """Draw whether the next datagram overtakes this one."""
        return self._reorder.happens()

    def delay_s(self) -> float:
        """Draw the delay of one delivery, in seconds."""
        if self._jitter is None:
            return self._delay_s
        return self._delay_s + self._jitter_s * self._jitter.random()


class _Chance:
    """A probability with its random generator."""

    def __init__(self, probability: float, purpose: str, seed: int) -> None:
        if not 0.0 <= probability <= 1.0:
            raise UsageError(f"a probability lies between 0 and 1; got {probability}")
        self._probability = probability
        # Most links have no impairments, and a generator costs more than a datagram.
        self._random = random.Random(f"{purpose} {seed}") if probability else None

    def happens(self) -> bool:
        return self._random is not None and self._random.random() < self._probability


class Direction:
    """One direction of a link: applies impairments, then delivers."""

    def __init__(self, sender: str, receiver: str) -> None:
        self.impairments = Impairments(f"{sender} > {receiver}")
        self.is_cut = False
        self.lost = 0
        self._overtaken: list[Deliver] = []
        # Timers with equal times fire in no guaranteed order, so they only signal that the next
        # delivery is due; which one it is, is decided here.
        self._due: list[tuple[float, int, Deliver]] = []
        self._sent = 0
        self._latest = 0.0

    def carry_datagram(self, deliver: Deliver) -> None:
        """Deliver once, twice or not at all, now or later."""
        copies = 0 if self.is_cut else self.impairments.copies()
        if not copies:
            self.lost += 1
            return
        if self.impairments.is_overtaken():
            self._overtaken.append(deliver)
            asyncio.get_running_loop().call_later(_OVERTAKEN_WITHIN_S, self._catch_up)
            return
        for _ in range(copies):
            self._after_delay(self.impairments.delay_s(), deliver)
        self._catch_up()

    def carry_chunk(self, deliver: Deliver) -> None:
        """Deliver one piece of a stream: perhaps delayed, but all of them and in order."""
        loop = asyncio.get_running_loop()
        self._latest = max(self._latest, loop.time() + self.impairments.delay_s())
        self._deliver_at(self._latest, loop, deliver)

    def _catch_up(self) -> None:
        overtaken, self._overtaken = self._overtaken, []
        for deliver in overtaken:
            self._after_delay(self.impairments.delay_s(), deliver)

    def _after_delay(self, seconds: float, deliver: Deliver) -> None:
        loop = asyncio.get_running_loop()
        self._deliver_at(loop.time() + seconds, loop, deliver)

    def _deliver_at(self, when: float, loop: asyncio.AbstractEventLoop, deliver: Deliver) -> None:
        if not self._due and when <= loop.time():
            deliver()
            return
        self._sent += 1
        heapq.heappush(self._due, (when, self._sent, deliver))
        loop.call_at(when, self._deliver_next)

    def _deliver_next(self) -> None:
        _, _, deliver = heapq.heappop(self._due)
        if self.is_cut:
            self.lost += 1
        else:
            deliver()


class Link:
    """The link between two named ends; created by `Network.between`.

    Each method changes both directions, or with ``sender=`` only that sender's, and returns the
    link. Loss, duplication and reordering affect datagrams: a stream can be delayed or cut, but its
    octets arrive complete and in order.
    """

    def __init__(self, first: str, second: str) -> None:
        self._directions = {
            first: Direction(first, second),
            second: Direction(second, first),
        }
        self._streams: WeakSet[Severable] = WeakSet()

    def lose(self, probability: float, *, seed: int = 0, sender: str | None = None) -> Link:
        """Lose datagrams with this probability."""
        for direction in self._chosen(sender):
            direction.impairments.lose(probability, seed)
        return self

    def delay(
        self, seconds: float, *, jitter: float = 0.0, seed: int = 0, sender: str | None = None
    ) -> Link:
        """Deliver everything this many seconds later, plus up to ``jitter`` seconds.

        Jitter may reorder datagrams, as on a real network.
        """
        for direction in self._chosen(sender):
            direction.impairments.delay(seconds, jitter, seed)
        return self

    def reorder(self, probability: float, *, seed: int = 0, sender: str | None = None) -> Link:
        """Hold a datagram back, with this probability, until the next one has passed.

        If none passes within 50 ms it is delivered alone.
        """
        for direction in self._chosen(sender):
            direction.impairments.reorder(probability, seed)
        return self

    def duplicate(self, probability: float, *, seed: int = 0, sender: str | None = None) -> Link:
        """Deliver a datagram twice with this probability."""
        for direction in self._chosen(sender):
            direction.impairments.duplicate(probability, seed)
        return self

    def cut(self) -> Link:
        """Lose every datagram, reset every open stream, refuse new ones, until `heal`."""
        for direction in self._directions.values():
            direction.is_cut = True
        for stream in list(self._streams):
            stream.sever()
        return self

    def heal(self) -> Link:
        """Undo `cut`; other impairments stay, and lost or reset traffic is not restored."""
        for direction in self._directions.values():
            direction.is_cut = False
        return self

    @property
    def is_cut(self) -> bool:
        """Whether the link is cut."""
        return any(direction.is_cut for direction in self._directions.values())

    @property
    def lost(self) -> int:
        """How many datagrams have been lost so far, in both directions."""
        return sum(direction.lost for direction in self._directions.values())

    def direction(self, sender: str) -> Direction:
        """Return the direction in which this end sends."""
        return self._directions[sender]

    def attach(self, stream: Severable) -> None:
        """End this stream when the link is cut."""
        self._streams.add(stream)

    def _chosen(self, sender: str | None) -> list[Direction]:
        if sender is None:
            return list(self._directions.values())
        if sender not in self._directions:
            ends = " and ".join(self._directions)
            raise UsageError(f"{sender!r} is not an end of this link, which joins {ends}")
        return [self._directions[sender]]
