"""Numbers as they are shown; that nothing raw is printed is in test_nothing_raw_is_printed.py."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.printable import digits


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (1e6, "1000000"),
        (2_592_000.0, "2592000"),
        (1e22, "1" + "0" * 22),
        (0.5, "0.5"),
        (0.1 + 0.2, "0.3"),
        (1e-7, "0.0000001"),
        (1e-20, "0"),
        (-2.50, "-2.5"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_a_number_is_shown_in_digits(number, shown):
    assert digits(number) == shown


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_no_number_has_an_exponent(number):
    assert "e" not in digits(number)
    assert math.isclose(float(digits(number)), number, abs_tol=1e-12)
