import pytest

from pierhead import stack
from pierhead.errors import UsageError
from pierhead.protocols import http

from .asking import ask

PAGE = "https://example.org"
SITE = http.path("a").map(lambda: "a")


def preflight(service, origin=PAGE, method="PUT", **fields):
    return ask(
        service, "OPTIONS", "/a", origin=origin, access_control_request_method=method, **fields
    )


async def test_pages_of_known_origins_may_read_answers():
    service = stack(SITE, http.cors(PAGE, credentials=True, expose=["X-Total"]))
    response = await ask(service, "GET", "/a", origin=PAGE)
    assert response.fields["access-control-allow-origin"] == PAGE
    assert response.fields["access-control-allow-credentials"] == "true"
    assert response.fields["access-control-expose-headers"] == "X-Total"
    assert response.fields["vary"] == "Origin"
    assert response.body.ready == b"a"


@pytest.mark.parametrize("fields", [{}, {"origin": "https://evil.example"}, {"origin": "null"}])
async def test_others_get_an_answer_that_no_page_can_read(fields):
    response = await ask(stack(SITE, http.cors(PAGE)), "GET", "/a", **fields)
    assert "access-control-allow-origin" not in response.fields
    assert (response.status, response.fields["vary"]) == (200, "Origin")


async def test_any_origin():
    response = await ask(stack(SITE, http.cors("*")), "GET", "/a", origin=PAGE)
    assert response.fields["access-control-allow-origin"] == "*"
    assert "vary" not in response.fields


async def test_a_preflight_request_is_answered():
    service = stack(SITE, http.cors(PAGE, methods=["PUT"], headers=["X-A"], max_age=5))
    response = await preflight(service, access_control_request_headers="x-a")
    assert response.status == 204
    assert response.fields["access-control-allow-methods"] == "PUT"
    assert response.fields["access-control-allow-headers"] == "X-A"
    assert response.fields["access-control-max-age"] == "5"


async def test_a_preflight_request_is_refused():
    service = stack(SITE, http.cors(PAGE, methods=["PUT"], headers=["X-A"]))
    for refused in (
        await preflight(service, origin="https://evil.example"),
        await preflight(service, method="DELETE"),
        await preflight(service, access_control_request_headers="x-a, x-b"),
    ):
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.fields


async def test_other_options_requests_go_through():
    assert (await ask(stack(SITE, http.cors(PAGE)), "OPTIONS", "/a", origin=PAGE)).status == 200


@pytest.mark.parametrize(
    ("origins", "said"), [((), "no origin"), (("example.org",), "not an origin")]
)
def test_wrong_origins(origins, said):
    with pytest.raises(UsageError, match=said):
        http.cors(*origins)
    with pytest.raises(UsageError, match="name the origins"):
        http.cors("*", credentials=True)
