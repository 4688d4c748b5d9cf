"""The HTTP client against Caddy, over TCP, TLS and a UNIX socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.processes import Running, free_port, wait_until

from pierhead.errors import ConnectError
from pierhead.protocols import http

SIZE = 30_000_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, int]]:
    from tests.processes import require_program

    folder = tmp_path_factory.mktemp("caddy")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "web.pem")
    )
    (folder / "large").write_bytes(bytes(range(256)) * (SIZE // 256))
    plain, secure = free_port(), free_port()
    routes = [
        {
            "match": [{"path": ["/large"]}],
            "handle": [{"handler": "file_server", "root": str(folder)}],
        },
        {
            "match": [{"path": ["/gone"]}],
            "handle": [{"handler": "static_response", "status_code": 410}],
        },
        {
            "handle": [
                {"handler": "static_response", "body": "{http.request.method} {http.request.uri}"}
            ]
        },
    ]
    pem = str(folder / "web.pem")
    config = {
        "admin": {"disabled": True},
        "apps": {
            "http": {
                "servers": {
                    "plain": {
                        "listen": [f"127.0.0.1:{plain}", f"unix/{folder}/web.sock"],
                        "routes": routes,
                        "automatic_https": {"disable": True},
                    },
                    "secure": {
                        "listen": [f"127.0.0.1:{secure}"],
                        "routes": routes,
                        "tls_connection_policies": [{}],
                        "automatic_https": {"disable": True},
                    },
                }
            },
            "tls": {"certificates": {"load_files": [{"certificate": pem, "key": pem}]}},
        },
    }
    (folder / "caddy.json").write_text(json.dumps(config))
    command = [require_program("caddy"), "run", "--config", str(folder / "caddy.json")]
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with Running(command, env=environment) as running:
        wait_until(
            lambda: any("serving initial configuration" in line for line in running.err), running
        )
        yield folder, plain, secure


def addresses(served: tuple[Path, int, int]) -> dict[str, str]:
    folder, plain, secure = served
    return {
        "tcp": f"http://127.0.0.1:{plain}",
        "unix": f"unix:{folder}/web.sock",
        "tls": f"tls+tcp:localhost:{secure}?ca={folder}/ca.pem",
    }


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
async def test_requests_of_every_kind_are_answered(served, kind) -> None:
    async with http.Client(addresses(served)[kind]) as client:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(client.get(f"/{n}")) for n in range(30)]
        assert [await one.result().text() for one in asked] == [f"GET /{n}" for n in range(30)]
        assert (await client.get("/gone")).status == 410
        assert (await client.head("/")).status == 200
        assert await (await client.post("/", json={"a": 1})).text() == "POST /"
        digest = hashlib.sha256()
        response = await client.get("/large")
        async for part in response.body:
            digest.update(part)
    assert digest.digest() == hashlib.sha256((served[0] / "large").read_bytes()).digest()


async def test_a_certificate_of_nobody_known_is_refused(served) -> None:
    async with http.Client(f"https://localhost:{served[2]}") as client:
        with pytest.raises(ConnectError, match="certificate"):
            await client.get("/")


async def test_a_part_of_a_large_response_is_enough(served) -> None:
    async with http.Client(addresses(served)["tcp"]) as client:
        async with await client.get("/large") as response:
            assert await anext(aiter(response.body))
        assert await (await client.get("/next")).text() == "GET /next"
