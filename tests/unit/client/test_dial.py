from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys

import pytest
import uvloop

from pierhead.address import ListenSpec
from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.client.socket_end import Unreachable
from pierhead.errors import ConnectError, ListenError, UsageError
from pierhead.listener.open import open_listeners


class Recorder(asyncio.Protocol):
    def __init__(self):
        self.received = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.received.set_result(data)


@pytest.fixture
def opened():
    """A function that opens one address and closes it after the test."""
    listeners = []

    async def open_one(address):
        (listener,) = await open_listeners(ListenSpec.parse(address))
        listeners.append(listener)
        return listener

    yield open_one
    for listener in listeners:
        listener.close()


async def echo_once(listener):
    accepted = await listener.accept()
    protocol = Recorder()
    transport = await accepted.attach(protocol)
    transport.write(await protocol.received)
    transport.close()
    return accepted


STREAMS = ["tcp:127.0.0.1:0", "unix:{}/s", "unix:@pierhead-dial-{pid}", "mem:b"]
DATAGRAMS = ["udp:127.0.0.1:0", "unixgram:{}/s", "unixgram:@pierhead-dial-{pid}", "memgram:b"]


def only_here(form):
    marks = [pytest.mark.skipif("@" in form and sys.platform != "linux", reason="Linux only")]
    return pytest.param(form, marks=marks, id=form.partition(":")[0])


@pytest.mark.parametrize("form", [only_here(form) for form in STREAMS])
async def test_a_stream_reaches_what_a_listener_opened(opened, tmp_path, form):
    listener = await opened(form.format(tmp_path, pid=os.getpid()))
    protocol = Recorder()
    echoing = asyncio.create_task(echo_once(listener))
    transport = await dial_stream(listener.local, lambda: protocol)
    transport.write(b"hello")
    assert await asyncio.wait_for(protocol.received, 10) == b"hello"
    await echoing
    transport.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("form", [only_here(form) for form in DATAGRAMS])
async def test_a_datagram_and_its_reply(opened, tmp_path, form):
    listener = await opened(form.format(tmp_path, pid=os.getpid()))

    def answer():
        batch = listener.receive_batch(8)
        listener.send_batch([(payload.upper(), back) for payload, back in batch])

    listener.start(answer)
    client = await dial_datagram(listener.local)
    for word in (b"one", b"two"):
        client.send(word)
        assert await asyncio.wait_for(client.receive(), 10) == word.upper()
    client.close()
    client.close()


async def test_a_short_form_is_tcp_for_streams_and_udp_for_datagrams(opened):
    stream = await opened("tcp:127.0.0.1:0")
    transport = await dial_stream(stream.local.removeprefix("tcp:"), Recorder)
    (await stream.accept()).close()
    transport.abort()
    datagram = await opened("udp:127.0.0.1:0")
    client = await dial_datagram(datagram.local.removeprefix("udp:"))
    client.send(b"x")
    assert datagram.receive_batch(8)[0][0] == b"x"
    client.close()


async def test_the_source_is_what_the_server_sees(opened):
    listener = await opened("udp:127.0.0.1:0")
    source = "udp:127.0.0.99:0" if sys.platform == "linux" else "udp:127.0.0.1:0"
    client = await dial_datagram(listener.local, source=source)
    client.send(b"x")
    ((_, back),) = listener.receive_batch(8)
    assert listener.peer(back).host == source.split(":")[1]
    client.close()


async def test_a_unix_source_is_made_and_removed(opened, tmp_path):
    listener = await opened(f"unixgram:{tmp_path}/s")
    client = await dial_datagram(listener.local, source=f"unixgram:{tmp_path}/c")
    client.send(b"x")
    ((_, back),) = listener.receive_batch(8)
    assert str(listener.peer(back)) == f"{tmp_path}/c"
    client.close()
    assert not (tmp_path / "c").exists()


async def test_a_unix_source_is_removed_if_the_target_is_missing(tmp_path):
    with pytest.raises(ConnectError, match="There is no socket with this path"):
        await dial_datagram(f"unixgram:{tmp_path}/s", source=f"unixgram:{tmp_path}/c")
    assert os.listdir(tmp_path) == []


async def test_datagrams_from_other_peers_are_ignored(opened):
    listener = await opened("udp:127.0.0.1:0")
    client = await dial_datagram(listener.local)
    client.send(b"q")
    ((_, back),) = listener.receive_batch(8)
    host, port = listener.peer(back).host, listener.peer(back).port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"poison", (host, port))
    listener.send_batch([(b"answer", back)])
    assert await asyncio.wait_for(client.receive(), 10) == b"answer"
    client.close()


async def test_datagrams_from_other_ends_in_memory_are_ignored_and_counted(network):
    b, c = [(await open_listeners(ListenSpec.parse(f"memgram:{n}")))[0] for n in ("b", "c")]
    client = await dial_datagram("memgram:b", source="memgram:a")
    c.send_batch([(b"poison", "a")])
    b.send_batch([(b"answer", "a")])
    assert await client.receive() == b"answer"
    assert client.ignored == 1
    for end in (b, c, client):
        end.close()


async def test_an_icmp_error_is_reported_and_the_client_remains_usable(opened):
    listener = await opened("udp:127.0.0.1:0")
    address = listener.local
    listener.close()  # from now on the system answers with "port unreachable"
    client = await dial_datagram(address)
    waiting = asyncio.create_task(client.receive())
    await asyncio.sleep(0)
    client.send(b"lost")
    client.send(b"lost too")
    with pytest.raises(Unreachable):
        await asyncio.wait_for(waiting, 10)
    assert client.ignored
    revived = await opened(address)
    client.send(b"q")
    while not (batch := revived.receive_batch(8)):
        await asyncio.sleep(0)
    revived.send_batch([(b"a", batch[0][1])])
    for _ in range(5):  # what the earlier ones met is told first
        try:
            received = await asyncio.wait_for(client.receive(), 10)
        except Unreachable:
            continue
        break
    assert received == b"a"
    client.close()


@pytest.mark.parametrize("address", ["udp:127.0.0.1:9", "memgram:b"])
async def test_a_datagram_too_large_for_any_network_is_refused(address):
    client = await dial_datagram(address)
    with pytest.raises(OSError, match=r"too long|cannot be sent") as caught:
        client.send(bytes(70_000))
    assert caught.value.errno == errno.EMSGSIZE
    client.close()


@pytest.mark.parametrize("address", ["udp:127.0.0.1:9", "memgram:b"])
async def test_closing_ends_a_waiting_receive(address):
    client = await dial_datagram(address)
    waiting = asyncio.create_task(client.receive())
    await asyncio.sleep(0)
    client.close()
    with pytest.raises(OSError, match=r"Bad file descriptor|is closed") as caught:
        await waiting
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("address", ["udp:127.0.0.1:9", "memgram:b"])
async def test_one_receive_waits_at_a_time(address):
    client = await dial_datagram(address)
    waiting = asyncio.create_task(client.receive())
    await asyncio.sleep(0)
    with pytest.raises(UsageError, match="only one may wait at a time"):
        await client.receive()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    client.close()


async def test_a_refused_connection_is_an_error_with_a_remedy(opened):
    listener = await opened("tcp:127.0.0.1:0")
    address = listener.local
    listener.close()
    with pytest.raises(ConnectError, match="Nothing listens at this address") as refused:
        await dial_stream(address, Recorder)
    assert refused.value.step == "connect"
    assert refused.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("udp:127.0.0.1:9", "expected one of tcp:, unix:, unixseq:"),
        ("fd:3", "leads nowhere"),
        ("tcp:*:9", "one host"),
        ("tcp:127.0.0.1:0", "one port"),
        ("tcp:127.0.0.1:9-10", "one port"),
        ("unix:./s?mode=0600", "mode is for listening"),
    ],
)
async def test_the_error_for_an_address_that_cannot_be_dialled_says_why(address, reason):
    with pytest.raises(UsageError, match=reason):
        await dial_stream(address, Recorder)


@pytest.mark.parametrize("source", ["mem:a", "udp:127.0.0.1:0?reuseport", "tcp:127.0.0.1:0"])
async def test_a_source_must_match_its_target(source):
    with pytest.raises(UsageError, match="does not match udp:"):
        await dial_datagram("udp:127.0.0.1:9", source=source)


async def test_a_taken_source_in_memory_is_reported(network):
    first = await dial_datagram("memgram:b", source="memgram:a")
    with pytest.raises(ListenError, match="an end called 'a'"):
        await dial_datagram("memgram:b", source="memgram:a")
    first.close()


@pytest.mark.parametrize("form", [only_here(form) for form in [*STREAMS[:2], *DATAGRAMS[:2]]])
def test_dialling_works_on_uvloop(tmp_path, form):
    async def main():
        (listener,) = await open_listeners(ListenSpec.parse(form.format(tmp_path)))
        if form in STREAMS:
            transport = await dial_stream(listener.local, Recorder)
            (await listener.accept()).close()
            transport.abort()
            await asyncio.sleep(0)
        else:
            client = await dial_datagram(listener.local)
            client.send(b"q")
            listener.send_batch(listener.receive_batch(8))
            assert await asyncio.wait_for(client.receive(), 10) == b"q"
            client.close()
        listener.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
