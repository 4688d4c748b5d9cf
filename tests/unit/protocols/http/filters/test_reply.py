import dataclasses

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import http


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "status", "body", "media"),
    [
        ("é", 200, "é".encode(), "text/plain; charset=utf-8"),
        (b"\xff", 200, b"\xff", "application/octet-stream"),
        (None, 204, b"", None),
        (Point(5), 200, b'{"x":5}', "application/json"),
        ([1], 200, b"[1]", "application/json"),
        (http.html("<p>"), 200, b"<p>", "text/html; charset=utf-8"),
        (http.json_reply(Point(5), 201), 201, b'{"x":5}', "application/json"),
        (http.status(202, "later"), 202, b"later", "text/plain; charset=utf-8"),
        (http.status(404), 404, b"", None),
    ],
)
def test_what_handlers_return(value, status, body, media):
    response = http.as_response(value)
    assert (response.status, response.body.ready) == (status, body)
    assert response.fields.get("content-type") == media


def test_fields_and_redirections():
    assert http.with_header("a", "X", "1").fields["x"] == "1"
    moved = http.redirect("/new", 308)
    assert (moved.status, moved.fields["location"]) == (308, "/new")
    with pytest.raises(UsageError, match="expected one of 301"):
        http.redirect("/new", 200)
    with pytest.raises(UsageError, match="control characters"):
        http.redirect("/\r\nSet-Cookie: a=b")


def test_a_value_that_is_no_reply_is_the_programs_fault():
    with pytest.raises(UsageError, match="cannot be JSON"):
        http.as_response(object())
    with pytest.raises(UsageError, match="give it a handler"):
        http.as_response(1, 2)
