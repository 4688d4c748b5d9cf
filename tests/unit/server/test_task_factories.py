"""Servers work in a program with its own task factory; see tests/checks too."""

from __future__ import annotations

import asyncio

import pytest
from task_factory_plugin import FACTORIES

from pierhead import Server
from pierhead.protocols import lines


@pytest.mark.parametrize("name", FACTORIES)
async def test_a_request_that_waits_is_answered(name: str) -> None:
    asyncio.get_running_loop().set_task_factory(FACTORIES[name])

    async def slowly(line: str, context: object) -> str:
        await asyncio.sleep(0.001)
        return line.upper()

    async with Server(lines.serve(slowly), "tcp:127.0.0.1:0", request_timeout=5) as server:
        host, _, port = server.addresses[0].removeprefix("tcp:").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"a\nb\n")
        assert await reader.readline() == b"A\n"
        assert await reader.readline() == b"B\n"
        writer.close()
    assert not server.lost
