"""A relay passes on every octet in order, and the end of each side after its last octet.

Both ends write pieces of any size at any time, end their side in any order, and read at their own
pace, over links with delays and small buffers. What arrives is what was sent.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead import Server, hosting
from pierhead.client.dial import dial_stream
from pierhead.net.memory import Network
from pierhead.protocols import proxying
from pierhead.testing.clock import HeldLoop


class Side(NamedTuple):
    """What one end writes, as sizes of pieces and pauses, and how long it waits between reads."""

    pieces: list[tuple[int, float]]
    reading_s: float


sides = st.builds(
    Side,
    pieces=st.lists(
        st.tuples(st.sampled_from([1, 100, 5000, 70_000, 300_000]), st.sampled_from([0.0, 0.01])),
        max_size=6,
    ),
    reading_s=st.sampled_from([0.0, 0.001, 0.05]),
)


async def play(
    side: Side, mark: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bytes:
    """Write and read at the same time; return what was read until the end."""

    async def write() -> None:
        for size, pause_s in side.pieces:
            writer.write(bytes([mark]) * (size - 1) + b"|")
            await writer.drain()
            await asyncio.sleep(pause_s)
        writer.write_eof()

    writing = asyncio.ensure_future(write())
    received = bytearray()
    while data := await reader.read(20_000):
        received += data
        await asyncio.sleep(side.reading_s)
    await writing
    return bytes(received)


def sent(side: Side, mark: int) -> bytes:
    return b"".join(bytes([mark]) * (size - 1) + b"|" for size, _ in side.pieces)


async def relay(client: Side, upstream: Side, delay_s: float) -> None:
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done.set_result(await play(upstream, 2, reader, writer))

    network = Network.current()
    network.between("client", "front").delay(delay_s)
    up = Server(hosting.streams.serve(answers), "mem:up")
    async with up, Server(proxying.forward("mem:up"), "mem:front") as server:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await dial_stream("mem:front", lambda: protocol, source="mem:client")
        writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
        assert await play(client, 1, reader, writer) == sent(upstream, 2)
        assert await done == sent(client, 1)
        writer.close()
        for _ in range(100):
            if not server.metrics.total("connections_open"):
                break
            await asyncio.sleep(0.01)
        total = server.metrics.total
        assert total("connections_closed_total", reason="eof") == 1
        assert total("bytes_received_total") == len(sent(client, 1))
        assert total("bytes_sent_total") == len(sent(upstream, 2))


@settings(max_examples=40)
@given(client=sides, upstream=sides, delay_s=st.sampled_from([0.0, 0.02]))
def test_every_octet_passes_in_order_and_then_the_end(
    client: Side, upstream: Side, delay_s: float
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(relay(client, upstream, delay_s))
