"""Callbacks written for `asyncio.start_server`, served by the adapter."""

from __future__ import annotations

import asyncio

import pytest

from pierhead import Server, hosting
from pierhead.client.dial import dial_stream
from pierhead.errors import UsageError


async def shout(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()


async def shout_and_close(reader, writer):
    await shout(reader, writer)
    writer.close()


async def dialled(address):
    reader = asyncio.StreamReader()
    transport = await dial_stream(address, lambda: asyncio.StreamReaderProtocol(reader))
    loop = asyncio.get_running_loop()
    return reader, asyncio.StreamWriter(transport, transport.get_protocol(), reader, loop)


async def test_lines_are_answered_and_the_end_ends_it(network, server):
    started = await server(hosting.streams.serve(shout), "mem:shout")
    reader, writer = await dialled("mem:shout")
    writer.write(b"one\ntwo\n")
    writer.write_eof()
    assert await reader.read() == b"ONE\nTWO\n"
    writer.close()
    await writer.wait_closed()
    assert _closed(started) == {"service": 1}
    assert not started.lost


@pytest.mark.parametrize(
    ("given", "message"),
    [("shout", "expected a function of"), (asyncio.Protocol, "protocol.serve takes a class")],
)
def test_a_value_that_is_not_a_callback_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        hosting.streams.serve(given)


async def test_a_callback_that_returns_closes_its_connection(network, server):
    async def greet(reader, writer):
        writer.write(b"hello\n")

    started = await server(hosting.streams.serve(greet), "mem:greet")
    reader, writer = await dialled("mem:greet")
    assert await reader.read() == b"hello\n"
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.1)
    assert _closed(started) == {"service": 1}


async def test_a_plain_function_is_a_callback_too(network, server):
    tasks = []

    def plain(reader, writer):
        tasks.append(asyncio.get_running_loop().create_task(shout_and_close(reader, writer)))

    await server(hosting.streams.serve(plain), "mem:plain")
    reader, writer = await dialled("mem:plain")
    writer.write(b"still open\n")
    assert await reader.readline() == b"STILL OPEN\n"
    writer.close()
    await asyncio.gather(*tasks)


async def test_a_callback_that_raises_is_reported_in_one_line(network, server, caplog):
    async def broken(reader, writer):
        await reader.readline()
        raise RuntimeError("no")

    await server(hosting.streams.serve(broken), "mem:broken")
    reader, writer = await dialled("mem:broken")
    writer.write(b"x\n")
    assert await reader.read() == b""
    writer.close()
    (record,) = caplog.records
    assert "RuntimeError: no" in record.getMessage()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "error", [ConnectionResetError, lambda: asyncio.IncompleteReadError(b"", 2)]
)
async def test_a_peer_that_breaks_off_is_nobodys_mistake(network, server, caplog, error):
    async def cut_off(reader, writer):
        await reader.readline()
        raise error()

    await server(hosting.streams.serve(cut_off), "mem:cut")
    reader, writer = await dialled("mem:cut")
    writer.write(b"x\n")
    assert await reader.read() == b""
    writer.close()
    assert caplog.records == []


async def test_a_stop_ends_the_input_and_waits_for_the_answer(network):
    async def slow(reader, writer):
        asked = await reader.read()  # to the end, which only the stop brings
        await asyncio.sleep(2)
        writer.write(asked.upper())

    server = Server(hosting.streams.serve(slow), "mem:slow", drain_timeout=5, linger_timeout=0)
    async with server:
        reader, writer = await dialled("mem:slow")
        writer.write(b"asked")
        await asyncio.sleep(0.1)
        assert server.in_flight == 1
    assert await reader.read() == b"ASKED"
    writer.close()
    assert not server.lost


async def test_a_callback_that_does_not_return_is_cancelled_and_named(clock, network):
    undone = []

    async def stubborn(reader, writer):
        try:
            await asyncio.sleep(3600)
        finally:
            undone.append(True)

    server = Server(hosting.streams.serve(stubborn), "mem:stubborn", clock=clock, drain_timeout=3)
    async with server:
        _, writer = await dialled("mem:stubborn")
        await asyncio.sleep(0.1)
    writer.close()
    assert undone == [True]
    (lost,) = server.lost
    assert lost.reason == "drain"
    assert server.metrics.total("requests_lost_total", reason="drain") == 1


async def test_a_full_server_closes_newcomers_and_no_callback(network, server):
    started = await server(hosting.streams.serve(shout), "mem:full", max_connections=1)
    first = await dialled("mem:full")
    first[1].write(b"there\n")  # until then it is incomplete, and would be closed first
    assert await first[0].readline() == b"THERE\n"
    second = await dialled("mem:full")
    with pytest.raises(ConnectionResetError):
        await second[0].read()
    first[1].write(b"here\n")
    assert await first[0].readline() == b"HERE\n"
    for _, writer in (first, second):
        writer.close()
    assert started.metrics.total("dropped_total", reason="max_connections") == 1


async def test_a_line_over_the_limit_is_the_callbacks_to_handle(network, server):
    seen = []

    async def limited(reader, writer):
        try:
            await reader.readline()
        except ValueError as error:
            seen.append(error)
            writer.write(b"too long\n")

    await server(hosting.streams.serve(limited, limit=16), "mem:limited")
    reader, writer = await dialled("mem:limited")
    writer.write(b"x" * 100)
    assert await reader.read() == b"too long\n"
    writer.close()
    assert len(seen) == 1


async def test_facts_of_the_connection_are_known_to_the_writer(network, server):
    async def facts(reader, writer):
        via, peer = writer.get_extra_info("via"), writer.get_extra_info("peer")
        writer.write(f"{via.listener} {peer}\n".encode())

    await server(hosting.streams.serve(facts), "mem:facts")
    reader, writer = await dialled("mem:facts")
    assert (await reader.readline()).startswith(b"mem:facts ")
    writer.close()


def _closed(server):
    return {
        reason: count
        for reason in ("drain", "eof", "error", "idle", "peer_gone", "service")
        if (count := server.metrics.total("connections_closed_total", reason=reason))
    }
