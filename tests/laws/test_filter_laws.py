"""Filters compose: grouping never matters, and no refusal depends on what is written first."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols import http
from pierhead.protocols.http.filters.route import Asked
from pierhead.protocols.http.filters.router import Router
from pierhead.service.context import Context, Peer, Transport, Via

CONTEXT = Context(
    Peer("tester"), 0.0, Via(transport=Transport.STREAM, scheme="mem", local="a", listener="mem:a")
)
WORDS = st.sampled_from(["a", "b", "7"])

#: Filters of one value each, so that any two are alternatives.
FILTERS = st.one_of(
    WORDS.map(lambda word: http.path(word).map(lambda: word)),
    st.sampled_from([http.path(int), http.path("a", str), http.query("q", int)]),
    st.sampled_from(["GET", "POST"]).map(lambda name: http.method(name).map(lambda: name)),
    st.sampled_from([http.header("x"), http.accept("text/plain"), http.host("h").map(lambda: "h")]),
    st.sampled_from([http.text(max_bytes=2), http.json(int), http.body()]),
)


@st.composite
def requests(draw):
    path = "/".join(["", *draw(st.lists(WORDS, max_size=3))]) or "/"
    target = path + draw(st.sampled_from(["", "?q=1", "?q=x"]))
    names = st.sampled_from(["x", "accept", "host", "content-type"])
    values = st.sampled_from(["h", "text/plain", "application/json"])
    fields = draw(st.dictionaries(names, values))
    body = draw(st.sampled_from([b"", b"1", b"{", b"123"]))
    return draw(st.sampled_from(["GET", "POST", "PUT"])), target, fields, body


def said(filters, asked):
    """Return the values, or the refusal."""
    method, target, fields, body = asked
    request = http.Request(method, target, fields, body)

    async def run():
        return await Router(filters._routes).run(Asked(request, CONTEXT))

    taken = asyncio.run(run())
    if isinstance(taken, http.Rejected):
        return taken.status, taken.detail, taken.fields
    return taken


@given(FILTERS, FILTERS, FILTERS, requests())
def test_and_is_associative(one, two, three, asked):
    assert said((one & two) & three, asked) == said(one & (two & three), asked)


@given(FILTERS, FILTERS, FILTERS, requests())
def test_or_is_associative(one, two, three, asked):
    assert said((one | two) | three, asked) == said(one | (two | three), asked)


@given(FILTERS, FILTERS, FILTERS, requests())
def test_and_distributes_over_or(one, two, three, asked):
    assert said(one & (two | three), asked) == said((one & two) | (one & three), asked)


@given(FILTERS, requests())
def test_mapping_the_identity_changes_nothing(one, asked):
    assert said(one.map(lambda value: value), asked) == said(one, asked)


@given(FILTERS, FILTERS, requests())
def test_mapping_twice_is_mapping_once(one, two, asked):
    either = one | two
    twice = either.map(str).map(len)
    assert said(twice, asked) == said(either.map(lambda value: len(str(value))), asked)


@given(st.lists(FILTERS, min_size=2, max_size=4), st.randoms(), requests())
def test_a_refusal_does_not_depend_on_the_order_of_alternatives(filters, chance, asked):
    shuffled = list(filters)
    chance.shuffle(shuffled)
    outcomes = []
    for order in (filters, shuffled):
        whole = order[0]
        for one in order[1:]:
            whole = whole | one
        outcomes.append(said(whole, asked))
    refused = [len(outcome) == 3 for outcome in outcomes]
    assert refused[0] == refused[1]
    if refused[0]:
        assert outcomes[0] == outcomes[1]


@given(st.lists(FILTERS, min_size=2, max_size=4), st.randoms(), requests())
def test_what_is_checked_does_not_depend_on_the_order_in_which_it_is_written(
    filters, chance, asked
):
    # Paths follow one another, so only one of them may be there.
    rest = [one for one in filters if one._routes[0].pattern() is None]
    shuffled = list(rest)
    chance.shuffle(shuffled)
    outcomes = []
    for order in (rest, shuffled):
        whole = http.path(str)
        for one in order:
            whole = whole & one
        outcomes.append(said(whole, asked))
    taken = [len(outcome) != 3 or not isinstance(outcome[2], tuple) for outcome in outcomes]
    assert taken[0] == taken[1]
