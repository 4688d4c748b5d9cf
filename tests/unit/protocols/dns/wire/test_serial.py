from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire.serial import advance, is_newer

SERIALS = st.integers(0, 2**32 - 1)


@pytest.mark.rfc("1982", "3.1")
@given(serial=SERIALS, step=st.integers(1, 2**31 - 1))
def test_a_serial_is_newer_than_any_it_was_advanced_from(serial: int, step: int):
    later = advance(serial, step)
    assert 0 <= later < 2**32
    assert is_newer(later, serial)
    assert not is_newer(serial, later)


@pytest.mark.rfc("1982", "3.2")
@given(serial=SERIALS)
def test_neither_of_two_that_are_equal_or_half_a_ring_apart_is_newer(serial: int):
    other = (serial + 2**31) % 2**32
    assert not is_newer(serial, serial)
    assert not is_newer(serial, other)
    assert not is_newer(other, serial)


@pytest.mark.rfc("1982", "5.2")
def test_the_numbers_of_the_documents_example_compare_as_there():
    """With 8 bits: 44 is newer than 0, 100 than 0, 200 than 100, 255 than 200, 0 than 255."""
    steps = [0, 44, 100, 200, 255, 0]
    assert all(is_newer(after << 24, before << 24) for before, after in pairwise(steps))
    assert not is_newer(0, 100 << 24)


@pytest.mark.parametrize(("serial", "step"), [(0, -1), (0, 2**31), (-1, 1), (2**32, 1)])
def test_what_is_no_serial_or_no_step_is_refused(serial, step):
    with pytest.raises(UsageError, match="expected 0 to"):
        advance(serial, step)


def test_after_the_last_serial_comes_zero():
    assert advance(2**32 - 1) == 0
