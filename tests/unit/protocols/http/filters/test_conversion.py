import dataclasses
import datetime
import enum
from typing import Literal

import pytest

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.http.filters.conversion import from_pairs, from_text


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "7", "7"),
        (int, "-7", -7),
        (float, "1e3", 1000.0),
        (bool, "false", False),
        (Colour, "red", Colour.RED),
        (datetime.date, "2026-11-30", datetime.date(2026, 11, 30)),
        (int | None, "5", 5),
        (Literal["a", "b"], "a", "a"),
    ],
)
def test_text_of_a_type(kind, text, value):
    assert from_text(kind)(text) == value


@pytest.mark.parametrize("text", ["", " 7", "7 ", "1_0", "\u0667", "7.5", "x", "\udcff"])
def test_text_that_is_no_int(text):
    with pytest.raises(ValueError, match="expected"):
        from_text(int)(text)


@pytest.mark.parametrize("kind", [object(), complex])
def test_a_type_that_text_cannot_have(kind):
    with pytest.raises(UsageError, match="not a type that text can have"):
        from_text(kind)
    with pytest.raises(UsageError, match="not a type"):
        from_pairs(kind)


def test_a_list_that_was_not_given_has_its_default_or_is_missing():
    needs = dataclasses.make_dataclass("Needs", [("tags", list[int])])
    assert from_pairs(needs)([("tags", "1"), ("tags", "2")]).tags == [1, 2]
    with pytest.raises(DecodeError, match="missing required field tags"):
        from_pairs(needs)([])
