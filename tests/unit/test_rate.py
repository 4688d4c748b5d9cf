"""The token bucket behind every rate limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.rate import Rate

SECOND = 1_000_000_000


def test_a_burst_is_followed_by_one_token_per_interval():
    rate, full_at = Rate(10, burst=3), 0
    for _ in range(3):
        full_at = rate.take(full_at, SECOND)
    assert rate.take(full_at, SECOND) is None
    assert rate.wait_ns(full_at, SECOND) == SECOND // 10
    full_at = rate.take(full_at, SECOND + SECOND // 10)
    assert rate.take(full_at, SECOND + SECOND // 10) is None


@pytest.mark.parametrize("per_second", [0.001, 0.3, 1, 7, 333, 1_000_000])
def test_an_interval_is_never_shorter_than_the_rate_allows(per_second):
    assert Rate(per_second, burst=1).interval_ns * per_second >= SECOND


@given(
    per_second=st.floats(0.01, 10_000),
    burst=st.integers(1, 50),
    steps=st.lists(st.integers(0, 10 * SECOND), min_size=1, max_size=60),
)
def test_no_span_of_time_exceeds_burst_and_rate(per_second, burst, steps):
    rate, full_at, now, taken_at = Rate(per_second, burst), 0, SECOND, []
    for step in steps:
        now += step
        waits = rate.wait_ns(full_at, now)
        taken = rate.take(full_at, now)
        assert (taken is None) == (waits > 0)
        if taken is None:
            assert rate.take(full_at, now + waits) is not None
            assert rate.take(full_at, now + waits - 1) is None
        else:
            full_at = taken
            taken_at.append(now)
    for first, start in enumerate(taken_at):
        for last in range(first, len(taken_at)):
            tokens, span = last - first + 1, taken_at[last] - start
            assert (tokens - burst) * rate.interval_ns <= span
