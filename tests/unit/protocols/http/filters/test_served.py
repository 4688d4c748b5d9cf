"""Filters behind the server of HTTP/1.1, asked by a client, in memory."""

import dataclasses
import os

from pierhead import stack
from pierhead.protocols import http


@dataclasses.dataclass
class Data:
    number: int
    boolean: bool


async def test_a_typed_value_there_and_back(server):
    received = (http.path("data") & http.post() & http.json(Data)).map(lambda d: f"Received: {d}")
    await server(http.serve(received), "mem:a")
    async with http.Client("mem:a") as client:
        response = await client.post("/data", json=Data(5, True))
        assert await response.text() == "Received: Data(number=5, boolean=True)"
        refused = await client.get("/data")
        assert (refused.status, refused.fields["allow"]) == (405, "POST")
        missing = await client.get("/other")
        assert missing.status == 404


async def test_files_ranges_and_head_share_a_connection(server, tmp_path):
    octets = os.urandom(200_000)
    (tmp_path / "a.bin").write_bytes(octets)
    (tmp_path / "a.txt").write_text("text " * 1000)
    await server(http.serve(stack(http.files(tmp_path), http.compress())), "mem:a")
    async with http.Client("mem:a") as client:
        assert await (await client.get("/a.bin")).read() == octets
        head = await client.head("/a.bin")
        assert (head.fields["content-length"], await head.read()) == ("200000", b"")
        part = await client.get("/a.bin", fields={"Range": "bytes=70000-"})
        assert (part.status, await part.read()) == (206, octets[70_000:])
        text = await client.get("/a.txt", fields={"Accept-Encoding": "gzip"})
        assert text.fields["content-encoding"] == "gzip"
        again = await client.get("/a.bin", fields={"If-None-Match": part.fields["etag"]})
        assert again.status in (200, 304)  # a file as young as this has a weak tag
        assert (await client.get("/none")).status == 404


async def test_too_much_content_is_refused_without_reading_it(server):
    filters = (http.put() & http.text(max_bytes=5)).map(str)
    await server(http.serve(filters), "mem:a")
    async with http.Client("mem:a") as client:
        fields = {"Content-Type": "text/plain"}
        assert (await client.put("/", body=b"12345", fields=fields)).status == 200
        assert (await client.put("/", body=b"123456", fields=fields)).status == 413


async def test_events_arrive_one_by_one(server):
    async def count():
        for number in range(3):
            yield str(number)

    await server(http.serve(http.get().map(lambda: http.events(count()))), "mem:a")
    async with http.Client("mem:a") as client:
        response = await client.get("/")
        assert await response.text() == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
