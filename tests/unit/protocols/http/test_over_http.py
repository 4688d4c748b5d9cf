"""Messages over HTTP, asked by the HTTP client on the memory network."""

from __future__ import annotations

import base64
import contextlib

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import dns, http, lines
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.zone.zone import Zones
from pierhead.service.admission import Answer, Drop

TYPE = "application/dns-message"
QUERY = bytes.fromhex("00000100000100000000000003777777076578616d706c650000010001")
ZONE = b"@ 300 SOA ns h 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.1\nwww 50 A 192.0.2.2\n"


def text_of(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


@contextlib.asynccontextmanager
async def client_of(server):
    endpoint = dns.serve(ZoneService(Zones([dns.parse_zone(ZONE, origin="example.")])))
    service = http.messages(
        endpoint.stream.handler, TYPE, max_age=dns.max_age, admission=endpoint.admission
    )
    await server(http.serve(service), "mem:doh")
    async with http.Client("mem:doh") as client:
        yield client


@pytest.mark.rfc("8484", "4.1")
async def test_a_message_comes_by_post_or_get(network, server):
    async with client_of(server) as asked:
        by_post = await asked.post("/dns-query", body=QUERY, fields={"Content-Type": TYPE})
        by_get = await asked.get("/dns-query", query={"dns": text_of(QUERY)})
        for response in (by_post, by_get):
            assert response.status == 200
            assert response.fields["content-type"] == TYPE
            assert (await response.read()).endswith(bytes([192, 0, 2, 2]))
        assert by_get.fields["cache-control"] == "max-age=50"


@pytest.mark.rfc("8484", "4.2.1")
async def test_a_refusal_of_dns_is_a_success_of_http(network, server):
    async with client_of(server) as asked:
        other = QUERY.replace(b"example", b"elsewhe")
        response = await asked.get("/dns-query", query={"dns": text_of(other)})
        assert response.status == 200
        assert "cache-control" not in response.fields
        assert (await response.read())[3] & 15 == 5


async def test_a_malformed_query_gets_its_formerr(network, server):
    async with client_of(server) as asked:
        response = await asked.get("/dns-query", query={"dns": text_of(QUERY[:-1])})
        assert (response.status, (await response.read())[3] & 15) == (200, 1)


@pytest.mark.rfc("8484", "4.2.1")
@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/dns-query", {}, 400),
        ("GET", "/dns-query?dns=a&dns=b", {}, 400),
        ("GET", "/dns-query?dns=" + text_of(QUERY) + "%3D", {}, 400),
        ("GET", "/dns-query?dns=a*b", {}, 400),
        ("GET", "/dns-query?dns=%C3%A4", {}, 400),
        ("GET", "/dns-query?dns=", {}, 403),
        ("PUT", "/dns-query", {"body": QUERY}, 405),
        ("POST", "/dns-query", {"body": QUERY}, 415),
        ("POST", "/dns-query", {"body": QUERY, "fields": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/dns-query", {"body": bytes(65_536), "fields": {"Content-Type": TYPE}}, 413),
        (
            "POST",
            "/dns-query",
            {"body": QUERY[:2] + b"\x80" + QUERY[3:], "fields": {"Content-Type": TYPE}},
            403,
        ),
    ],
)
async def test_what_is_no_message_is_refused_as_http_says(
    network, server, method, path, options, status
):
    async with client_of(server) as asked:
        response = await asked.request(method, path, **options)
        assert response.status == status
        assert response.fields["content-type"] == "application/problem+json"
        assert ("allow" in response.fields) == (status == 405)


async def test_checks_on_messages_hold_over_http(network, server):
    def check(frame, peer, via):
        if frame == b"answered":
            return Answer("known", b"at once")
        return Drop("unwanted") if frame == b"dropped" else None

    endpoint = lines.serve(shout, admission=[check])
    service = http.messages(
        endpoint.stream.handler, "text/plain", path="/", admission=endpoint.admission
    )
    await server(http.serve(service), "mem:lines")
    async with http.Client("mem:lines") as client:
        for line, status, text in (
            ("hello", 200, "HELLO"),
            ("answered", 200, "at once"),
            ("silent", 403, None),
            ("dropped", 403, None),
            ("many", 400, None),
            ("fails", 500, None),
        ):
            response = await client.post(body=line)
            assert (response.status, line) == (status, line)
            if text is not None:
                assert await response.text() == text


async def shout(line, context):
    if line == "silent":
        return None
    if line == "many":
        return lines_of(line)
    if line == "fails":
        raise RuntimeError("a bug")
    return line.upper()


async def lines_of(line):
    yield line


def test_an_endpoint_without_frames_has_no_messages():
    async def web(request, context):
        return "x"

    async def talk(conversation): ...

    with pytest.raises(UsageError, match="no streams of frames"):
        http.beside(lines.converse(talk), TYPE)
