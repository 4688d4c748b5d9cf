import pytest

from pierhead.errors import UsageError
from pierhead.protocols.http import Request, Response


@pytest.mark.rfc("9112", "3.2.2")
@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%2Fb/c?d=e?f", "/a%2Fb/c", "d=e?f"),
        ("http://h:80/a?b", "/a", "b"),
        ("http://h", "/", ""),
        ("/", "/", ""),
        ("*", "*", ""),
        ("/x://y", "/x://y", ""),
    ],
)
def test_a_target_has_a_path_and_a_query(target, path, query):
    request = Request("GET", target)
    assert (request.raw_path, request.query) == (path, query)


def test_segments_are_decoded_one_by_one():
    assert Request("GET", "/a%2Fb//c%C3%A9/").segments == ("a/b", "", "cé", "")


def test_text_has_a_type_unless_one_is_given():
    assert Response(200, "é").fields["content-type"] == "text/plain; charset=utf-8"
    assert Response(200, "x", {"Content-Type": "text/html"}).fields.all("content-type") == (
        "text/html",
    )
    assert "content-type" not in Response(200, b"x").fields


@pytest.mark.parametrize("status", [0, 100, 199, 600])
def test_a_response_is_final(status):
    with pytest.raises(UsageError, match="expected a final one"):
        Response(status)


def test_a_method_is_a_token():
    with pytest.raises(UsageError, match="expected a token"):
        Request("GET /", "/")
