"""Protocols written for asyncio, served by the adapter."""

from __future__ import annotations

import asyncio

import pytest

from pierhead import Server, hosting
from pierhead.client.dial import dial_stream
from pierhead.errors import UsageError


class Shout(asyncio.Protocol):
    """Answers each piece in capital letters."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())


class BufferedShout(asyncio.BufferedProtocol):
    """The same, by the other kind of protocol."""

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray(4)  # smaller than what is sent

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.transport.write(bytes(self.buffer[:nbytes]).upper())


class Heard(asyncio.Protocol):
    """A client that keeps what it receives, and knows when the connection has ended."""

    def __init__(self):
        self.data = b""
        self.more = asyncio.Event()
        self.ended = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        self.more.set()

    def connection_lost(self, exc):
        self.ended.set()

    async def until(self, length):
        while len(self.data) < length:
            self.more.clear()
            await self.more.wait()
        return self.data


class Talkative(Heard):
    """A client that continues when the other side has ended."""

    def eof_received(self):
        return True


async def dialled(address, client=Heard):
    transport = await dial_stream(address, client)
    return transport.get_protocol()


@pytest.mark.parametrize("factory", [Shout, BufferedShout])
async def test_a_protocol_of_either_kind_is_served(network, server, factory):
    await server(hosting.protocol.serve(factory), "mem:shout")
    client = await dialled("mem:shout")
    client.transport.write(b"hello world")
    assert await client.until(11) == b"HELLO WORLD"
    client.transport.close()


async def callback(reader, writer):
    pass


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "expected a class or a function"),
        (callback, "streams.serve takes an async callback"),
        (asyncio.DatagramProtocol, "is for datagrams"),
    ],
)
def test_a_value_that_is_not_a_factory_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        hosting.protocol.serve(given)


async def test_a_silent_connection_is_closed_after_the_idle_timeout(clock, server):
    started = await server(hosting.protocol.serve(Shout), "mem:shout", idle_timeout=10)
    client = await dialled("mem:shout")
    client.transport.write(b"x")
    await client.until(1)
    await clock.advance(9.0)
    assert not client.ended.is_set()
    await clock.advance(2.0)
    assert client.ended.is_set()
    assert _closed(started) == {"idle": 1}


async def test_talking_keeps_a_connection_open(clock, server):
    await server(hosting.protocol.serve(Shout), "mem:shout", idle_timeout=10)
    client = await dialled("mem:shout")
    for sent in range(1, 5):
        await clock.advance(8.0)
        client.transport.write(b"x")
        await client.until(sent)
    assert not client.ended.is_set()
    client.transport.close()


async def test_a_full_server_closes_the_connection_silent_longest(clock, server):
    started = await server(hosting.protocol.serve(Shout), "mem:shout", max_connections=2)
    talking = await dialled("mem:shout")
    await clock.advance(1.0)
    silent = await dialled("mem:shout")
    await clock.advance(1.0)
    talking.transport.write(b"x")
    await talking.until(1)
    newcomer = await dialled("mem:shout")
    await silent.ended.wait()
    newcomer.transport.write(b"y")
    await newcomer.until(1)
    for client in (talking, newcomer):
        assert not client.ended.is_set()
        client.transport.close()
    assert started.metrics.total("connections_closed_total", reason="evicted") == 1


async def test_a_protocol_that_raises_loses_its_connection_and_no_other(network, server, caplog):
    class Broken(Shout):
        def data_received(self, data):
            if data == b"bad":
                raise RuntimeError("what is that")
            super().data_received(data)

    started = await server(hosting.protocol.serve(Broken), "mem:broken")
    good, bad = await dialled("mem:broken"), await dialled("mem:broken")
    bad.transport.write(b"bad")
    await bad.ended.wait()
    good.transport.write(b"good")
    assert await good.until(4) == b"GOOD"
    good.transport.close()
    (record,) = caplog.records
    assert "RuntimeError: what is that" in record.getMessage()
    assert "Traceback" not in caplog.text
    assert _closed(started)["error"] == 1


class Farewell(Shout):
    """Closes after its first answer."""

    def data_received(self, data):
        super().data_received(data)
        self.transport.close()
        self.is_closing = self.transport.is_closing()
        self.transport.write(b"not any more")
        self.transport.pause_reading()

    def connection_lost(self, error):
        self.error = error


async def test_what_a_peer_still_sends_does_not_overtake_the_last_answer(clock, server):
    guests = []

    def farewell():
        guests.append(Farewell())
        return guests[0]

    started = await server(hosting.protocol.serve(farewell), "mem:bye", linger_timeout=2)
    client = await dialled("mem:bye", Talkative)
    client.transport.write(b"bye")
    assert await client.until(3) == b"BYE"
    assert guests[0].is_closing
    client.transport.write(b"one more thing")
    await clock.advance(1)
    assert not client.ended.is_set()
    client.transport.close()
    await clock.advance(0.1)
    assert guests[0].error is None
    assert client.data == b"BYE"
    assert _closed(started) == {"service": 1}
    assert not started.lost


async def test_a_peer_that_never_closes_is_not_waited_for_long(clock, server):
    started = await server(hosting.protocol.serve(Farewell), "mem:bye", linger_timeout=2)
    client = await dialled("mem:bye", Talkative)
    client.transport.write(b"bye")
    await clock.advance(1.5)
    assert _closed(started) == {}
    await clock.advance(1)
    assert _closed(started) == {"service": 1}
    client.transport.abort()


async def test_another_protocol_may_take_over(network, server):
    class Upgrading(Shout):
        def data_received(self, data):
            after = BufferedShout()
            after.connection_made(self.transport)
            self.transport.set_protocol(after)
            assert self.transport.get_protocol() is after
            self.transport.write(b"ok")

    started = await server(hosting.protocol.serve(Upgrading), "mem:upgrade")
    client = await dialled("mem:upgrade")
    client.transport.write(b"upgrade")
    assert await client.until(2) == b"ok"
    client.transport.write(b"after")
    assert await client.until(7) == b"okAFTER"
    client.transport.close()
    await client.ended.wait()
    assert _closed(started) == {"eof": 1}


async def test_protocols_are_told_the_end_of_input_when_the_server_stops(network):
    class Farewell(Shout):
        def eof_received(self):
            self.transport.write(b"bye")

    async with Server(hosting.protocol.serve(Farewell), "mem:farewell") as started:
        client = await dialled("mem:farewell")
        client.transport.write(b"hi")
        await client.until(2)
    assert client.data == b"HIbye"
    assert client.ended.is_set()
    assert not started.lost


async def test_a_protocol_that_stays_is_cut_off_after_the_drain_timeout(clock, network):
    class Staying(Shout):
        def eof_received(self):
            return True

    server = Server(hosting.protocol.serve(Staying), "mem:staying", clock=clock, drain_timeout=3)
    async with server:
        client = await dialled("mem:staying")
        client.transport.write(b"hi")
        await client.until(2)
        before = clock.monotonic()
    assert 3 <= clock.monotonic() - before < 4
    await client.ended.wait()
    assert _closed(server) == {"drain": 1}


async def test_a_peer_that_reads_nothing_is_cut_off(clock, server):
    class Flood(Shout):
        def data_received(self, data):
            self.transport.write(bytes(2**20))

    started = await server(hosting.protocol.serve(Flood), "mem:flood", write_timeout=5)
    client = await dialled("mem:flood")
    client.transport.pause_reading()
    client.transport.write(b"go")
    await clock.advance(11.0)
    assert _closed(started) == {"write": 1}


async def test_a_protocol_is_paused_when_its_peer_does_not_keep_up(network, server):
    told = []

    class Flood(Shout):
        def data_received(self, data):
            self.transport.write(bytes(2**20))

        def pause_writing(self):
            told.append("pause")

        def resume_writing(self):
            told.append("resume")

    await server(hosting.protocol.serve(Flood), "mem:flood")
    client = await dialled("mem:flood")
    client.transport.pause_reading()
    client.transport.write(b"go")
    while "pause" not in told:
        await asyncio.sleep(0)
    client.transport.resume_reading()
    await client.until(2**20)
    assert told == ["pause", "resume"]
    client.transport.close()


async def test_the_facts_of_a_connection_are_known_to_its_transport(network, server):
    facts = {}

    class Curious(Shout):
        def data_received(self, data):
            for name in ("peer", "via", "sslcontext", "no such fact"):
                facts[name] = self.transport.get_extra_info(name, "default")
            super().data_received(data)

    await server(hosting.protocol.serve(Curious), "mem:facts")
    client = await dialled("mem:facts")
    client.transport.write(b"?")
    await client.until(1)
    client.transport.close()
    assert facts["via"].scheme == "mem"
    assert facts["sslcontext"] == facts["no such fact"] == "default"


async def test_what_is_paused_by_the_protocol_waits(network, server):
    served = []

    class Slow(Shout):
        def connection_made(self, transport):
            super().connection_made(transport)
            served.append(self)
            transport.pause_reading()

    await server(hosting.protocol.serve(Slow), "mem:slow")
    client = await dialled("mem:slow")
    client.transport.write(b"wait")
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.data == b""
    assert not served[0].transport.is_reading()
    served[0].transport.resume_reading()
    assert await client.until(4) == b"WAIT"
    client.transport.close()


def _closed(server):
    return {
        reason: count
        for reason in ("drain", "eof", "error", "idle", "peer_gone", "service", "write")
        if (count := server.metrics.total("connections_closed_total", reason=reason))
    }
