import uuid

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import http

from .asking import answer, ask


@pytest.mark.parametrize(
    ("filters", "target", "said"),
    [
        (http.path("users", int), "/users/7", "(7,)"),
        (http.path("users", int), "/users/7?x", "(7,)"),
        (http.path("users", int), "http://host/users/7", "(7,)"),
        (http.path("users", int), "/users/x", None),
        (http.path("users", int), "/users/ 7", None),
        (http.path("users", int), "/users/1_0", None),
        (http.path("users", int), "/users/7/", None),
        (http.path("users", int), "/users/", None),
        (http.path("users", int, "mails", str), "/users/7/mails/a%2Fb", "(7, 'a/b')"),
        (http.path(str), "/%ff", None),
        (http.path(str), "/", None),
        (http.path(uuid.UUID), f"/{uuid.UUID(int=5)}", repr((uuid.UUID(int=5),))),
        (http.path("/api/users"), "/api/users", "()"),
        (http.path("api") & http.path("users"), "/api/users", "()"),
        (http.path("api"), "/api/users", None),
        (http.path("api/"), "/api/", "()"),
        (http.path(), "/", "()"),
        (http.path(), "//", None),
        (http.path("a%b"), "/a%25b", "()"),
        (http.path("a") & http.tail(), "/a/b/c", "(('b', 'c'),)"),
        (http.path("a") & http.tail(), "/a", "((),)"),
        (http.path("a") & http.tail(), "/b", None),
        (http.get(), "/any/path", "()"),
        (http.path(), "*", None),
    ],
)
async def test_paths(filters, target, said):
    expected = (404, "nothing is served at this path") if said is None else (200, said)
    assert await answer(filters.map(lambda *values: repr(values)), "GET", target) == expected


def test_a_type_that_text_cannot_have_is_refused():
    with pytest.raises(UsageError, match="not a type that text can have"):
        http.path(object())


async def test_routes_with_values_are_found_beside_those_without():
    site = (
        http.path(str, "a").map(lambda s: f"1 {s}")
        | http.path("x", str).map(lambda s: f"2 {s}")
        | http.path("x", "a").map(lambda: "3")
        | http.tail().map(lambda s: f"4 {'/'.join(s)}")
    )
    assert await answer(site, "GET", "/x/a") == (200, "1 x")
    assert await answer(site, "GET", "/x/b") == (200, "2 b")
    assert await answer(site, "GET", "/y/b") == (200, "4 y/b")
    assert (await ask(site, "GET", "/")).status == 200
