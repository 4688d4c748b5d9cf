"""Laws of the race of connection attempts (RFC 8305), in held time."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.net.race import NoneSucceeded, interleaved, race
from pierhead.testing.clock import HeldLoop

DELAY_S = 0.25

#: How long an attempt takes, in eighths of a second, and whether it succeeds.
PLANS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=6)


@shares(won=0.3, failed=0.1)
@given(PLANS)
def test_the_race_ends_as_a_plan_of_it_says_and_leaves_nothing_open(
    plan: list[tuple[int, bool]],
) -> None:
    """The model: each begins a delay after the last, or at once when one fails."""
    open_now: set[int] = set()

    async def attempt(number: int) -> int:
        eighths, succeeds = plan[number]
        open_now.add(number)
        try:
            await asyncio.sleep(eighths / 8)
            if not succeeds:
                raise OSError(number, "refused")
        except BaseException:
            open_now.discard(number)
            raise
        return number

    async def main() -> tuple[int | list[int | None], float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        each = [lambda number=number: attempt(number) for number in range(len(plan))]
        try:
            result: Any = await race(each, DELAY_S, open_now.discard)
        except NoneSucceeded as none:
            result = [error.errno for error in none.errors]
        return result, loop.time() - start

    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        result, taken_s = runner.run(main())
    worst_s = sum(max(DELAY_S, eighths / 8) for eighths, _ in plan)
    assert taken_s <= worst_s
    if isinstance(result, list):
        met("failed")
        assert result == list(range(len(plan)))
        assert not any(succeeds for _, succeeds in plan)
        assert not open_now
    else:
        met("won")
        assert plan[result][1]
        assert open_now == {result}


@given(st.lists(st.tuples(st.sampled_from([2, 10]), st.integers(0, 99)), max_size=20))
def test_interleaving_keeps_every_place_and_the_order_within_a_family(
    places: list[tuple[int, int]],
) -> None:
    mixed = interleaved(places)
    assert sorted(mixed) == sorted(places)
    for family in (2, 10):
        assert [p for p in mixed if p[0] == family] == [p for p in places if p[0] == family]
    assert mixed[:1] == places[:1]
    both = min(sum(family == one for family, _ in places) for one in (2, 10))
    if both:
        assert mixed[0][0] != mixed[1][0]
