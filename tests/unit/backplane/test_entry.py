"""Entries of a stream, and the ledger of what was had."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.backplane.entry import Entry, Ledger
from pierhead.errors import DecodeError

OWN, EARLIER, LATER = b"5" * 16, b"1" * 16, b"9" * 16

kinds: st.SearchStrategy[Literal["M", "A", "J"]] = st.sampled_from(["M", "A", "J"])


@given(
    kinds, st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1), st.binary(max_size=99)
)
def test_an_entry_is_read_as_it_was_written(
    kind: Literal["M", "A", "J"], origin: bytes, number: int, payload: bytes
) -> None:
    entry = Entry(kind, origin, number, payload)
    assert Entry.from_bytes(entry.to_bytes()) == entry


@shares(read=0.1, refused=0.1)
@given(st.binary() | st.binary(min_size=25).map(lambda octets: b"M" + octets[1:]))
def test_any_octets_are_an_entry_or_an_error(octets: bytes) -> None:
    try:
        Entry.from_bytes(octets)
    except DecodeError:
        met("refused")
    else:
        met("read")


def test_what_an_earlier_server_had_said_is_too_early_and_of_a_later_one_nothing_is() -> None:
    ledger = Ledger(OWN, 10)
    assert ledger.take(Entry("M", EARLIER, 7)) == (True, 0)
    assert ledger.take(Entry("M", LATER, 7)) == (True, 6)
    assert ledger.take(Entry("A", EARLIER, 9)) == (False, 2)


def test_who_was_silent_for_longest_is_forgotten_first() -> None:
    ledger = Ledger(OWN, 2)
    for origin in (b"a" * 16, b"b" * 16, b"a" * 16, b"c" * 16):
        ledger.take(Entry("A", origin, 3))
    assert ledger.take(Entry("M", b"a" * 16, 3)) == (False, 0)
    assert ledger.take(Entry("M", b"b" * 16, 3)) == (True, 2)


@given(st.lists(st.tuples(kinds, st.integers(0, 30)), max_size=60))
def test_numbers_rise_and_every_one_is_passed_on_or_missed_at_most_once(
    entries: list[tuple[Literal["M", "A", "J"], int]],
) -> None:
    ledger = Ledger(OWN, 10)
    heard: list[int] = []
    missed = 0
    for kind, number in entries:
        is_new, lost = ledger.take(Entry(kind, LATER, number))
        assert lost >= 0
        missed += lost
        if is_new:
            heard.append(number)
    assert heard == sorted(set(heard))
    assert missed + len(heard) == max((number for _, number in entries), default=0)
