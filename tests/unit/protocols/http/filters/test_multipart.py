import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.errors import UsageError
from pierhead.protocols import http

from .asking import CONTEXT, answer

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nA picture\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="../a.png"\r\n'
    b"Content-Type: image/PNG\r\n\r\n\x89PNG\r\n--c\r\n\r\n--b--\r\n"
)
MEDIA = {"content_type": "multipart/form-data; boundary=b"}
READ = [
    ("title", None, "text/plain", b"A picture"),
    ("file", "../a.png", "image/png", b"\x89PNG\r\n--c\r\n"),
]


async def whole(parts) -> str:
    return repr([(p.name, p.filename, p.content_type, await p.read(100)) async for p in parts])


async def names(parts) -> str:
    return repr([part.name async for part in parts])


@pytest.mark.rfc("7578", "4.2")
async def test_parts_are_fields_and_files():
    filters = http.multipart().then(whole)
    assert await answer(filters, "POST", "/", FORM, **MEDIA) == (200, repr(READ))


async def test_a_part_that_is_not_read_is_skipped():
    filters = http.multipart().then(names)
    assert await answer(filters, "POST", "/", FORM, **MEDIA) == (200, "['title', 'file']")


@pytest.mark.rfc("2046", "5.1.1")
async def test_what_is_before_the_first_boundary_and_after_the_last_is_ignored():
    content = b"preamble\r\n" + FORM + b"epilogue"
    found = await answer(http.multipart().then(whole), "POST", "/", content, **MEDIA)
    assert found == (200, repr(READ))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_how_the_content_is_cut_changes_nothing(sizes):
    async def cut():
        rest, at = FORM, 0
        while rest:
            size = sizes[at % len(sizes)]
            yield rest[:size]
            rest, at = rest[size:], at + 1

    fields = {"content-type": "multipart/form-data; boundary=b"}
    request = http.Request("POST", "/", fields, http.Body(cut()))
    response = asyncio.run(http.multipart().then(whole)(request, CONTEXT))
    assert response.body.ready == repr(READ).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (FORM[:-20], "Unexpected end of multipart stream"),
        (b"x" * 100, "Unexpected end"),
        (b"", "Unexpected end"),
        (b"--b\r\nX: " + b"x" * 10_000, "header length exceeded"),
        (b"--b\r\n" + b"X: y\r\n" * 20, "header count exceeded"),
    ],
)
async def test_what_is_malformed_is_refused(content, said):
    status, detail = await answer(http.multipart().then(names), "POST", "/", content, **MEDIA)
    assert status == 400
    assert said.lower() in detail.lower()


async def test_limits():
    filters = http.multipart(max_parts=1).then(names)
    status, detail = await answer(filters, "POST", "/", FORM, **MEDIA)
    assert (status, "segment count" in detail) == (400, True)

    async def short(parts) -> str:
        return repr([await part.read(5) async for part in parts])

    found = await answer(http.multipart().then(short), "POST", "/", FORM, **MEDIA)
    assert found == (413, "part 'title' has more than 5 octets")
    with pytest.raises(UsageError, match="max_parts is 0"):
        http.multipart(max_parts=0)


@pytest.mark.parametrize(
    "media", ["text/plain", "multipart/form-data", "multipart/mixed; boundary=b"]
)
async def test_another_media_type_is_refused(media):
    found = await answer(http.multipart().then(names), "POST", "/", FORM, content_type=media)
    assert found == (415, "expected multipart/form-data with a boundary")
