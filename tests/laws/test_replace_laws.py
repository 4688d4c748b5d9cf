"""Laws of `Server.replace`, over any sequence of applications on a memory network.

After each: what was asked is served by the application asked for, nothing else is, and an open
connection is answered by what is in force; what could not be leaves all as it was. At the end:
every request that was taken has been answered, by the application that took it, and every lifespan
entered has been left, after its last request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from dataclasses import replace as copy

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import Application, Context, ListenSpec, Server
from pierhead.errors import PierheadError
from pierhead.net.memory import MemoryDatagramEnd, Network, connect_memory
from pierhead.protocols import lines
from pierhead.server.endpoint import Endpoint

STREAMS = ("mem:a", "mem:b", "mem:c")
DATAGRAMS = ("memgram:a", "memgram:b")
OPTIONS = ("", "?name=n", "?drain=3s", "?maxconn=50", "?idle-timeout=20s", "?accept-backoff=2s")
#: What makes an application impossible: nobody passed that, and there is no such file.
IMPOSSIBLE = ("fd:64999", "tls+mem:a?cert=/nowhere.pem", "mem:d?allow-uid=4")

addresses = st.lists(
    st.tuples(st.sampled_from([*STREAMS, *DATAGRAMS]), st.sampled_from(OPTIONS)),
    min_size=1,
    max_size=5,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: [f"{a}{'' if a[3] == 'g' and 'name' not in o else o}" for a, o in pairs])


@st.composite
def plans(draw) -> tuple[list[list[str]], str | None]:
    """The addresses of one or two endpoints, and perhaps one that cannot be."""
    every = draw(addresses)
    cut = draw(st.integers(0, len(every) - 1))
    parts = [part for part in (every[:cut], every[cut:]) if part]
    return parts, draw(st.none() | st.sampled_from(IMPOSSIBLE))


@dataclass
class World:
    """What the applications of one run do, and what they have to have done in the end."""

    log: list[str] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    begun: int = 0

    def endpoint(self, word: str) -> Endpoint:
        gate = self.gates[word] = asyncio.Event()

        async def say(line: str, context: Context) -> str:
            assert f"{word} in" in self.log
            assert f"{word} out" not in self.log
            if line == "wait":
                self.begun += 1
                await gate.wait()
                assert f"{word} out" not in self.log
            return f"{word} {line}"

        @asynccontextmanager
        async def lifespan():
            self.log.append(f"{word} in")
            try:
                yield
            finally:
                self.log.append(f"{word} out")

        return copy(lines.serve(say), lifespan=lifespan)

    def application(self, number: int, parts: Sequence[Sequence[str]]) -> Application:
        endpoints = [
            (self.endpoint(f"{number}.{part}"), addresses) for part, addresses in enumerate(parts)
        ]
        return Application(endpoints=endpoints)


class Stream(asyncio.Protocol):
    def __init__(self, name: str) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport = connect_memory(name, self, None)

    def data_received(self, data: bytes) -> None:
        for line in data.splitlines():
            self.answers.put_nowait(line)

    def send(self, line: bytes) -> None:
        self.transport.write(line + b"\n")


class Datagrams:
    def __init__(self, name: str) -> None:
        network = Network.current()
        own, self._name = network.unused_name(), name
        self._end = MemoryDatagramEnd(ListenSpec.parse(f"memgram:{own}"), own, network)
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._end.start(self._read)

    def _read(self) -> None:
        for answer, _ in self._end.receive_batch(99):
            self.answers.put_nowait(answer)

    def send(self, line: bytes) -> None:
        self._end.send_batch([(line, self._name)])

    def close(self) -> None:
        self._end.close()


def connect(address: str) -> Stream | Datagrams:
    scheme, _, name = address.partition("?")[0].partition(":")
    return Stream(name) if scheme == "mem" else Datagrams(name)


async def answer(client: Stream | Datagrams, line: bytes) -> str:
    client.send(line)
    return (await asyncio.wait_for(client.answers.get(), 20)).decode()


def bare(address: str) -> str:
    return address.partition("?")[0]


async def run(sequence: Sequence[tuple[list[list[str]], str | None]]) -> None:
    world = World()
    (first, _), *others = sequence
    expected = {bare(a): f"0.{n}" for n, part in enumerate(first) for a in part}
    waiting: list[tuple[Stream | Datagrams, str]] = []
    server = Server(world.application(0, first), request_timeout="off", drain_timeout=0.5)
    async with server:
        open_ = {address: connect(address) for address in expected}
        for number, (parts, impossible) in enumerate(others, 1):
            for address, word in expected.items():
                client = connect(address)
                client.send(b"wait")
                waiting.append((client, f"{word} wait"))
            while world.begun < len(waiting):
                await asyncio.sleep(0)
            asked = [*parts, [impossible]] if impossible else parts
            try:
                await server.replace(world.application(number, asked))
            except PierheadError:
                met("refused")
                assert impossible
                own = [line for line in world.log if line.startswith(f"{number}.")]
                ins, outs = ({o.split()[0] for o in own if o.endswith(w)} for w in ("in", "out"))
                assert ins == outs
            else:
                met("replaced")
                assert not impossible
                expected = {bare(a): f"{number}.{n}" for n, part in enumerate(parts) for a in part}
            assert sorted(server.addresses) == sorted(expected)
            for address in [*STREAMS, *DATAGRAMS]:
                if address in expected:
                    assert await answer(connect(address), b"x") == f"{expected[address]} x"
                    if address in open_:
                        assert await answer(open_[address], b"y") == f"{expected[address]} y"
                    else:
                        open_[address] = connect(address)
                else:
                    open_.pop(address, None)
            kept = set(Network.current().streams)
            assert kept == {a.removeprefix("mem:") for a in expected if a.startswith("mem:")}
        for gate in world.gates.values():
            gate.set()
        for client, wanted in waiting:
            assert (await asyncio.wait_for(client.answers.get(), 20)).decode() == wanted
    assert not server.lost
    entered = sorted(line[:-3] for line in world.log if line.endswith(" in"))
    assert sorted(line[:-4] for line in world.log if line.endswith(" out")) == entered
    assert not Network.current().streams


@shares(replaced=0.2, refused=0.05)
@settings(max_examples=40, deadline=None)
@given(st.lists(plans(), min_size=2, max_size=4).map(lambda all_: [(all_[0][0], None), *all_[1:]]))
def test_any_application_takes_the_place_of_any_other(sequence) -> None:
    asyncio.run(run(sequence))
