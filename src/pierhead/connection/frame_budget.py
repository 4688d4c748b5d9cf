"""The budget of frames that all connections of an event loop share in each of its iterations.

All streams share one budget per iteration, whichever `Server` they belong to: a long iteration
delays everything else in the loop. Between iterations datagrams are received, deadlines are
enforced and connections are accepted. A connection with input left when the budget is spent waits
for a later iteration, in one of two queues:

    just begun ──────▶ first queue ──▶ at most half of each iteration, a few frames each
    has had a share ─▶ second queue ─▶ the rest of each iteration, more frames each

so a connection with one request does not wait behind those that pipeline endlessly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakKeyDictionary, ref

__all__ = ["FrameBudget"]

#: Frames of all connections in one iteration. At 8 µs for a ready answer this is a millisecond.
_PER_TURN = 128
#: Frames of one connection while others wait: the first time, and each time after that.
_FIRST_SHARE = 4
_SHARE = 32


class FrameBudget:
    """The budget of one event loop; servers get it from `of_this_loop`.

    Attributes:
        left: frames left in this iteration. A connection subtracts those it takes, then calls
            `spent`.
    """

    __slots__ = ("__weakref__", "_begun", "_is_due", "_loop", "_served", "left")

    # Weak, so that servers keep it alive: it refers to the loop, which a strong entry would keep
    # alive for ever.
    _by_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, ref[FrameBudget]]] = (
        WeakKeyDictionary()
    )

    @classmethod
    def of_this_loop(cls) -> FrameBudget:
        """Return the budget that all servers in the running loop share."""
        loop = asyncio.get_running_loop()
        kept = cls._by_loop.get(loop)
        budget = None if kept is None else kept()
        if budget is None:
            budget = cls()
            cls._by_loop[loop] = ref(budget)
        return budget

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.left = _PER_TURN
        self._begun: deque[Callable[[], None]] = deque()
        self._served: deque[Callable[[], None]] = deque()
        self._is_due = False

    @property
    def is_contended(self) -> bool:
        """Whether other connections are waiting."""
        return bool(self._begun or self._served)

    def share(self, *, has_had_a_share: bool) -> int:
        """Return how many frames one connection may take now."""
        if not self._begun and not self._served:
            return self.left
        return min(self.left, _SHARE if has_had_a_share else _FIRST_SHARE)

    def spent(self) -> None:
        """Schedule a refill for the next iteration if the budget is running low.

        Not for every frame: most iterations of most servers take one frame, and a callback for each
        would cost more than the frame.
        """
        if self.left <= _PER_TURN // 2 and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def wait(self, go_on: Callable[[], None], *, has_had_a_share: bool) -> None:
        """Call back once, in an iteration with frames left for this connection."""
        (self._served if has_had_a_share else self._begun).append(go_on)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        self.left = _PER_TURN
        # Those waiting now: a connection that waits again has had its share of this iteration.
        begun, served = len(self._begun), len(self._served)
        try:
            while begun and self.left > (_PER_TURN // 2 if served else 0):
                begun -= 1
                self._begun.popleft()()
            while served and self.left > 0:
                served -= 1
                self._served.popleft()()
        finally:  # the user may have interrupted a service; the others are still waiting
            if (self._begun or self._served) and not self._is_due:
                self._is_due = True
                self._loop.call_soon(self._turn)
