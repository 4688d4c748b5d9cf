import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.errors import UsageError
from pierhead.protocols.http import Fields

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True)
VALUES = st.from_regex(r"([!-~]([ -~]{0,6}[!-~])?)?", fullmatch=True)


@pytest.mark.rfc("9110", "5.1")
@given(st.lists(st.tuples(NAMES, VALUES)))
def test_names_are_found_in_any_case_and_order_is_kept(pairs):
    fields = Fields(pairs)
    assert list(fields) == pairs
    for name, _ in pairs:
        same = tuple(value for one, value in pairs if one.lower() == name.lower())
        assert fields.all(name.swapcase()) == same
        assert fields[name.upper()] == same[0]
        assert name.lower() not in fields.without(name.upper())


@pytest.mark.parametrize("name", ["", "a b", "a:", "ü", "a\n"])
def test_a_name_is_a_token(name):
    with pytest.raises(UsageError, match="expected a token"):
        Fields([(name, "x")])


@pytest.mark.rfc("9110", "5.5")
@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0", " a", "a\t", "€", "a\n", "\x7f"])
def test_a_value_cannot_smuggle_a_line(value):
    with pytest.raises(UsageError, match="control characters"):
        Fields({"x": value})


def test_members_of_a_list_come_from_every_line_of_it():
    fields = Fields([("Accept", "a, b"), ("X", "y"), ("accept", ",c ,")])
    assert fields.members("ACCEPT") == ("a", "b", "c")


def test_equality_ignores_the_case_of_names_alone():
    assert Fields({"A": "x"}) == Fields({"a": "x"}) != Fields({"a": "X"})
    assert hash(Fields({"A": "x"})) == hash(Fields({"a": "x"}))
    assert Fields({"a": "1"}) + Fields({"a": "2"}) == Fields([("a", "1"), ("A", "2")])
    assert Fields({"a": "1"}).replaced("A", "2") == Fields({"a": "2"})


def test_a_missing_field_is_a_key_error():
    with pytest.raises(KeyError):
        Fields()["x"]
    assert Fields().get("x", "y") == "y"
