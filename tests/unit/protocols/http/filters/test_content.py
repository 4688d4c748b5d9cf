import dataclasses

import pytest

from pierhead.protocols import http

from .asking import CONTEXT, answer

FORM = "application/x-www-form-urlencoded"


@dataclasses.dataclass
class Person:
    name: str
    age: int


async def parts(*octets):
    for part in octets:
        yield part


async def asked(filters, *octets):
    request = http.Request("POST", "/", {"content-type": "text/plain"}, http.Body(parts(*octets)))
    return await filters(request, CONTEXT)


@pytest.mark.parametrize(
    ("filters", "body", "media", "said"),
    [
        (http.body().map(repr), b"\xff", "a/b", (200, "b'\\xff'")),
        (http.text().map(repr), "é".encode(), "text/x; charset=utf-8", (200, "'é'")),
        (http.form(Person).map(repr), b"name=a+b&age=5", FORM, (200, "Person(name='a b', age=5)")),
        (http.form(Person).map(repr), b"name=a", FORM, (422, "$: missing required field age")),
        (http.form(Person).map(repr), b"name=a&age=x", FORM, (422, "$.age: expected int, got str")),
        (
            http.form(Person).map(repr),
            b"name=%ff&age=5",
            FORM,
            (400, "malformed form: expected UTF-8"),
        ),
        (
            http.json(Person).map(repr),
            b'{"name": "a", "age": 5}',
            "a/b+json",
            (200, "Person(name='a', age=5)"),
        ),
    ],
)
async def test_content_of_every_kind(filters, body, media, said):
    assert await answer(filters, "POST", "/", body, content_type=media) == said


async def test_content_comes_as_it_is_received():
    async def count(chunks) -> str:
        return str([chunk async for chunk in chunks])

    response = await asked(http.stream().then(count), b"a", b"bc")
    assert response.body.ready == b"[b'a', b'bc']"


async def test_content_of_unknown_length_is_refused_where_it_is_too_long():
    either = http.text(max_bytes=2).map(str) | http.body(max_bytes=2).map(str)
    assert (await asked(either, b"a", b"bc")).status == 413
    assert (await asked(either, b"a", b"b")).body.ready == b"ab"


async def test_alternatives_with_other_limits_read_the_same_content():
    short, long = http.text(max_bytes=2).map(str), http.body(max_bytes=4).map(repr)
    for either in (short | long, long | short):
        assert (await asked(either, b"a", b"bcd")).body.ready == b"b'abcd'"
        assert (await asked(either, b"a", b"bcd", b"e")).status == 413


async def test_a_known_length_is_refused_before_reading():
    async def never():
        raise AssertionError("it was read")
        yield b""

    body = http.Body(never(), length=3)
    request = http.Request("POST", "/", {"content-type": "text/plain"}, body)
    assert (await http.text(max_bytes=2).map(str)(request, CONTEXT)).status == 413


async def test_the_method_is_refused_before_the_content_is_read():
    def never():
        raise AssertionError("it was read")
        yield b""

    filters = (http.text() & http.put()).map(str)
    body = http.Body(never())
    request = http.Request("POST", "/", {"content-type": "text/plain"}, body)
    assert (await filters(request, CONTEXT)).status == 405


async def test_alternatives_read_the_same_content():
    either = http.json(int).map(str) | http.text().map(lambda text: f"text {text}")
    assert await answer(either, "POST", "/", b"x", content_type="text/plain") == (200, "text x")
    both = (http.text() & http.body()).map(lambda text, octets: text + repr(octets))
    assert await answer(both, "POST", "/", b"x", content_type="text/plain") == (200, "xb'x'")


async def test_a_stream_that_was_given_away_is_not_read_again():
    def refuse(chunks):
        raise http.Rejected(409, "no")

    either = http.stream().map(refuse) | http.body().map(str)
    assert (await asked(either, b"a")).status == 409
