import pytest

from pierhead.protocols.http.filters.negotiation import chosen, weights


@pytest.mark.rfc("9110", "12.5.1")
@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ([], "text/html"),
        ([""], None),
        (["*/*"], "text/html"),
        (["text/*;q=0.3, application/json"], "application/json"),
        (["text/html;q=0, */*"], "application/json"),
        (["image/png", "application/json;q=0.1"], "application/json"),
        (["text/html; q=x"], None),
        (["TEXT/HTML"], "text/html"),
        (["application/json;q=1.000, text/html;q=0.999"], "application/json"),
        (["text/html;q=\u0665"], None),
    ],
)
def test_what_the_client_prefers(accept, found):
    assert chosen(["text/html", "application/json"], accept) == found


def test_weights():
    assert weights(["gzip;q=0.5, br", "identity; q=0"]) == {"gzip": 0.5, "br": 1, "identity": 0}
