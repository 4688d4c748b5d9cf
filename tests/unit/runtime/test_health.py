"""What probes hear: not ready first, then drained."""

from __future__ import annotations

import asyncio

from pierhead import Server, connect
from pierhead.protocols import lines
from pierhead.runtime.health import Health, State
from pierhead.runtime.notify import Notifier
from pierhead.runtime.signals import Watchdog
from pierhead.runtime.stop import Serving


def test_a_server_is_ready_only_between_its_start_and_its_stop() -> None:
    health = Health()
    seen = []
    for state in State:
        health.state = state
        seen.append((state.value, health.has_started, health.is_ready))

    assert Health().state is State.STARTING
    assert seen == [
        ("starting", False, False),
        ("ready", True, True),
        ("draining", True, False),
        ("stopped", True, False),
    ]


async def test_a_lame_duck_is_not_ready_and_serves_as_before_until_its_time_is_up() -> None:
    health, said = Health(), []
    server = Server(lines.serve(lines.echo), "mem:duck")
    serving = Serving(
        server, Watchdog(), said.append, health=health, notifier=Notifier(), lame_duck_s=0.2
    )
    answers = []

    async def stop_and_ask() -> None:
        serving.stop("SIGTERM")
        while health.state is not State.DRAINING:
            await asyncio.sleep(0)
        async with connect("mem:duck", lines.wire_format()) as client:
            answers.append(await client.request("ahoy"))

    asking: list[asyncio.Task[None]] = []

    def on_ready(started: Server) -> None:
        assert health.state is State.STARTING
        asking.append(asyncio.create_task(stop_and_ask()))

    assert await serving.serve(on_ready)

    assert answers == ["ahoy"]
    assert health.state is State.STOPPED
    assert said[1:] == [
        "not ready, serving for 0.2 s; a second signal forces",
        "draining; a second signal forces",
    ]


async def test_a_second_signal_does_not_wait_for_a_lame_duck() -> None:
    said: list[str] = []
    serving = Serving(
        Server(lines.serve(lines.echo), "mem:duck"),
        Watchdog(),
        said.append,
        health=Health(),
        notifier=Notifier(),
        lame_duck_s=1000,
    )

    def on_ready(started: Server) -> None:
        serving.stop("SIGTERM")
        serving.force()

    async with asyncio.timeout(10):
        assert await serving.serve(on_ready)
    assert said[-1] == "draining; a second signal forces"
