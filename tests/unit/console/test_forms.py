"""Forms of messages: how they are typed, and what is shown of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.console.forms import FORMS, form
from pierhead.errors import UsageError


@given(st.binary(max_size=200), st.sampled_from(sorted(FORMS)))
def test_whatever_comes_is_shown_in_visible_characters(octets: bytes, name: str) -> None:
    shown = FORMS[name].show(octets)
    assert shown.isprintable()
    shown.encode()


@given(st.binary(max_size=200), st.sampled_from(sorted(FORMS)))
def test_whatever_comes_is_a_value_of_json(octets: bytes, name: str) -> None:
    text = json.dumps(FORMS[name].value(octets))
    assert text.isascii()
    assert text.isprintable()


@given(st.binary(max_size=200))
def test_hexadecimal_digits_go_both_ways(octets: bytes) -> None:
    assert form("hex").encode(form("hex").show(octets)) == octets


def test_what_cannot_be_sent_says_why() -> None:
    with pytest.raises(UsageError, match="not pairs of hexadecimal digits"):
        form("hex").encode("1")
    with pytest.raises(UsageError, match="not JSON, and was not sent"):
        form("json").encode("{")
    with pytest.raises(UsageError, match="no form 'morse'; expected one of lines, json"):
        form("morse")
