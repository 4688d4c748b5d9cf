"""The pytest plugin: fixtures for tests without sockets and without sleep.

    async def test_answers_after_loss(network, server):
        network.between("a", "b").lose(0.3, seed=7)
        await server(dns.serve(site), "memgram:b")
        reply = await dns.query("memgram:b", "www.example.", "A", source="memgram:a")

A coroutine test that uses one of `network`, `clock` and `server` runs on a `HeldLoop`: its time
moves when the test moves it, or when nothing else can happen. It needs no other plugin, and
coexists with pytest-asyncio: asynchronous fixtures of pytest-asyncio run on pytest-asyncio's event
loop, which has another clock and another network.

Pierhead is imported when a fixture is first used: pytest loads this module in every run.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Unpack

import pytest

if TYPE_CHECKING:
    from pierhead.address import ListenSpec
    from pierhead.buffer import BufferSource
    from pierhead.clock import Clock
    from pierhead.failure_log import OnError
    from pierhead.listener.base import Listener
    from pierhead.listener.process_sockets import ProcessSockets
    from pierhead.metrics import Metrics
    from pierhead.net.memory import Network
    from pierhead.server.endpoint import Application, Endpoint
    from pierhead.server.options import ServerLimits
    from pierhead.server.server import Server
    from pierhead.server.stream import OnAccept
    from pierhead.testing.clock import HeldClock

__all__ = ["ServerFixture"]


class ServerFixture:
    """Starts servers inside a test: ``await server(endpoint, "memgram:b", request_timeout=1)``.

    Each is drained when the test ends, in reverse order of starting.
    """

    def __init__(self) -> None:
        self._started = AsyncExitStack()

    async def __call__(
        self,
        what: Endpoint | Application,
        *addresses: str | ListenSpec | Listener,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        buffers: BufferSource | None = None,
        on_error: OnError | None = None,
        on_accept: OnAccept | None = None,
        process_sockets: ProcessSockets | None = None,
        **limits: Unpack[ServerLimits],
    ) -> Server:
        """Start a server; the arguments are those of `Server`, the clock is the test's."""
        from pierhead.server.server import Server
        from pierhead.testing.clock import HeldClock

        made = Server(
            what,
            *addresses,
            clock=clock or HeldClock.current(),
            metrics=metrics,
            buffers=buffers,
            on_error=on_error,
            on_accept=on_accept,
            process_sockets=process_sockets,
            **limits,
        )
        return await self._started.enter_async_context(made)

    async def around(self, test: Callable[[], Awaitable[object]]) -> None:
        """Await a test, then drain the servers it started."""
        async with self._started:
            await test()


@pytest.fixture
def _held_runner() -> Iterator[asyncio.Runner]:
    from pierhead.testing.clock import HeldLoop

    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        yield runner


@pytest.fixture
def clock(_held_runner: asyncio.Runner) -> HeldClock:
    """The clock that this test controls: ``await clock.advance(5)``."""
    clock: HeldClock = _held_runner.get_loop().clock  # type: ignore[attr-defined]  # a HeldLoop
    return clock


@pytest.fixture
def network(_held_runner: asyncio.Runner) -> Network:
    """The memory network of this test: ``network.between("a", "b").lose(0.3, seed=7)``."""
    from pierhead.net.memory import Network

    return Network.of(_held_runner.get_loop())


@pytest.fixture
def server(_held_runner: asyncio.Runner) -> ServerFixture:
    """A function that starts a server and drains it at the end of the test."""
    return ServerFixture()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a coroutine test with a held clock that another runner would run."""
    if not isinstance(item, pytest.Function) or "_held_runner" not in item.fixturenames:
        return
    refusal = _why_not_ours(item)
    if refusal:
        held = [name for name in ("clock", "network", "server") if name in item.fixturenames]
        pytest.fail(f"{', '.join(held)}: {refusal}", pytrace=False)


def _why_not_ours(item: pytest.Function) -> str | None:
    """Return which runner has the test, and the remedy; None if it is left to this plugin."""
    drawn = getattr(getattr(item.obj, "hypothesis", None), "inner_test", None)
    if inspect.iscoroutinefunction(drawn):
        return (
            "hypothesis calls this test once per example, and cannot await it; make it a plain "
            "function that runs its coroutine on a HeldLoop: with asyncio.Runner("
            "loop_factory=HeldLoop) as runner, inside the test"
        )
    if not inspect.iscoroutinefunction(inspect.unwrap(item.obj)):
        return None
    for name in ("anyio", "trio"):
        if item.get_closest_marker(name) is not None:
            return (
                f"{name} would run this test on an event loop with another clock and another "
                f"network; remove @pytest.mark.{name}; the fixture runs the test itself"
            )
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test with a held clock; leave every other to its runner."""
    runner = pyfuncitem.funcargs.get("_held_runner")
    if not isinstance(runner, asyncio.Runner):
        return None
    # pytest-asyncio has put a plain function around the coroutine function.
    function = inspect.unwrap(pyfuncitem.obj, stop=inspect.iscoroutinefunction)
    if not inspect.iscoroutinefunction(function):
        return None
    names = inspect.signature(function).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names if name in pyfuncitem.funcargs}
    servers = pyfuncitem.funcargs.get("server")
    if not isinstance(servers, ServerFixture):
        servers = ServerFixture()
    runner.run(servers.around(lambda: function(**arguments)))
    return True
