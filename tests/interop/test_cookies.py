"""dig shows our cookies back to us, and does what we ask for when it has none."""

from __future__ import annotations

import asyncio
import re

import pytest

from pierhead.protocols import dns
from pierhead.server.server import Server

SITE = dns.static({"www.example.": dns.A("192.0.2.80")})


async def ask(path: str, port: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(path, "@127.0.0.1", "-p", port, "+tries=1", "+timeout=5", *arguments),
        *("www.example.", "A"),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    return printed.decode()


@pytest.fixture
async def port():
    """A server that requires a cookie from every client."""
    strict = dns.standard(SITE, cookies=dns.cookies(required=["0.0.0.0/0"]))
    async with Server(dns.serve(strict), "127.0.0.1:0") as server:
        yield server.addresses[0].rpartition(":")[2]


@pytest.mark.rfc("7873", "5.3")
async def test_dig_comes_back_with_the_cookie_that_it_was_given(program, port) -> None:
    text = await ask(program("dig"), port)

    assert "BADCOOKIE, retrying" in text
    assert "192.0.2.80" in text
    assert re.search(r"; COOKIE: [0-9a-f]{48} \(good\)", text)


@pytest.mark.rfc("7873", "5.2.3")
async def test_without_a_second_try_dig_sees_the_refusal_and_a_good_cookie(program, port) -> None:
    text = await ask(program("dig"), port, "+nobadcookie")

    assert "status: BADCOOKIE" in text
    assert re.search(r"; COOKIE: [0-9a-f]{48} \(good\)", text)
    assert "192.0.2.80" not in text


@pytest.mark.rfc("7873", "5.2.1")
async def test_a_client_without_cookies_is_sent_to_tcp_and_answered_there(program, port) -> None:
    path = program("dig")

    assert "flags: qr tc" in await ask(path, port, "+nocookie", "+ignore")
    whole = await ask(path, port, "+nocookie")
    assert "(TCP)" in whole
    assert "192.0.2.80" in whole
