import pytest

from pierhead.protocols.http import Fields
from pierhead.protocols.http.filters.conditions import (
    Validators,
    failed_condition,
    is_range_current,
)

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
STRONG = Validators('"a"', 784111777)
WEAK = Validators('W/"a"', 784111777)


def test_the_fields_of_a_response():
    assert STRONG.fields() == (("ETag", '"a"'), ("Last-Modified", DATE))


@pytest.mark.rfc("9110", "13.2.2")
@pytest.mark.parametrize(
    ("current", "fields", "status"),
    [
        (STRONG, {}, None),
        (STRONG, {"if-match": '"b", "a"'}, None),
        (STRONG, {"if-match": "*"}, None),
        (STRONG, {"if-match": '"b"'}, 412),
        (WEAK, {"if-match": 'W/"a"'}, 412),
        (STRONG, {"if-match": '"a"', "if-unmodified-since": EARLIER}, None),
        (STRONG, {"if-unmodified-since": EARLIER}, 412),
        (STRONG, {"if-unmodified-since": DATE}, None),
        (STRONG, {"if-none-match": '"a"'}, 304),
        (STRONG, {"if-none-match": 'W/"a"'}, 304),
        (WEAK, {"if-none-match": '"b", "a"'}, 304),
        (STRONG, {"if-none-match": "*"}, 304),
        (STRONG, {"if-none-match": '"b"', "if-modified-since": LATER}, None),
        (STRONG, {"if-modified-since": DATE}, 304),
        (STRONG, {"if-modified-since": EARLIER}, None),
        (STRONG, {"if-modified-since": "yesterday"}, None),
        (STRONG, {"if-modified-since": "Sun, 99 Nov 1994 08:49:37 GMT"}, None),
        (STRONG, {"if-match": '"b"', "if-none-match": '"a"'}, 412),
    ],
)
def test_conditions_in_their_order(current, fields, status):
    assert failed_condition(Fields(fields), current) == status


@pytest.mark.rfc("9110", "13.1.5")
@pytest.mark.parametrize(
    ("current", "field", "is_current"),
    [
        (STRONG, None, True),
        (STRONG, '"a"', True),
        (STRONG, '"b"', False),
        (WEAK, 'W/"a"', False),
        (STRONG, DATE, True),
        (STRONG, LATER, False),
        (WEAK, DATE, False),
        (STRONG, "x", False),
    ],
)
def test_a_range_of_the_same_state_only(current, field, is_current):
    fields = Fields({} if field is None else {"if-range": field})
    assert is_range_current(fields, current) == is_current
