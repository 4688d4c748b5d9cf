import pytest

from pierhead.protocols.http import Body
from pierhead.protocols.http.wire.body import ContentTooLarge


async def parts(*octets):
    for part in octets:
        yield part


async def test_content_is_read_whole_and_again():
    body = Body(parts(b"a", b"bc"))
    assert body.ready is None
    assert await body.read(3) == b"abc"
    assert await body.read(3) == body.ready == b"abc"
    assert [part async for part in body] == [b"abc"]


@pytest.mark.parametrize("body", [Body(b"abc"), Body(parts(b"a", b"bc")), Body(parts(), length=3)])
async def test_content_over_its_limit_is_refused(body):
    with pytest.raises(ContentTooLarge):
        await body.read(2)


async def test_empty_content_has_no_part():
    assert [part async for part in Body()] == []
    assert Body().length == 0
