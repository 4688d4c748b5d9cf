import asyncio
import os
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.errors import PierheadError, UsageError
from pierhead.protocols import http
from pierhead.protocols.http.filters.file_content import Content

from .asking import ask

TEXT = bytes(range(256)) * 1000


class Wall:
    monotonic = staticmethod(lambda: 0.0)

    def __init__(self, now):
        self.now = now

    def wall(self):
        return self.now


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("files")
    inside = top / "static"
    (inside / "sub" / "deep").mkdir(parents=True)
    (top / "secret.txt").write_text("secret")
    (top / "static-not").mkdir()
    (top / "static-not" / "secret.txt").write_text("secret")
    for name, octets in {
        "a.txt": b"text",
        "index.html": b"<p>home",
        "sub/index.html": b"<p>sub",
        "sub/a b.js": b"x",
        "big.bin": TEXT,
        "empty": b"",
        "page.svg": b"<svg/>",
        "x.tar.gz": b"z",
        ".hidden": b"secret",
    }.items():
        (inside / name).write_bytes(octets)
        os.utime(inside / name, (1_000_000_000, 1_000_000_000))
    (inside / "out.txt").symlink_to(top / "secret.txt")
    (inside / "outside").symlink_to(top)
    (inside / "beside").symlink_to(top / "static-not")
    (inside / "within.txt").symlink_to("a.txt")
    (inside / "loop").symlink_to("loop")
    os.mkfifo(inside / "pipe")
    return inside


async def read(response):
    return response.status, await response.body.read(10**7)


@pytest.mark.parametrize(
    ("target", "content", "media"),
    [
        ("/a.txt", b"text", "text/plain; charset=utf-8"),
        ("/", b"<p>home", "text/html; charset=utf-8"),
        ("/sub/", b"<p>sub", "text/html; charset=utf-8"),
        ("/sub/a%20b.js", b"x", "text/javascript; charset=utf-8"),
        ("/big.bin", TEXT, "application/octet-stream"),
        ("/empty", b"", "application/octet-stream"),
        ("/page.svg", b"<svg/>", "image/svg+xml"),
        ("/x.tar.gz", b"z", "application/gzip"),
        ("/within.txt", b"text", "text/plain; charset=utf-8"),
    ],
)
async def test_files_are_sent_with_their_types(folder, target, content, media):
    response = await ask(http.files(folder), "GET", target)
    assert response.body.length == len(content)
    assert response.fields["content-type"] == media
    assert response.fields["x-content-type-options"] == "nosniff"
    assert await read(response) == (200, content)


@pytest.mark.parametrize(
    "target",
    [
        *("/none", "/a.txt/", "/a.txt/b", "/sub/deep/", "/.hidden", "/pipe", "/loop"),
        *("/out.txt", "/outside/secret.txt", "/outside/", "/outside", "/beside/secret.txt"),
        *("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/sub/../../secret.txt"),
        *(
            "//etc/passwd",
            "/%2fetc/passwd",
            "/..%5csecret.txt",
            "/C:/x",
            "/a.txt%00",
            "/a.txt::$DATA",
        ),
        *("/%ff", "/" + "x" * 300, "/" + "x/" * 3000),
    ],
)
async def test_nothing_else_is_sent(folder, target):
    assert (await ask(http.files(folder), "GET", target)).status == 404


def _every_octet(name):
    return "".join(f"%{octet:02x}" for octet in name.encode())


NAMES = st.one_of(
    st.sampled_from(["..", ".", "", "sub", "deep", "outside", "out.txt", "secret.txt", "beside"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
ENCODINGS = st.sampled_from([str, quote, lambda name: quote(name, safe=""), _every_octet])


@given(
    st.lists(st.tuples(NAMES, ENCODINGS), max_size=6), st.sampled_from(["/", "%2f", "%5C", "\\"])
)
def test_no_path_leaves_the_folder(folder, names, separator):
    target = "/" + separator.join(encode(name) for name, encode in names)
    response = asyncio.run(ask(http.files(folder), "GET", target))
    content = asyncio.run(response.body.read(10**6))
    assert b"secret" not in content
    assert response.status in (200, 308, 404)


async def test_a_folder_without_its_slash_is_elsewhere(folder):
    below = http.path("static") & http.files(folder)
    response = await ask(below, "GET", "/static/sub")
    assert (response.status, response.fields["location"]) == (308, "./sub/")
    assert (await read(await ask(below, "GET", "/static/sub/")))[1] == b"<p>sub"
    assert (await ask(http.files(folder, index=""), "GET", "/sub/")).status == 404
    assert (await ask(http.files(folder, index=""), "GET", "/sub")).status == 404


async def test_files_are_one_of_the_alternatives(folder):
    said = (http.path("said") & http.post()).map(lambda: "said")
    site = http.files(folder) | http.path("chat").map(lambda: "chat") | said
    assert (await ask(site, "GET", "/said")).status == 405
    assert await read(await ask(site, "GET", "/chat")) == (200, b"chat")
    assert (await ask(site, "POST", "/a.txt")).fields["allow"] == "GET, HEAD"


@pytest.mark.rfc("9110", "9.3.2")
async def test_head_has_the_length_and_no_content(folder):
    response = await ask(http.files(folder, cache_control="max-age=60"), "HEAD", "/big.bin")
    assert (response.body.length, await response.body.read(10**6)) == (256_000, b"")
    assert response.fields["cache-control"] == "max-age=60"


@pytest.mark.rfc("9110", "15.4.5")
async def test_what_a_client_has_is_not_sent_again(folder):
    files = http.files(folder)
    first = await ask(files, "GET", "/a.txt")
    again = await ask(files, "GET", "/a.txt", if_none_match=first.fields["etag"])
    assert await read(again) == (304, b"")
    assert again.fields["etag"] == first.fields["etag"]
    since = first.fields["last-modified"]
    assert (await ask(files, "GET", "/a.txt", if_modified_since=since)).status == 304
    assert (await ask(files, "GET", "/a.txt", if_match='"x"')).status == 412


@pytest.mark.rfc("9110", "15.3.7")
async def test_a_range_is_a_part_of_the_file(folder):
    files = http.files(folder)
    response = await ask(files, "GET", "/big.bin", range="bytes=65530-131080")
    assert await read(response) == (206, TEXT[65530:131081])
    assert response.fields["content-range"] == "bytes 65530-131080/256000"
    current = response.fields["etag"]
    assert (await ask(files, "GET", "/big.bin", range="bytes=1-2", if_range=current)).status == 206
    assert (await ask(files, "GET", "/big.bin", range="bytes=1-2", if_range='"x"')).status == 200
    assert (await ask(files, "HEAD", "/big.bin", range="bytes=1-2")).status == 200
    refused = await ask(files, "GET", "/big.bin", range="bytes=256000-")
    assert (refused.status, refused.fields["content-range"]) == (416, "bytes */256000")


@pytest.mark.rfc("9110", "14.6")
async def test_several_ranges_are_parts_of_a_message(folder):
    response = await ask(http.files(folder), "GET", "/a.txt", range="bytes=0-0,-2")
    boundary = response.fields["content-type"].partition("boundary=")[2]
    length = response.body.length
    _, content = await read(response)
    assert len(content) == length
    head = f"\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes "
    wanted = f"{head}0-0/4\r\n\r\nt{head}2-3/4\r\n\r\nxt\r\n--{boundary}--\r\n"
    assert content == wanted.encode()


@pytest.mark.rfc("9110", "8.8.1")
async def test_a_file_that_may_change_again_has_a_weak_tag(folder):
    fresh = http.files(folder, clock=Wall(1_000_000_000.5))
    assert (await ask(fresh, "GET", "/a.txt")).fields["etag"].startswith("W/")
    settled = http.files(folder, clock=Wall(1_000_000_002))
    assert not (await ask(settled, "GET", "/a.txt")).fields["etag"].startswith("W/")


async def test_one_file_comes_and_goes(tmp_path):
    place = tmp_path / "robots.txt"
    site = http.path("robots.txt") & http.file(place)
    assert (await ask(site, "GET", "/robots.txt")).status == 404
    place.write_text("x")
    assert await read(await ask(site, "GET", "/robots.txt")) == (200, b"x")
    assert (await ask(http.file(tmp_path), "GET", "/")).status == 404


async def test_a_file_that_is_cut_while_it_is_sent_is_an_error(tmp_path):
    place = tmp_path / "a"
    place.write_bytes(b"abc")
    response = await ask(http.file(place), "GET", "/")
    place.write_bytes(b"a")
    with pytest.raises(PierheadError, match="cut to 1 octets while it was sent, expected 3"):
        await response.body.read(10)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by /proc")
@pytest.mark.parametrize("fields", [{}, {"range": "bytes=0-1,70000-70001"}])
async def test_a_file_is_open_only_while_it_is_sent(folder, fields):
    def is_open():
        names = (f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd"))
        return any(os.path.realpath(one) == str(folder / "big.bin") for one in names)

    response = await ask(http.files(folder), "GET", "/big.bin", **fields)
    assert not is_open()
    parts = aiter(response.body)
    seen = [is_open() async for _ in parts]
    assert seen[-2]
    assert not is_open()
    left = aiter((await ask(http.files(folder), "GET", "/big.bin")).body)
    await anext(left)
    assert is_open()
    await left.aclose()
    assert not is_open()


async def test_a_file_that_is_replaced_before_it_is_sent_is_an_error(tmp_path):
    place = tmp_path / "a"
    place.write_bytes(b"abc")
    response = await ask(http.file(place), "GET", "/")
    (tmp_path / "b").write_bytes(b"other")
    os.replace(tmp_path / "b", place)
    with pytest.raises(PierheadError, match="was replaced before it was sent"):
        await response.body.read(10)


def test_a_file_that_a_thread_opens_for_nobody_is_closed(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)
    content = Content(lambda: descriptor)
    assert content._read(5, 0) == b"abc"
    del content
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_a_folder_must_exist(tmp_path):
    with pytest.raises(UsageError, match="is not a folder; create it"):
        http.files(tmp_path / "none")
