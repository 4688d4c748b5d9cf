"""TLS over every base, and what becomes of peers that do it badly."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import os
import socket
import ssl
import struct
import subprocess
import sys

import pytest
import uvloop
from tls_client import PATIENCE_S, Certificates, TlsClient

from pierhead.address import ListenSpec
from pierhead.client.dial import dial_stream
from pierhead.errors import HandshakeError, ListenError
from pierhead.listener.wrap.tls import TlsAccepted
from pierhead.listener.wrap.tls_context import load_contexts
from pierhead.net.transport.tls_transport import Scratch, TlsTransport
from pierhead.protocols import lines
from pierhead.server.server import Server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def cert(certificates):
    return certificates.issue("dns.example")


@pytest.fixture
def context(certificates):
    return certificates.client_context()


async def shout(line, _context):
    return line.upper()


def dialled(server: Server) -> str:
    return server.addresses[0].removeprefix("tls+")


def counted(server: Server, name: str, **labels: str) -> float:
    return server.metrics.total(name, **labels)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


def run(main, factory):
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    gc.collect()  # what is left open is a ResourceWarning, and so an error


both_loops = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])


@both_loops
@pytest.mark.parametrize("base", ["tcp:127.0.0.1:0", "unix:{folder}/s", "mem:a"])
def test_a_stream_of_any_kind_carries_tls(factory, base, cert, context, tmp_path):
    seen = []

    async def main():
        async def shout(line, context):
            seen.append(context.via)
            return line.upper()

        address = base.format(folder=tmp_path)
        async with Server(lines.serve(shout), f"tls+{address}?cert={cert}") as server:
            assert server.addresses[0].startswith(f"tls+{address.partition(':')[0]}:")
            client = await TlsClient.dial(dialled(server), context)
            await client.ready()
            client.send(b"one\ntwo\n")
            await client.expect(b"ONE\nTWO\n")
            client.end()
            await client.gone()
            assert client.close_notify

    run(main, factory)
    via = seen[0]
    assert via.scheme == base.partition(":")[0]
    assert via.encrypted
    assert (via.tls.version, via.tls.server_name) == ("TLSv1.3", "dns.example")
    assert via.tls.cipher.startswith("TLS_")
    assert via.tls.client_certificate is via.socket_peer is via.proxy is via.tls.alpn is None


@both_loops
def test_large_messages_travel_both_ways(factory, cert, context):
    large = b"x" * 1_000_000 + b"\n"

    async def main():
        endpoint = lines.serve(lines.echo, encoding=None, max_length_bytes=2_000_000)
        async with Server(endpoint, f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
            client = await (await TlsClient.dial(dialled(server), context)).ready()
            client.send(large + b"small\n")
            await client.expect(large + b"small\n")
            await client.leave()

    run(main, factory)


@pytest.mark.rfc("8446", "6.1")
async def test_after_the_clients_close_notify_the_answers_due_are_sent(cert, context):
    gate = asyncio.Event()

    async def slow(line, _context):
        await gate.wait()
        return line.upper()

    async with Server(lines.serve(slow), f"tls+mem:a?cert={cert}") as server:
        client = await (await TlsClient.dial("mem:a", context)).ready()
        client.send(b"one\ntwo\nthree")  # the end of the stream ends the last line
        client.end()
        await until(lambda: counted(server, "frames_received_total") == 3)
        gate.set()
        await client.expect(b"ONE\nTWO\nTHREE\n")
        await client.gone()
        assert client.close_notify
        assert counted(server, "connections_closed_total", reason="eof") == 1


@both_loops
@pytest.mark.rfc("8446", "6.1")
def test_without_close_notify_complete_messages_are_answered_and_the_rest_dropped(
    factory, cert, context
):
    async def main():
        async with Server(lines.serve(shout), f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
            client = await (await TlsClient.dial(dialled(server), context)).ready()
            client.send(b"pay 10\npay 1")  # "pay 100" cut short, perhaps by somebody else
            client.transport.write_eof()
            await client.gone()
            assert client.received == b"PAY 10\n"
            assert counted(server, "frames_received_total") == 1

    run(main, factory)


@both_loops
def test_the_server_ends_with_close_notify_and_waits_for_the_client(factory, cert, context):
    async def last(line, context):
        context.connection.close_after_reply()
        return line.upper()

    async def main():
        async with Server(lines.serve(last), f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
            client = await (await TlsClient.dial(dialled(server), context)).ready()
            client.send(b"one\nmore that nobody reads")
            await client.until(lambda: client.close_notify and client.eof)
            assert client.received == b"ONE\n"
            client.send(b"and more\n")  # its own side is open still
            client.end()
            client.transport.close()
            await client.until(lambda: client.lost)
        assert not server.lost

    run(main, factory)


async def test_a_client_that_does_not_read_is_not_read_from(cert, context):
    line = b"x" * 30_000 + b"\n"
    endpoint = lines.serve(lines.echo, encoding=None, max_length_bytes=65_536)
    async with Server(endpoint, f"tls+mem:a?cert={cert}") as server:
        client = await (await TlsClient.dial("mem:a", context)).ready()
        client.transport.pause_reading()
        client.send(line * 40)
        await until(lambda: counted(server, "writes_paused_total") >= 1)
        for _ in range(50):
            await asyncio.sleep(0)
        taken = counted(server, "frames_received_total")
        assert taken < 40
        client.transport.resume_reading()
        await client.expect(line * 40)
        await client.leave()


@pytest.mark.rfc("6066", "3")
async def test_the_certificate_is_chosen_by_the_requested_name(certificates, context):
    files = [certificates.issue(n) for n in ("first.example", "second.example", "*.wild.example")]
    query = "&".join(f"cert={file}" for file in files)
    async with Server(lines.serve(shout), f"tls+mem:a?{query}"):
        for name in ("first.example", "second.example", "SECOND.example", "a.wild.example"):
            client = await (await TlsClient.dial("mem:a", context, name)).ready()
            await client.leave()
        lenient = certificates.client_context(check_hostname=False)
        for name in ("unheard.example", "a.b.wild.example", None):
            client = await (await TlsClient.dial("mem:a", lenient, name)).ready()
            assert ("DNS", "first.example") in client.ssl.getpeercert()["subjectAltName"]
            await client.leave()


def hello_of(context, name) -> bytes:
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def test_a_name_that_is_not_ascii_prints_no_traceback(cert, context, capsys, caplog):
    caplog.set_level(logging.INFO)
    hello = hello_of(context, "dns.example").replace(b"dns.example", b"\xff\xfe\x00.example"[:11])
    async with Server(lines.serve(shout), f"tls+mem:a?cert={cert}") as server:
        raw = await Raw.dial("mem:a")
        raw.transport.write(hello)
        await raw.until(lambda: raw.data)
        raw.transport.abort()
        await until(lambda: counted(server, "connections_closed_total") == 1)
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


class Raw(asyncio.Protocol):
    """A client without TLS."""

    def __init__(self):
        self.data = b""
        self.ended = False
        self.happened = asyncio.Event()

    @classmethod
    async def dial(cls, address):
        raw = cls()
        await dial_stream(address, lambda: raw)
        return raw

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        self.happened.set()

    def eof_received(self):
        self.ended = True
        self.happened.set()

    def connection_lost(self, exc):
        self.ended = True
        self.happened.set()

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.happened.clear()
                await self.happened.wait()

    async def over(self):
        await self.until(lambda: self.ended)


@pytest.mark.rfc("7301", "3.2")
async def test_a_protocol_is_agreed_on_by_alpn_or_refused_by_alert(certificates, cert):
    agreed = []

    async def note(line, context):
        agreed.append(context.via.tls.alpn)
        return line

    async with Server(lines.serve(note), f"tls+mem:a?cert={cert}&alpn=one,two") as server:
        for offered in (["two", "one"], ["two"], None):
            context = certificates.client_context()
            if offered:
                context.set_alpn_protocols(offered)
            client = await (await TlsClient.dial("mem:a", context)).ready()
            client.send(b"x\n")
            await client.expect(b"x\n")
            await client.leave()
        assert agreed == ["one", "two", None]
        context = certificates.client_context()
        context.set_alpn_protocols(["three"])
        client = await TlsClient.dial("mem:a", context)
        await client.until(lambda: client.error)
        assert "NO_APPLICATION_PROTOCOL" in str(client.error).upper().replace(" ", "_")
        await client.gone()
        assert counted(server, "connections_closed_total", reason="tls") == 1


async def test_the_protocol_sets_alpn_if_the_address_does_not(certificates, cert):
    endpoint = dataclasses.replace(lines.serve(shout), alpn=("shout",))
    async with Server(endpoint, f"tls+mem:a?cert={cert}"):
        context = certificates.client_context()
        context.set_alpn_protocols(["shout", "other"])
        client = await (await TlsClient.dial("mem:a", context)).ready()
        assert client.ssl.selected_alpn_protocol() == "shout"
        await client.leave()


async def test_clients_show_a_certificate_of_the_authority_or_are_refused(certificates, cert):
    seen = []

    async def note(line, context):
        seen.append(context.via.tls)
        return line

    address = f"tls+mem:a?cert={cert}&client-ca={certificates.authority_file}"
    async with Server(lines.serve(note), address) as server:
        context = certificates.client_context()
        context.load_cert_chain(certificates.issue("sensor.example", common_name="sensor 7"))
        client = await (await TlsClient.dial("mem:a", context)).ready()
        client.send(b"x\n")
        await client.expect(b"x\n")
        await client.leave()
        assert ("commonName", "sensor 7") in seen[0].client_subject
        assert seen[0].client_certificate[:1] == b"\x30"
        for stranger in (None, Certificates(certificates.folder / "..").issue("x.example")):
            context = certificates.client_context()
            if stranger:
                context.load_cert_chain(stranger)
            client = await TlsClient.dial("mem:a", context)
            await client.gone()
            assert client.error
        assert counted(server, "connections_closed_total", reason="tls") == 2
        assert counted(server, "handshakes_failed_total", reason="tls") == 2


async def test_older_versions_are_refused_as_the_address_says(certificates, cert):
    old = certificates.client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    async with Server(lines.serve(shout), f"tls+mem:a?cert={cert}"):
        client = await (await TlsClient.dial("mem:a", old)).ready()
        client.send(b"x\ny")
        client.end()  # RFC 5246 has no half-closed connections; the answer still comes
        await client.expect(b"X\nY\n")
        await client.gone()
    async with Server(lines.serve(shout), f"tls+mem:a?cert={cert}&min=1.3") as server:
        client = await TlsClient.dial("mem:a", old)
        await client.gone()
        assert "PROTOCOL_VERSION" in str(client.error).upper().replace(" ", "_")
        assert counted(server, "connections_closed_total", reason="tls") == 1


# -- peers that do it badly ------------------------------------------------------------------


@both_loops
@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\x00\x05hello", b"\x16" * 70_000],
)
def test_an_invalid_hello_ends_only_its_connection(factory, garbage, cert, caplog):
    caplog.set_level(logging.INFO)

    async def main():
        async with Server(lines.serve(shout), f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
            raw = await Raw.dial(dialled(server))
            raw.transport.write(garbage)
            await raw.over()
            raw.transport.abort()
            await until(lambda: counted(server, "connections_closed_total", reason="tls") == 1)

    run(main, factory)
    assert not caplog.records


async def test_a_hello_in_single_octets_is_read(cert, context):
    async with Server(lines.serve(shout), f"tls+mem:a?cert={cert}"):
        client = TlsClient(context, "dns.example")
        await dial_stream("mem:a", lambda: client)
        # The client wrote its hello in one piece; one more, cut into octets, by hand.
        hello = hello_of(context, "dns.example")
        raw = await Raw.dial("mem:a")
        for octet in hello:
            raw.transport.write(bytes([octet]))
            await asyncio.sleep(0)
        await raw.until(lambda: raw.data[:1] == b"\x16")  # the server's hello
        raw.transport.abort()
        await client.ready()
        await client.leave()


async def test_a_stalled_handshake_counts_as_a_connection_and_times_out(cert):
    options = {"max_connections": 1, "handshake_timeout": 0.05, "when_full": "refuse"}
    async with Server(lines.serve(shout), f"tls+mem:a?cert={cert}", **options) as server:
        first = await Raw.dial("mem:a")
        await until(lambda: counted(server, "connections_accepted_total") == 1)
        second = await Raw.dial("mem:a")
        await second.over()
        assert counted(server, "dropped_total", reason="max_connections") == 1
        await first.over()
        assert counted(server, "connections_closed_total", reason="handshake") == 1


@pytest.mark.parametrize("begun", [b"", b"\x16", b"\x16\x03\x01\x02"])
async def test_handshakes_in_progress_do_not_block_a_listener(begun, cert, context):
    address = f"tls+mem:a?cert={cert}&maxconn=5"
    async with Server(lines.serve(shout), address, handshake_timeout=60) as server:
        flood = [await Raw.dial("mem:a") for _ in range(20)]
        for raw in flood:
            raw.transport.write(begun)
        await until(lambda: counted(server, "connections_accepted_total") == 20)
        client = TlsClient(context, "dns.example")
        await dial_stream("mem:a", lambda: client)
        await client.ready()
        assert counted(server, "connections_closed_total", reason="evicted") == 16
        assert counted(server, "dropped_total") == 0
        await client.leave()
        for raw in flood:
            raw.transport.abort()


async def test_an_address_may_have_a_shorter_deadline_of_its_own(cert):
    address = f"tls+mem:a?cert={cert}&handshake-timeout=20ms"
    async with Server(lines.serve(shout), address, handshake_timeout=60) as server:
        raw = await Raw.dial("mem:a")
        await raw.over()
        assert counted(server, "connections_closed_total", reason="handshake") == 1


@both_loops
def test_clients_that_leave_after_the_handshake_leave_nothing_behind(factory, cert, context):
    async def main():
        async with Server(lines.serve(shout), f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
            for _ in range(200):
                client = await (await TlsClient.dial(dialled(server), context)).ready()
                await client.leave()
            await until(lambda: counted(server, "connections_closed_total") == 200)
            assert counted(server, "connections_open") == 0

    run(main, factory)


async def test_clients_that_leave_during_the_handshake_are_counted_as_gone(cert, context):
    hello = hello_of(context, "dns.example")
    async with Server(lines.serve(shout), f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
        for end in ("close", "abort", "write_eof"):
            raw = await Raw.dial(dialled(server))
            raw.transport.write(hello[:100])
            getattr(raw.transport, end)()
            await raw.over()
        await until(lambda: counted(server, "connections_closed_total", reason="peer_gone") == 3)


#: Says a part of its hello, or all of it and reads the answer or does not; then waits to be killed.
KILLED = """
import socket, sys
hello, reads = bytes.fromhex(sys.argv[2]), sys.argv[3] == "reads"
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.sendall(hello)
if reads:
    sock.recv(1)
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        pass
print("begun", flush=True)
sys.stdin.read()
"""


def tls_objects() -> int:
    """Count what a TLS connection is made of, as far as the garbage collector sees it."""
    return sum(isinstance(one, TlsTransport | TlsAccepted) for one in gc.get_objects())


@pytest.mark.parametrize(
    ("share", "reads"), [(0.3, "not"), (1, "reads"), (1, "not")], ids=["hello", "read", "unread"]
)
async def test_a_client_process_that_is_killed_during_the_handshake_leaves_nothing(
    share, reads, cert, context
):
    hello = hello_of(context, "dns.example")
    hello = hello[: int(len(hello) * share)].hex()
    folder = "/proc/self/fd"
    async with Server(lines.serve(shout), f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
        port = dialled(server).rpartition(":")[2]

        async def come_and_be_killed() -> None:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-S", "-c", KILLED, port, hello, reads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"begun\n"
            ended = counted(server, "connections_closed_total")
            process.kill()
            await process.wait()
            await until(lambda: counted(server, "connections_closed_total") == ended + 1)

        await come_and_be_killed()  # what is made once exists by now
        gc.collect()
        gc.disable()
        try:
            objects, descriptors = tls_objects(), os.listdir(folder)
            for _ in range(3):
                await come_and_be_killed()
            await until(lambda: tls_objects() <= objects)
            assert len(os.listdir(folder)) <= len(descriptors)
        finally:
            gc.enable()
        for name in ("connections_accepted_total", "connections_closed_total"):
            assert counted(server, name) == 4
        assert counted(server, "connections_closed_total", reason="peer_gone") == 4
        assert counted(server, "handshakes_failed_total", reason="peer_gone") == 4
        assert counted(server, "connections_open") == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_record_that_was_tampered_with_ends_the_connection(
    certificates, cert, version, caplog
):
    caplog.set_level(logging.INFO)
    context = certificates.client_context(maximum_version=version)
    async with Server(lines.serve(shout), f"tls+mem:a?cert={cert}") as server:
        client = await (await TlsClient.dial("mem:a", context)).ready()
        client.send(b"first\n")
        await client.expect(b"FIRST\n")
        client.ssl.write(b"second\n")
        record = bytearray(client.outgoing.read())
        record[-1] ^= 1
        client.transport.write(bytes(record))
        await client.gone()
        assert client.received == b"FIRST\n"
        await until(lambda: counted(server, "connections_open") == 0)
    assert not caplog.records


async def test_renegotiation_is_refused(cert, certificates):
    # RFC 9325 §3.5. Python's client cannot ask for it, so only the flag is looked at here;
    # tests/interop/test_tls.py asks with the openssl program.
    contexts = load_contexts(ListenSpec.parse(f"tls+mem:a?cert={cert}"))
    assert contexts.default.options & ssl.OP_NO_RENEGOTIATION


async def test_a_reset_during_a_reply_ends_only_its_connection(cert, context, caplog):
    caplog.set_level(logging.INFO)
    gate = asyncio.Event()

    async def slow(line, _context):
        await gate.wait()
        return line

    async with Server(lines.serve(slow), f"tls+tcp:127.0.0.1:0?cert={cert}") as server:
        client = await (await TlsClient.dial(dialled(server), context)).ready()
        client.send(b"x\n")
        await until(lambda: counted(server, "frames_received_total") == 1)
        sock = client.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await client.leave()
        await until(lambda: counted(server, "connections_open") == 0)
        gate.set()
    assert not caplog.records


async def test_draining_ends_idle_connections_and_handshakes_in_progress(cert, context):
    server = Server(lines.serve(shout), f"tls+mem:a?cert={cert}", handshake_timeout=0.05)
    async with server:
        idle = await (await TlsClient.dial("mem:a", context)).ready()
        stalled = await Raw.dial("mem:a")
        await until(lambda: counted(server, "connections_accepted_total") == 2)
        server_left = asyncio.create_task(server.drain())
        await idle.gone()
        assert idle.close_notify
        await stalled.over()
        await server_left
    assert not server.lost


# -- reloading -------------------------------------------------------------------------------


async def test_certificates_are_reloaded_all_or_none(certificates, cert, context):
    file = certificates.issue("old.example", file="renewed.pem")
    addresses = (f"tls+mem:a?cert={file}", f"tls+mem:b?cert={cert}", "mem:c")
    async with Server(lines.serve(shout), *addresses) as server:
        before = await (await TlsClient.dial("mem:a", context, "old.example")).ready()
        certificates.issue("new.example", file="renewed.pem")
        await server.reload()
        after = await (await TlsClient.dial("mem:a", context, "new.example")).ready()
        before.send(b"still here\n")
        await before.expect(b"STILL HERE\n")
        (certificates.folder / "renewed.pem").write_text("nonsense")
        with pytest.raises(ListenError, match="has no certificate in PEM form"):
            await server.reload()
        last = await (await TlsClient.dial("mem:a", context, "new.example")).ready()
        for client in (before, after, last):
            await client.leave()


# -- the transport as such -------------------------------------------------------------------


class Held(asyncio.Protocol):
    """A protocol that notes what it is told, over a transport in the test's hand."""

    def __init__(self):
        self.data = b""
        self.events = []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data

    def eof_received(self):
        self.events.append("eof")
        return "keep" in self.events

    def connection_lost(self, exc):
        self.events.append("lost")


async def attached(opened, cert, context):
    (listener,) = await opened(f"tls+mem:a?cert={cert}")
    accepting = asyncio.create_task(listener.accept())
    client = await TlsClient.dial("mem:a", context)
    accepted = await accepting
    await accepted.handshake()
    held = Held()
    await accepted.attach(held)
    await client.ready()
    return held, client


async def test_extra_info_has_facts_of_tls_and_of_the_transport_below(opened, cert, context):
    held, client = await attached(opened, cert, context)
    tls = held.transport
    assert tls.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert tls.get_extra_info("cipher")[0].startswith("TLS_")
    assert tls.get_extra_info("peercert") is None
    assert tls.get_extra_info("truncated") is False
    assert tls.get_extra_info("sockname") == "a"
    assert tls.get_extra_info("unheard of", 5) == 5
    assert tls.get_protocol() is held
    tls.set_write_buffer_limits(high=100, low=10)
    assert tls.get_write_buffer_limits() == (10, 100)
    assert tls.get_write_buffer_size() == 0
    await client.leave()


async def test_a_protocol_that_does_not_read_gets_nothing_until_it_does(opened, cert, context):
    held, client = await attached(opened, cert, context)
    held.transport.pause_reading()
    client.send(b"x" * 100_000)
    client.end()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (held.data, held.events) == (b"", [])
    assert not held.transport.is_reading()
    held.transport.resume_reading()
    await until(lambda: held.events)
    assert len(held.data) == 100_000


async def test_each_direction_ends_by_itself(opened, cert, context):
    held, client = await attached(opened, cert, context)
    held.events.append("keep")
    client.send(b"before")  # on its way while the other direction ends
    held.transport.write_eof()
    held.transport.write_eof()  # once is enough
    await client.until(lambda: client.close_notify)
    client.send(b" and after")
    await until(lambda: held.data == b"before and after")
    with pytest.raises(RuntimeError, match="after write_eof"):
        held.transport.write(b"x")
    client.end()
    await until(lambda: "eof" in held.events)
    held.transport.close()
    assert held.transport.is_closing()
    await until(lambda: "lost" in held.events)


async def test_data_after_the_handshake_in_the_same_read_is_kept(opened, cert, context):
    class EndsAtOnce(Held):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"bye")
            transport.write_eof()

    (listener,) = await opened(f"tls+mem:a?cert={cert}")
    accepting = asyncio.create_task(listener.accept())
    client = await TlsClient.dial("mem:a", context, early=b"x" * 20_000)
    accepted = await accepting
    await accepted.handshake()
    held = EndsAtOnce()
    held.events.append("keep")
    await accepted.attach(held)
    await client.until(lambda: client.close_notify)
    assert client.received == b"bye"
    client.end()
    await until(lambda: "eof" in held.events)
    assert held.data == b"x" * 20_000
    held.transport.close()
    await client.gone()


class Below(asyncio.Transport):
    """A transport whose peer takes nothing."""

    def __init__(self):
        super().__init__()
        self.waiting = b""
        self.how_closed = ""

    def write(self, data):
        self.waiting += data

    def get_write_buffer_size(self):
        return len(self.waiting)

    def resume_reading(self):
        pass

    def is_closing(self):
        return bool(self.how_closed)

    def close(self):
        self.how_closed = "close"

    def abort(self):
        self.how_closed = "abort"


class BrokenEngine:
    """An engine for which nothing works."""

    peer = "client"
    speaks_first = False
    has_ended = False

    def receive(self, octets):
        pass

    def handshake(self):
        raise HandshakeError("tls", "broken")

    def write(self, plaintext):
        raise ssl.SSLError("broken")

    def close_notify(self):
        raise ssl.SSLError("broken")

    def read(self, buffer):
        return 0

    def output(self):
        return b"alert"


def over_nothing():
    below = Below()
    tls = TlsTransport(BrokenEngine(), Scratch())
    tls.below.connection_made(below)
    return tls, below


async def test_an_alert_that_the_peer_does_not_take_is_not_waited_for():
    tls, below = over_nothing()
    tls.below.buffer_updated(10)
    assert below.how_closed == "abort"
    with pytest.raises(HandshakeError, match="broken"):
        await tls.handshake()
    tls.below.buffer_updated(10)  # too late to matter
    tls.close()


@pytest.mark.parametrize(
    "step", [lambda tls: tls.write(b"x"), lambda tls: tls.write_eof(), lambda tls: tls.close()]
)
async def test_a_connection_that_openssl_has_given_up_is_aborted(step):
    tls, below = over_nothing()
    held = Held()
    tls.open(held)
    step(tls)
    assert below.how_closed == "abort"
    step(tls)


async def test_a_pause_asked_for_before_there_was_a_protocol_is_passed_on():
    tls, _ = over_nothing()
    held = Held()
    held.pause_writing = lambda: held.events.append("pause")
    held.resume_writing = lambda: held.events.append("resume")
    tls.below.pause_writing()
    with pytest.raises(RuntimeError, match="no protocol yet"):
        tls.get_protocol()
    tls.open(held)
    tls.below.resume_writing()
    assert held.events == ["pause", "resume"]


async def test_a_protocol_that_raises_loses_its_connection(opened, cert, context):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: reported.append(what))
    held, client = await attached(opened, cert, context)

    def breaks(data):
        raise ValueError("no")

    held.data_received = breaks
    client.send(b"x")
    await client.gone()
    assert held.events == ["lost"]
    assert isinstance(reported[0]["exception"], ValueError)


async def test_a_protocol_that_refuses_its_connection_loses_it(opened, cert, context):
    class Refuses(Held):
        def connection_made(self, transport):
            raise ValueError("no")

    (listener,) = await opened(f"tls+mem:a?cert={cert}")
    accepting = asyncio.create_task(listener.accept())
    client = await TlsClient.dial("mem:a", context)
    accepted = await accepting
    await accepted.handshake()
    with pytest.raises(ValueError, match="no"):
        await accepted.attach(Refuses())
    await client.gone()


async def test_a_connection_that_broke_after_the_handshake_is_not_attached(opened, cert, context):
    (listener,) = await opened(f"tls+mem:a?cert={cert}")
    accepting = asyncio.create_task(listener.accept())
    client = await TlsClient.dial("mem:a", context)
    accepted = await accepting
    await accepted.handshake()
    await client.leave()
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(ConnectionAbortedError):
        await accepted.attach(Held())


async def test_a_connection_closed_before_it_is_served_notifies_the_client(opened, cert, context):
    (listener,) = await opened(f"tls+mem:a?cert={cert}")
    for with_handshake in (False, True):
        accepting = asyncio.create_task(listener.accept())
        client = await TlsClient.dial("mem:a", context)
        accepted = await accepting
        if with_handshake:
            await accepted.handshake()
        accepted.close()
        await client.gone()
