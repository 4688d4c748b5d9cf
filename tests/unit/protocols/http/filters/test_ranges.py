import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.http.filters.ranges import wanted_ranges


@pytest.mark.rfc("9110", "14.1.2")
@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("bytes=0-499", [range(500)]),
        ("bytes=500-999", [range(500, 1000)]),
        ("bytes=-500", [range(500, 1000)]),
        ("bytes=900-", [range(900, 1000)]),
        ("bytes=0-0,-1", [range(1), range(999, 1000)]),
        ("bytes=900-2000", [range(900, 1000)]),
        ("bytes=-2000", [range(1000)]),
        ("bytes= 0-1 , 3-4", [range(2), range(3, 5)]),
        ("BYTES=0-1", [range(2)]),
    ],
)
def test_ranges_of_octets(field, found):
    assert wanted_ranges(field, 1000) == found


@pytest.mark.rfc("9110", "14.2")
@pytest.mark.parametrize(
    "field",
    [
        *(None, "", "bytes", "bytes=", "lines=0-1", "bytes=1-0", "bytes=-", "bytes=a-b"),
        *(
            "bytes=0-1,x",
            "bytes=0--1",
            "bytes=\u0660-1",
            "bytes=0-999,0-0",
            "bytes=0-1000000000000000000",
        ),
        "bytes=" + ",".join(["0-0"] * 17),
    ],
)
def test_what_is_no_reasonable_range_is_ignored(field):
    assert wanted_ranges(field, 1000) is None


@pytest.mark.rfc("9110", "15.5.17")
@pytest.mark.parametrize("field", ["bytes=1000-", "bytes=-0", "bytes=1000-2000,3000-"])
def test_nothing_can_be_satisfied(field):
    assert wanted_ranges(field, 1000) == []


SPECS = st.lists(st.from_regex(r"\d{0,3}-\d{0,3}", fullmatch=True), max_size=4)


@given(
    st.one_of(SPECS.map(lambda specs: "bytes=" + ",".join(specs)), st.text()), st.integers(0, 200)
)
def test_every_range_lies_within_the_file_and_no_more_is_sent_than_it_has(field, size):
    found = wanted_ranges(field, size)
    if found is not None:
        assert all(0 <= one.start < one.stop <= size for one in found)
        assert sum(map(len, found)) <= size
