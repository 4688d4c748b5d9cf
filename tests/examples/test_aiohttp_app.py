"""The aiohttp example: one application, the same state on both addresses, and a WebSocket."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from tests.examples.test_examples import example


async def test_both_addresses_reach_the_same_application(tmp_path: Path) -> None:
    with example("aiohttp_app.py", tmp_path) as at:
        path = str(tmp_path / "app.sock")
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            async with session.get("http://localhost/hello/pier") as response:
                assert await response.text() == "Hello pier, visit 1\n"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{at['tcp']}/hello/pier") as response:
                assert await response.text() == "Hello pier, visit 2\n"
            async with session.ws_connect(f"http://{at['tcp']}/shout") as ws:
                await ws.send_str("ahoy")
                assert await ws.receive_str() == "AHOY"
