import gzip
import zlib

import pytest

from pierhead import stack
from pierhead.errors import UsageError
from pierhead.protocols import http

from .asking import ask

LONG = "abc " * 1000


def serving(response, **options):
    async def service(request, context):
        return response

    return stack(service, http.compress(**options))


async def content(response):
    return gzip.decompress(await response.body.read(10**8))


async def parts(*octets):
    for part in octets:
        yield part


@pytest.mark.rfc("9110", "8.4.1.3")
async def test_text_is_compressed_for_who_accepts_it():
    service = serving(http.Response(200, LONG, {"ETag": '"a"', "Accept-Ranges": "bytes"}))
    response = await ask(service, "GET", "/", accept_encoding="br, gzip")
    assert response.fields["content-encoding"] == "gzip"
    assert response.fields["vary"] == "Accept-Encoding"
    assert response.fields["etag"] == 'W/"a"'
    assert "accept-ranges" not in response.fields
    assert response.body.length < 100
    assert await content(response) == LONG.encode()


@pytest.mark.rfc("9110", "12.5.3")
@pytest.mark.parametrize("accepted", [None, "", "br", "gzip;q=0", "*;q=0", "gzip;q=0.5, identity"])
async def test_others_get_it_as_it_is(accepted):
    fields = {} if accepted is None else {"accept_encoding": accepted}
    response = await ask(serving(http.Response(200, LONG)), "GET", "/", **fields)
    assert response.body.ready == LONG.encode()
    assert response.fields["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "response",
    [
        http.Response(200, "short"),
        http.Response(200, LONG, content_type="image/png"),
        http.Response(200, LONG, {"Content-Encoding": "br"}),
        http.Response(200, LONG, {"Cache-Control": "no-transform, max-age=5"}),
        http.Response(206, LONG),
        http.Response(200, parts(b"data: x\n\n"), content_type="text/event-stream"),
    ],
)
async def test_what_is_not_compressed(response):
    assert await ask(serving(response), "GET", "/", accept_encoding="gzip") is response


async def test_much_is_compressed_in_pieces():
    text = LONG * 200
    response = await ask(serving(http.Response(200, text)), "GET", "/", accept_encoding="gzip")
    assert response.body.length is None
    assert await content(response) == text.encode()


async def test_what_comes_slowly_can_be_read_at_once():
    response = http.Response(200, parts(b"one", b"two"), content_type="text/plain")
    answer = await ask(serving(response), "GET", "/", accept_encoding="gzip")
    inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)
    read = [inflate.decompress(part) async for part in answer.body]
    assert read[:2] == [b"one", b"two"]
    assert inflate.eof


async def test_head_has_the_same_fields_and_no_content():
    response = await ask(
        serving(http.Response(200, LONG * 20)), "HEAD", "/", accept_encoding="gzip"
    )
    assert response.fields["content-encoding"] == "gzip"
    assert await response.body.read(0) == b""


def test_limits():
    with pytest.raises(UsageError, match="level is 10"):
        http.compress(level=10)
