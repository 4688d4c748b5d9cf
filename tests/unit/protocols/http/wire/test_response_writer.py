"""Heads of responses and the parts of chunked content."""

from __future__ import annotations

import json

import pytest

from pierhead.errors import UsageError
from pierhead.protocols.http.wire import Fields, Response
from pierhead.protocols.http.wire.refusal import problem
from pierhead.protocols.http.wire.response_writer import (
    chunk,
    date_line,
    has_content,
    last_chunk,
    response_head,
)


def head(response: Response, method: str = "GET", connection: str = "", **given: bool) -> bytes:
    return response_head(method, response, "", connection=connection, **given)


@pytest.mark.rfc("9112", "4")
def test_a_head_has_its_status_fields_and_length() -> None:
    assert head(Response(200, b"ab", [("X", "y")])) == (
        b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\n"
    )
    assert head(Response(299)).startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.rfc("9110", "8.6")
def test_some_responses_have_no_length() -> None:
    assert b"Length" not in head(Response(204))
    assert b"Length" not in head(Response(304))
    assert b"Content-Length: 0" in head(Response(200))


@pytest.mark.rfc("9110", "8.6")
def test_the_length_of_what_get_would_have_is_left_to_the_service() -> None:
    response = Response(200, b"", [("Content-Length", "7")])
    assert b"Content-Length: 7\r\n" in head(response, "HEAD")
    with pytest.raises(UsageError, match="leave the field out"):
        head(response)


def test_fields_of_the_engine_are_its_own() -> None:
    written = head(Response(200, b"", [("Date", "x"), ("Connection", "y")]), connection="close")
    assert written == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with pytest.raises(UsageError, match="which the server sets itself"):
        head(Response(200, b"", [("Transfer-Encoding", "gzip")]))


@pytest.mark.rfc("9110", "6.6.1")
def test_the_date_has_the_format_of_the_standard() -> None:
    assert date_line(784111777) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


@pytest.mark.rfc("9112", "7.1")
def test_chunks_have_sizes_and_an_end() -> None:
    assert chunk(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"
    assert last_chunk(Fields()) == b"0\r\n\r\n"
    assert last_chunk(Fields([("A", "b")])) == b"0\r\nA: b\r\n\r\n"


@pytest.mark.rfc("9110", "6.4.1")
def test_what_has_no_content() -> None:
    assert has_content("GET", 200)
    assert not has_content("HEAD", 200)
    assert not has_content("GET", 204)
    assert not has_content("GET", 304)


@pytest.mark.rfc("9457", "3")
def test_a_problem_is_a_document() -> None:
    response = problem(404, "no such thing")
    assert response.fields["content-type"] == "application/problem+json"
    assert json.loads(response.body.ready or b"") == {
        "title": "Not Found",
        "status": 404,
        "detail": "no such thing",
    }
