"""All streams of an event loop share one budget of frames per iteration."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from typing import Any

import pytest
from fakes import Bench, settle

from pierhead.address import ListenSpec
from pierhead.client.dial import dial_stream
from pierhead.codec import Lines
from pierhead.connection.frame_budget import FrameBudget
from pierhead.protocols import lines
from pierhead.server.framed import framed
from pierhead.server.server import Server
from pierhead.service import FrameHandler
from pierhead.service.context import Context

PER_TURN, SHARE = 128, 32


class Crowd:
    """Some connections of one server, and which were served in which iteration of the loop."""

    def __init__(self, number: int, *, ready: bool) -> None:
        self.turn = 0  # of the loop
        self._tick()
        self.served: list[tuple[int, bytes]] = []
        self.budget = FrameBudget()

        async def service(frame: bytes, context: Any) -> bytes:
            self.served.append((self.turn, frame))
            return frame

        def answer_now(frame: bytes, peer: Any, via: Any) -> bytes:
            self.served.append((self.turn, frame))
            return frame

        handler = FrameHandler(service, answer_now=answer_now if ready else None)
        self.benches = [Bench(framed(handler, Lines()), budget=self.budget) for _ in range(number)]

    def _tick(self) -> None:
        self.turn += 1
        asyncio.get_running_loop().call_soon(self._tick)

    async def run(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def in_turn(self, turn: int) -> list[bytes]:
        return [frame for at, frame in self.served if at == turn]


@pytest.mark.parametrize("ready", [False, True])
async def test_no_iteration_takes_more_frames_than_the_budget_however_many_pipeline(
    ready: bool,
) -> None:
    crowd = Crowd(50, ready=ready)
    for number, it in enumerate(crowd.benches):
        it.feed(b"%d\n" % number * 500)
    await crowd.run(300)
    assert len(crowd.served) == 50 * 500
    busiest = max(len(crowd.in_turn(turn)) for turn in range(crowd.turn + 1))
    assert SHARE <= busiest <= PER_TURN
    assert all(it.output.count(b"\n") == 500 for it in crowd.benches)


async def test_pipelining_connections_are_served_round_robin() -> None:
    crowd = Crowd(8, ready=True)
    for number, it in enumerate(crowd.benches):
        it.feed(b"%d\n" % number * 500)
    await crowd.run(5)
    counts = [sum(frame == b"%d" % n for _, frame in crowd.served) for n in range(8)]
    # The first was alone when it began.
    assert max(counts[1:]) - min(counts[1:]) <= SHARE
    assert min(counts) > 0


async def test_one_request_does_not_wait_behind_hundreds_of_pipelining_connections() -> None:
    crowd = Crowd(300, ready=True)
    *flood, quiet = crowd.benches
    for it in flood:
        it.feed(b"x\n" * 500)
    await crowd.run(40)  # each of them has had a share
    quiet.feed(b"hello\n")
    asked_in = crowd.turn
    await crowd.run(4)
    answered_in = next(turn for turn, frame in crowd.served if frame == b"hello")
    assert answered_in - asked_in <= 2


async def test_new_connections_do_not_starve_the_others() -> None:
    budget = FrameBudget()
    served: list[str] = []

    def once_more(name: str, has_had_a_share: bool) -> None:
        def go_on() -> None:
            served.append(name)
            budget.left -= SHARE
            once_more(name, has_had_a_share)

        budget.wait(go_on, has_had_a_share=has_had_a_share)

    for number in range(9):
        once_more(f"new {number}", False)
    once_more("old", True)
    await settle(30)
    assert served.count("old") >= 20


async def test_a_connection_that_raises_does_not_block_the_others() -> None:
    budget = FrameBudget()
    served: list[str] = []

    def interrupted() -> None:
        raise RuntimeError("as the user's interruption would be")

    budget.wait(interrupted, has_had_a_share=False)
    budget.wait(lambda: served.append("next"), has_had_a_share=False)
    budget.wait(lambda: served.append("last"), has_had_a_share=True)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    await settle()
    assert served == ["next", "last"]


async def test_a_single_connection_has_the_whole_budget() -> None:
    crowd = Crowd(1, ready=True)
    crowd.benches[0].feed(b"x\n" * 1000)
    await crowd.run(12)
    assert [len(crowd.in_turn(turn)) for turn in (1, 2, 3)] == [PER_TURN] * 3
    assert len(crowd.served) == 1000


async def test_input_stays_with_the_peer_while_the_connection_waits_for_budget() -> None:
    crowd = Crowd(10, ready=True)
    for it in crowd.benches:
        it.feed(b"x\n" * 1000)
    assert not crowd.benches[-1].transport.reading
    await crowd.run(200)
    assert crowd.benches[-1].transport.reading


class Pipelining(asyncio.Protocol):
    """A client that sends everything at once."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self.data)


async def test_the_servers_of_one_loop_share_its_budget() -> None:
    turn, served = 0, Counter[int]()

    def tick() -> None:
        nonlocal turn
        turn += 1
        asyncio.get_running_loop().call_soon(tick)

    async def count(line: str, context: Context) -> None:
        served[turn] += 1

    tick()
    async with (
        Server(lines.serve(count), "mem:one"),
        Server(lines.serve(count), "mem:two"),
    ):
        for name in ("mem:one", "mem:two") * 4:
            await dial_stream(ListenSpec.parse(name), lambda: Pipelining(b"x\n" * 500))
        await settle(100)
    assert served.total() == 8 * 500
    assert SHARE <= max(served.values()) <= PER_TURN


def test_each_loop_has_its_own_budget_which_does_not_keep_it_alive() -> None:
    async def of_one() -> weakref.ref[asyncio.AbstractEventLoop]:
        budget = FrameBudget.of_this_loop()
        assert FrameBudget.of_this_loop() is budget
        budgets.append(budget)
        return weakref.ref(asyncio.get_running_loop())

    budgets: list[FrameBudget] = []
    first, second = asyncio.run(of_one()), asyncio.run(of_one())
    assert budgets[0] is not budgets[1]
    budgets.clear()
    gc.collect()
    assert first() is None
    assert second() is None
