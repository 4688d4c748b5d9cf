"""A law that reaches only one of its outcomes is caught."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares


def law_of(most: int, **least: float):
    """Return a law of the numbers below 100, which it refuses from `most` on."""

    @shares(**least)
    @settings(max_examples=50, database=None)
    @given(number=st.integers(0, 99))
    def law(number):
        met("read" if number < most else "refused")

    return law


@pytest.mark.parametrize("most", [0, 100])
def test_a_law_that_refuses_everything_or_nothing_is_caught(most):
    with pytest.raises(AssertionError, match=r"was met 0 times of 5[0-9], expected at least 10%"):
        law_of(most, read=0.1, refused=0.1)()


def test_a_law_that_reaches_every_outcome_holds():
    law_of(50, read=0.1, refused=0.1)()


def test_an_outcome_that_is_not_named_is_caught():
    with pytest.raises(AssertionError, match=r"met \['refused'\]"):
        law_of(50, read=0.1)()


def test_a_law_without_outcomes_is_caught():
    with pytest.raises(AssertionError, match="'read' was met 0 times of 0"):
        shares(read=0.0)(lambda: None)()


def test_shares_are_counted_anew_for_each_law():
    law_of(100, read=1.0, refused=0.0)()
    law_of(0, read=0.0, refused=1.0)()
