import itertools
import json

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import http
from pierhead.protocols.http.filters.rejection import Rejected, Stage, most_specific

from .asking import answer, ask

JSON = "application/json"
SITE = [
    (http.path("a") & http.post() & http.json(dict[str, int], max_bytes=20)).map(lambda d: "post"),
    (http.path("a") & http.put() & http.text(max_bytes=5)).map(lambda t: "put"),
    (http.path("a") & http.get() & http.header("x-token")).map(lambda t: "get"),
    (http.path("b") & http.get() & http.accept("text/html", JSON)).map(lambda m: m),
]

REFUSED = [
    ("GET", "/c", b"", {}, 404, "nothing is served"),
    ("DELETE", "/a", b"", {}, 405, ""),
    ("GET", "/a", b"", {}, 400, "field x-token is missing"),
    ("GET", "/b", b"", {"accept": "image/png"}, 406, "expected one of text/html, application/json"),
    ("POST", "/a", b"{}", {}, 415, "no media type, expected application/json"),
    ("POST", "/a", b"{}", {"content_type": "text/plain"}, 415, "the content is text/plain"),
    ("POST", "/a", b" " * 21, {"content_type": JSON}, 413, "21 octets, expected 20"),
    ("POST", "/a", b"{", {"content_type": JSON}, 400, "malformed JSON"),
    ("POST", "/a", b'{"n": "x"}', {"content_type": JSON}, 422, "$[...]: expected int, got str"),
    ("POST", "/a", b"null", {"content_type": JSON}, 422, "expected object, got null"),
    ("PUT", "/a", b"\xff", {"content_type": "text/plain"}, 400, "not UTF-8"),
    ("PUT", "/a", b"x", {"content_type": "text/plain", "content_encoding": "gzip"}, 415, "gzip"),
]


@pytest.mark.rfc("9110", "15.5")
@pytest.mark.rfc("9457", "3.1")
@pytest.mark.parametrize(("method", "target", "body", "fields", "status", "detail"), REFUSED)
async def test_a_refusal_says_why_whatever_the_order_of_alternatives(
    method, target, body, fields, status, detail
):
    found = set()
    for order in itertools.permutations(SITE):
        site = order[0] | order[1] | order[2] | order[3]
        found.add(await answer(site, method, target, body, **fields))
    assert len(found) == 1
    said = found.pop()
    assert said[0] == status
    assert detail in said[1]


@pytest.mark.rfc("9110", "15.5.6")
async def test_a_wrong_method_is_told_all_that_are_allowed():
    site = SITE[3] | SITE[0] | SITE[2] | SITE[1]
    assert (await ask(site, "DELETE", "/a")).fields["allow"] == "GET, HEAD, POST, PUT"


@pytest.mark.rfc("9110", "15.5.16")
async def test_a_wrong_media_type_is_told_what_is_accepted():
    other = (http.path("a") & http.post() & http.text()).map(lambda t: t)
    refused = await ask(SITE[0] | other, "POST", "/a", b"x", content_type="image/png")
    assert refused.fields["accept"] == "application/json, text/plain"


@pytest.mark.rfc("9457", "3")
async def test_a_problem_document_names_the_field_at_fault():
    filters = http.json(dict[str, list[int]]).map(str)
    refused = await ask(filters, "POST", "/", b'{"a": [1, "b"]}', content_type=JSON)
    assert refused.fields["content-type"] == "application/problem+json"
    assert json.loads(refused.body.ready) == {
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "$[...][1]: expected int, got str",
        "path": "$[...][1]",
    }


async def test_a_detail_that_quotes_the_request_is_printable():
    assert b"\\\\x1b" in Rejected(400, "a \x1b").response().body.ready


def test_nothing_rejected_is_an_unknown_path():
    assert most_specific([]).status == 404


def test_what_a_handler_says_is_said_rather_than_what_others_expect():
    wrong_method = Rejected(405, stage=Stage.METHOD)
    assert most_specific([Rejected(404, "no such user"), wrong_method]).detail == "no such user"
    unknown = Rejected(404, stage=Stage.PATH)
    assert most_specific([wrong_method, unknown]).status == 405


def test_a_rejection_is_an_error():
    with pytest.raises(UsageError, match="expected 400 to 599"):
        Rejected(200)
