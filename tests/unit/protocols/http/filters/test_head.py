import dataclasses

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import http

from .asking import answer, ask


@dataclasses.dataclass
class Search:
    text: str
    page: int = 1
    tags: list[str] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize(
    ("filters", "target", "fields", "said"),
    [
        (http.query("a"), "/?a=b%20c+d", {}, (200, "('b c d',)")),
        (http.query("a"), "/?a=", {}, (200, "('',)")),
        (http.query("a"), "/", {}, (400, "query parameter a is missing")),
        (http.query("a", int), "/?a=x", {}, (400, "query parameter a: expected int")),
        (http.query("a", bool), "/?a=true", {}, (200, "(True,)")),
        (http.query("a", int, default=3), "/", {}, (200, "(3,)")),
        (http.query("a", default=None), "/", {}, (200, "(None,)")),
        (http.query("a"), "/?a=%ff", {}, (400, "query parameter a: expected UTF-8")),
        (http.query(Search), "/?text=a", {}, (200, "(Search(text='a', page=1, tags=[]),)")),
        (
            http.query(Search),
            "/?text=a&tags=b&tags=c&page=2",
            {},
            (200, "(Search(text='a', page=2, tags=['b', 'c']),)"),
        ),
        (http.query(Search), "/", {}, (400, "query: $: missing required field text")),
        (http.query(Search), "/?text=a&page=x", {}, (400, "query: $.page: expected int, got str")),
        (
            http.query(Search),
            "/?text=a&text=b",
            {},
            (400, "query: $.text: expected one value, got several"),
        ),
        (http.header("X-Number", int), "/", {"x_number": "5"}, (200, "(5,)")),
        (http.header("X-Number", int), "/", {}, (400, "field X-Number is missing")),
        (http.header_is("x", "1"), "/", {"x": "1"}, (200, "()")),
        (http.header_is("x", "1"), "/", {"x": "2"}, (400, "field x: expected 1")),
        (http.cookie("b"), "/", {"cookie": 'a=1; b="2"; b=3'}, (200, "('2',)")),
        (http.cookie("b"), "/", {"cookie": "ab=1"}, (400, "cookie b is missing")),
        (http.cookie("b", default=""), "/", {}, (200, "('',)")),
        (http.host("example.org"), "/", {"host": "Example.org:80"}, (200, "()")),
        (http.host("[::1]"), "/", {"host": "[::1]:80"}, (200, "()")),
        (http.host("example.org"), "/", {"host": "x"}, (421, "this host is not served here")),
        (http.accept("a/b", "c/d"), "/", {}, (200, "('a/b',)")),
        (http.accept("a/b", "c/d"), "/", {"accept": "a/*;q=0.5, c/d"}, (200, "('c/d',)")),
    ],
)
async def test_what_comes_before_the_content(filters, target, fields, said):
    made = filters.map(lambda *values: repr(values))
    assert await answer(made, "GET", target, **fields) == said


async def test_too_many_parameters_are_refused():
    status, said = await answer(http.query("a").map(str), "GET", "/?" + "b&" * 2000)
    assert status == 400
    assert "fields" in said


@pytest.mark.rfc("9110", "9.3.2")
async def test_get_takes_head_too():
    either = http.get().map(lambda: "x") | http.head().map(lambda: "y")
    assert await answer(either, "HEAD", "/") == (200, "x")


@pytest.mark.parametrize("name", ["post", "put", "patch", "delete", "options", "head"])
async def test_methods(name):
    filters = getattr(http, name)()
    assert (await ask(filters, name.upper(), "/")).status == 204
    assert (await ask(filters, "OTHER", "/")).fields["allow"] == name.upper()


async def test_request_and_context_are_values():
    both = (http.request() & http.context()).map(lambda r, c: f"{r.method} {c.peer}")
    assert await answer(both, "GET", "/") == (200, "GET tester")


def test_wrong_arguments_are_refused():
    with pytest.raises(UsageError, match="no method was given"):
        http.method()
    with pytest.raises(UsageError, match="not a type"):
        http.query(Search, kind=object()) if False else http.header("a", object())
