"""How many frames the connections of one event loop take in one of its turns.

Whatever arrives on streams in one turn shares one budget, whichever `Server` they belong to: a
long turn delays everybody in the loop. Between two turns datagrams are received, deadlines are
enforced and newcomers accepted. A connection that has input left when the budget is spent waits
for a later turn, in one of two lines:

    just begun ──────▶ first line ──▶ at most half of each turn, a few frames each
    has had a share ─▶ second line ─▶ the rest of each turn, more frames each

so a connection with one question does not wait behind those that pipeline without end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakKeyDictionary, ref

__all__ = ["FrameBudget"]

#: Frames of all connections in one turn. At 8 µs for a ready answer this is a millisecond.
_PER_TURN = 128
#: Frames of one connection while others wait: those it begins with, and each time after that.
_FIRST_SHARE = 4
_SHARE = 32


class FrameBudget:
    """The budget of one event loop; servers take it by `of_this_loop`.

    Attributes:
        left: frames left in this turn. Whoever takes some subtracts them, then calls `spent`.
    """

    __slots__ = ("__weakref__", "_begun", "_is_due", "_loop", "_served", "left")

    # Servers keep it alive: it refers to the loop, and would keep that alive for ever itself.
    _by_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, ref[FrameBudget]]] = (
        WeakKeyDictionary()
    )

    @classmethod
    def of_this_loop(cls) -> FrameBudget:
        """Return the budget that everybody in the running loop shares."""
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
        """Whether other connections wait for their turn."""
        return bool(self._begun or self._served)

    def share(self, *, has_had_a_share: bool) -> int:
        """Return how many frames one connection may take now."""
        if not self._begun and not self._served:
            return self.left
        return min(self.left, _SHARE if has_had_a_share else _FIRST_SHARE)

    def spent(self) -> None:
        """Have the budget filled again in the next turn, if it is running low.

        Not for every frame: most turns of most servers take one, and a callback for each would
        cost more than it does.
        """
        if self.left <= _PER_TURN // 2 and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def wait(self, go_on: Callable[[], None], *, has_had_a_share: bool) -> None:
        """Call back, once, in a turn that has frames left for this connection."""
        (self._served if has_had_a_share else self._begun).append(go_on)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        self.left = _PER_TURN
        # Those that wait now: whoever waits again has had its share of this turn.
        begun, served = len(self._begun), len(self._served)
        try:
            while begun and self.left > (_PER_TURN // 2 if served else 0):
                begun -= 1
                self._begun.popleft()()
            while served and self.left > 0:
                served -= 1
                self._served.popleft()()
        finally:  # the user may have interrupted a service, and the others still wait
            if (self._begun or self._served) and not self._is_due:
                self._is_due = True
                self._loop.call_soon(self._turn)
