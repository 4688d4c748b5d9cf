"""Address options that set limits of the server agree with those limits."""

from __future__ import annotations

import pytest

from pierhead.address import OPTIONS
from pierhead.address.option import Effect
from pierhead.address.option_types import Choice
from pierhead.server.options import CHOICES, LIMITS

ROWS = [row for row in OPTIONS if row.limit]
BY_NAME = {limit.name: limit for limit in LIMITS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_an_option_that_sets_a_limit_changes_when_the_limit_does(row) -> None:
    if row.limit in CHOICES:
        assert row.effect is Effect.NEW_CONNECTIONS
        return
    effect = BY_NAME[row.limit].effect
    is_for_new = effect.startswith("at the next connection")
    assert row.effect is (Effect.NEW_CONNECTIONS if is_for_new else Effect.AT_ONCE), effect


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_values_allowed_in_an_address_are_allowed_for_the_limit(row) -> None:
    if isinstance(row.type, Choice):
        assert row.type.words == CHOICES[row.limit]
        return
    limit = BY_NAME[row.limit]
    assert row.type.unit == limit.unit
    assert limit.minimum <= row.type.minimum <= row.type.maximum <= limit.maximum


def test_some_options_set_limits() -> None:
    assert {row.limit for row in ROWS} >= {"idle_timeout", "drain_timeout", "when_full"}
