"""What a message costs a client, beside asyncio streams written well by hand.

    python benchmarks/clients.py                       every case
    python benchmarks/clients.py --case one --json     some cases, for a program to read

One process is the client of an echo of lines in another. In each round every client of a case takes
its turn; what counts is the CPU time of the client's whole process, and the ratio of the same round
(median of rounds), since the machine may be busy. Everything of ours has its limits and deadlines.

    one             a request at a time: `Client.request`, beside streams with a deadline
    pipelined       100 requests at once, each from a task of its own: beside a reader task with a
                    queue of futures, each with a deadline (``asyncio.timeout``)
    message         a message at a time: a conversation, beside streams without deadlines
    messages        100 messages sent, then 100 received, likewise
    idle            memory for each idle connection of a client, and of a conversation
                    (tracemalloc, and resident), beside `asyncio.open_connection`
    storm           10,000 requests at once over 1 and 10 connections: all answered, half of them
                    cancelled at random, all timed out; nothing to compare with
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import platform
import random
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import uvloop

from pierhead import Client, Conversation, connect
from pierhead.errors import PierheadError
from pierhead.protocols import lines

TEXT = "x" * 63
FORMAT = lines.wire_format()
AT_ONCE = 100
MESSAGES = 4_000
ROUNDS = 7
IDLE = 300
STORM = 10_000
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


# -- the server: a process of its own ----------------------------------------------------------


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Silence(asyncio.Protocol):
    pass


async def serve() -> None:
    loop = asyncio.get_running_loop()
    for protocol in (Echo, Silence):
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """Run the server; yield the ports of the echo and of the silence."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), int(process.stdout.readline())
        finally:
            process.kill()


# -- the clients -------------------------------------------------------------------------------


class ByHand:
    """Requests over asyncio streams: pipelined, matched in order, each with a deadline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: deque[asyncio.Future[str]] = deque()
        self._reading = asyncio.ensure_future(self._read())

    async def request(self, text: str) -> str:
        reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(10):
            self._waiting.append(reply)
            self._writer.write(text.encode() + b"\n")
            await self._writer.drain()
            return await reply

    async def _read(self) -> None:
        while line := await self._reader.readline():
            reply = self._waiting.popleft()
            if not reply.done():
                reply.set_result(line[:-1].decode())

    def close(self) -> None:
        self._reading.cancel()
        self._writer.close()


Call = Callable[[int], Awaitable[None]]


def requests(client: Client[str, str] | ByHand, at_once: int) -> Call:
    async def call(number: int) -> None:
        for _ in range(number // at_once):
            if at_once == 1:
                await client.request(TEXT)
            else:
                await asyncio.gather(*(client.request(TEXT) for _ in range(at_once)))

    return call


def conversing(conversation: Conversation[str, str], at_once: int) -> Call:
    async def call(number: int) -> None:
        for _ in range(number // at_once):
            for _ in range(at_once):
                await conversation.send(TEXT)
            for _ in range(at_once):
                await conversation.receive()

    return call


def streaming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_once: int) -> Call:
    async def call(number: int) -> None:
        for _ in range(number // at_once):
            for _ in range(at_once):
                writer.write(TEXT.encode() + b"\n")
                await writer.drain()
            for _ in range(at_once):
                (await reader.readline())[:-1].decode()

    return call


@contextlib.asynccontextmanager
async def clients(case: str, port: int) -> AsyncIterator[dict[str, Call]]:
    """Connect the clients of a case."""
    at_once = 1 if case in ("one", "message") else AT_ONCE
    address = f"tcp:127.0.0.1:{port}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if case in ("one", "pipelined"):
        by_hand = ByHand(reader, writer)
        async with connect(address, FORMAT) as client:
            yield {"pierhead": requests(client, at_once), "streams": requests(by_hand, at_once)}
        by_hand.close()
    else:
        async with connect(address, FORMAT).conversation() as conversation:
            yield {
                "pierhead": conversing(conversation, at_once),
                "streams": streaming(reader, writer, at_once),
            }
        writer.close()


# -- measuring ---------------------------------------------------------------------------------


async def measure(case: str, port: int, rounds: int) -> dict[str, float]:
    """Return microseconds of CPU for each message, and the ratio to streams."""
    spent: dict[str, list[float]] = {}
    async with clients(case, port) as calls:
        for call in calls.values():
            await call(MESSAGES // 10)  # warm
        for number in range(rounds):
            in_turn = list(calls.items())
            for name, call in in_turn if number % 2 else reversed(in_turn):
                gc.collect()
                before = time.process_time_ns()
                await call(MESSAGES)
                took = (time.process_time_ns() - before) / 1e3 / MESSAGES
                spent.setdefault(name, []).append(took)
    found = {f"{name}_us": statistics.median(each) for name, each in spent.items()}
    pairs = zip(spent["pierhead"], spent["streams"], strict=True)
    return found | {"ratio": statistics.median(ours / theirs for ours, theirs in pairs)}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def held_by(open_one: Callable[[], Awaitable[object]], *, traced: bool) -> float:
    """Return the octets that one of many connections holds."""
    kept = [await open_one() for _ in range(20)]
    gc.collect()
    if traced:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0] if traced else resident_bytes()
    kept += [await open_one() for _ in range(IDLE)]
    await asyncio.sleep(0.2)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] if traced else resident_bytes()
    tracemalloc.stop()
    return (after - before) / IDLE


async def measure_idle(port: int, which: str, *, traced: bool) -> float:
    address = f"tcp:127.0.0.1:{port}"
    pool = connect(address, FORMAT)
    async with contextlib.AsyncExitStack() as stack:

        async def client() -> object:
            return await stack.enter_async_context(connect(address, FORMAT))

        async def conversation() -> object:
            return await stack.enter_async_context(pool.conversation())

        async def streams() -> object:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            return reader, writer

        opens: dict[str, Callable[[], Awaitable[object]]] = {
            "client": client,
            "conversation": conversation,
            "streams": streams,
        }
        return await held_by(opens[which], traced=traced)


async def measure_storms(port: int, silent: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for connections in (1, 10):
        limits: Any = {"max_connections": connections, "max_waiting_requests": STORM}
        for kind in ("answered", "cancelled", "timed_out"):
            address = f"tcp:127.0.0.1:{silent if kind == 'timed_out' else port}"
            async with connect(address, FORMAT, **limits) as client:
                before = time.process_time_ns()
                outcomes = await storm(client, kind)
                took = (time.process_time_ns() - before) / 1e3 / STORM
            assert sum(outcomes.values()) == STORM, outcomes
            assert not outcomes["another's"], outcomes
            found[f"{kind}_over_{connections}_us"] = took
    return found


async def storm(client: Client[str, str], kind: str) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    chance = random.Random(7)

    async def one(number: int) -> None:
        seconds = 0.5 + number / STORM / 2 if kind == "timed_out" else 60
        try:
            reply = await client.request(str(number), timeout=seconds)
            outcomes["own" if reply == str(number) else "another's"] += 1
        except PierheadError as error:
            outcomes[type(error).__name__] += 1
        except asyncio.CancelledError:
            outcomes["cancelled"] += 1

    tasks = [asyncio.ensure_future(one(number)) for number in range(STORM)]
    if kind == "cancelled":
        await asyncio.sleep(0)
        for task in chance.sample(tasks, STORM // 2):
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes


CASES = ("one", "pipelined", "message", "messages", "idle", "storm")


def run_case(case: str, loop: str, rounds: int) -> dict[str, float]:
    with serving() as (port, silent), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        if case == "storm":
            return runner.run(measure_storms(port, silent))
        if case != "idle":
            return runner.run(measure(case, port, rounds))
        return {
            f"{which}_{'octets' if traced else 'resident'}": _alone(port, which, loop, traced)
            for which in ("client", "conversation", "streams")
            for traced in (True, False)
        }


def _alone(port: int, which: str, loop: str, traced: bool) -> float:
    """Measure in a new process: what was freed before would be used again."""
    command = [sys.executable, __file__, "--idle", which, str(port), "--loop", loop]
    command += ["--traced"] if traced else []
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=CASES, help="this case alone")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--idle", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--traced", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve())
    if given.idle:
        with asyncio.Runner(loop_factory=LOOPS[given.loop]) as runner:
            which, port = given.idle
            print(runner.run(measure_idle(int(port), which, traced=given.traced)))
        return
    if not given.json:
        print(f"{platform.platform()}, Python {platform.python_version()}, {given.loop}")
    results = {}
    for case in [given.case] if given.case else CASES:
        results[case] = run_case(case, given.loop, given.rounds)
        if not given.json:
            figures = (f"{name} {value:.2f}" for name, value in results[case].items())
            print(f"{case:<10} {'  '.join(figures)}", flush=True)
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
