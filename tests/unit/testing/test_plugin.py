from __future__ import annotations

import asyncio

import pytest

from pierhead.client.dial import dial_stream
from pierhead.protocols import lines
from pierhead.testing import HeldClock, HeldLoop, Network
from pierhead.testing.plugin import ServerFixture

pytest_plugins = ("pytester",)

SUITE = """
import asyncio

import pytest

from pierhead.testing import HeldClock, HeldLoop, Network


async def test_clock(clock):
    assert isinstance(asyncio.get_running_loop(), HeldLoop)
    await clock.advance(3600)


@pytest.mark.parametrize("number", [1, 2])
async def test_network(network, number):
    assert network is Network.current()


class TestMethods:
    async def test_both(self, clock, network):
        assert clock is HeldClock.current()
        assert network is Network.current()


async def test_failure(clock):
    assert clock is None


def test_plain(clock):
    assert clock.wall() > 0
"""

ASYNCIO_SUITE = """
import asyncio

import pytest

from pierhead.testing import HeldLoop


@pytest.mark.asyncio
async def test_real_time():
    assert not isinstance(asyncio.get_running_loop(), HeldLoop)


@pytest.mark.asyncio
async def test_marked_and_held(clock):
    assert isinstance(asyncio.get_running_loop(), HeldLoop)
"""


@pytest.mark.parametrize("mode", ["auto", "strict", "without"])
def test_coroutine_tests_run_with_and_without_pytest_asyncio(pytester, mode):
    pytester.makepyfile(test_suite=SUITE)
    arguments = ["-p", "no:asyncio"] if mode == "without" else ["-o", f"asyncio_mode={mode}"]
    if mode != "without":
        pytester.makepyfile(test_asyncio=ASYNCIO_SUITE)
        arguments += ["-o", "asyncio_default_fixture_loop_scope=function"]
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(passed=5 if mode == "without" else 7, failed=1)
    result.stdout.fnmatch_lines(["*assert * is None*"])


async def test_the_fixtures_belong_to_the_running_loop(clock, network):
    assert isinstance(asyncio.get_running_loop(), HeldLoop)
    assert clock is HeldClock.current()
    assert network is Network.current()


async def test_each_test_has_its_own_network(network):
    assert network.streams == {}
    assert network.datagrams == {}


class Line(asyncio.Protocol):
    def __init__(self):
        self.received = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.received.set_result(data)


async def shout(line, context):
    return line.upper()


async def test_a_server_answers_in_memory(server, network):
    network.between("a", "b").delay(1.0)
    running = await server(lines.serve(shout), "mem:b")
    assert list(running.addresses) == ["mem:b"]
    line = Line()
    before = HeldClock.current().monotonic()
    transport = await dial_stream("mem:b", lambda: line, source="mem:a")
    transport.write(b"hello\n")
    assert await line.received == b"HELLO\n"
    assert HeldClock.current().monotonic() == pytest.approx(before + 2)
    transport.close()


async def test_a_server_is_drained_when_the_test_ends(network):
    servers = ServerFixture()

    async def test():
        await servers(lines.serve(shout), "mem:b")
        assert "b" in network.streams

    await servers.around(test)
    assert network.streams == {}


OTHER_RUNNERS = """
import pytest
from hypothesis import given, strategies


@pytest.mark.anyio
async def test_of_anyio(clock):
    pass


@pytest.mark.trio
async def test_of_trio(network):
    pass


@given(strategies.integers())
async def test_of_hypothesis(server, number):
    pass


@pytest.mark.anyio
def test_plain_functions_run_nowhere(clock):
    assert clock.wall() > 0
"""


def test_a_test_that_another_runner_would_run_is_refused_with_the_remedy(pytester):
    pytester.makepyfile(test_suite=OTHER_RUNNERS)
    pytester.makeini("[pytest]\nmarkers = trio: run by trio")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1, errors=3)
    result.stdout.fnmatch_lines(
        [
            "*clock: *anyio*remove @pytest.mark.anyio*",
            "*network: *trio*remove @pytest.mark.trio*",
            "*server: *hypothesis*HeldLoop*inside*",
        ]
    )
