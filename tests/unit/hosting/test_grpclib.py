"""gRPC by grpclib, asked by its own client and by grpcio's."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys

import grpc
import grpclib.const
import grpclib.server
import pytest
import trustme
from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase
from grpclib.events import RecvRequest
from grpclib.exceptions import GRPCError, StreamTerminatedError
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame

from pierhead import Server
from pierhead.client.dial import dial_stream
from pierhead.connection.life import Waits
from pierhead.errors import UsageError
from pierhead.hosting import grpclib as adapter
from pierhead.hosting.grpclib.connection import Calls, GrpcServer

SHOUT, COUNT, CHAT, WAIT = "/t.Test/Shout", "/t.Test/Count", "/t.Test/Chat", "/t.Test/Wait"
BIG = 1_000_000


class Octets(CodecBase):
    """No protocol buffers: a message is its octets."""

    __content_subtype__ = "proto"  # what grpcio's clients always say

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class Handlers:
    """As grpclib's generator would write it."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.answer = b"waited"

    async def shout(self, stream):
        await stream.send_message((await stream.recv_message()).upper())

    async def count(self, stream):
        for number in range(int(await stream.recv_message())):
            await stream.send_message(b"%d" % number)

    async def chat(self, stream):
        async for message in stream:
            await stream.send_message(message.upper())

    async def wait(self, stream):
        await stream.recv_message()
        self.begun.set()
        await self.may_end.wait()
        await stream.send_message(self.answer)

    def __mapping__(self):
        kinds = grpclib.const.Cardinality

        def of(function, kind):
            return grpclib.const.Handler(function, kind, bytes, bytes)

        return {
            SHOUT: of(self.shout, kinds.UNARY_UNARY),
            COUNT: of(self.count, kinds.UNARY_STREAM),
            CHAT: of(self.chat, kinds.STREAM_STREAM),
            WAIT: of(self.wait, kinds.UNARY_UNARY),
        }


@pytest.fixture
async def handlers():
    return Handlers()


@pytest.fixture
def endpoint(handlers):
    return adapter.serve([handlers], codec=Octets())


class AnyChannel(Channel):
    """grpclib's client, over whatever our own client can dial."""

    def __init__(self, address):
        super().__init__("nowhere", 0, codec=Octets())
        self._address = address

    async def _create_connection(self):
        transport = await dial_stream(self._address, self._protocol_factory)
        return transport.get_protocol()


def unary(channel, name):
    return UnaryUnaryMethod(channel, name, bytes, bytes)


async def shouted(address):
    async with AnyChannel(address) as channel:
        return await unary(channel, SHOUT)(b"hello")


def addresses(tmp_path):
    yield "tcp:127.0.0.1:0"
    yield f"unix:{tmp_path}/s"
    yield "mem:grpc"
    if sys.platform == "linux":
        yield f"unix:@pierhead-grpc-{os.getpid()}"


async def test_grpclibs_client_is_answered_on_every_kind_of_stream(endpoint, tmp_path):
    async with Server(endpoint, *addresses(tmp_path)) as server:
        for address in server.addresses:
            assert await shouted(address) == b"HELLO"


async def test_an_inherited_socket_is_served(endpoint):
    listening = socket.create_server(("127.0.0.1", 0))
    async with Server(endpoint, f"fd:{listening.detach()}") as server:
        assert await shouted(server.addresses[0]) == b"HELLO"


def grpcio_target(address):
    """The address as grpcio writes it."""
    scheme, _, place = address.partition(":")
    if scheme == "tcp":
        return place
    return f"unix-abstract:{place[1:]}" if place.startswith("@") else address


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names")
async def test_grpcios_client_is_answered_on_tcp_unix_and_abstract(endpoint, tmp_path):
    places = [one for one in addresses(tmp_path) if not one.startswith("mem:")]
    async with Server(endpoint, *places) as server:
        for address in server.addresses:
            answers = await asyncio.to_thread(ask_by_grpcio, grpcio_target(address))
            assert answers == (b"HELLO", [b"0", b"1", b"2"], [b"A", b"B"])


def ask_by_grpcio(target):
    with grpc.insecure_channel(target) as channel:
        one = channel.unary_unary(SHOUT)(b"hello", timeout=10)
        many = list(channel.unary_stream(COUNT)(b"3", timeout=10))
        both = list(channel.stream_stream(CHAT)(iter([b"a", b"b"]), timeout=10))
        return one, many, both


async def test_grpcios_client_speaks_tls_to_it(endpoint, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with Server(endpoint, f"tls+tcp:127.0.0.1:0?cert={tmp_path}/cert.pem") as server:
        port = server.addresses[0].rpartition(":")[2]

        def ask():
            options = [("grpc.ssl_target_name_override", "localhost")]
            with grpc.secure_channel(f"127.0.0.1:{port}", trusted, options) as channel:
                return channel.unary_unary(SHOUT)(b"hello", timeout=10)

        assert await asyncio.to_thread(ask) == b"HELLO"
        other = {"ssl": authority_context(authority, "http/1.1"), "server_hostname": "localhost"}
        with pytest.raises(ssl.SSLError):  # only HTTP/2: other offers are refused
            await asyncio.open_connection("127.0.0.1", port, **other)


def authority_context(authority, protocol):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    context.set_alpn_protocols([protocol])
    return context


async def test_a_proxy_header_names_the_caller(handlers):
    seen = []

    async def note(event):
        seen.append(event.peer.addr())

    endpoint = adapter.serve([handlers], codec=Octets(), listen={RecvRequest: note})
    async with Server(endpoint, "proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1") as server:

        class ProxiedChannel(AnyChannel):
            def _protocol_factory(self):
                return Announced(super()._protocol_factory())

        async with ProxiedChannel(server.addresses[0].removeprefix("proxy+")) as channel:
            assert await unary(channel, SHOUT)(b"hello") == b"HELLO"
    assert seen == [("192.0.2.7", 4711)]


class Announced(asyncio.Protocol):
    """Sends a PROXY header, then is the protocol inside."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def connection_made(self, transport):
        transport.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n")
        self._inner.connection_made(transport)

    def data_received(self, data):
        self._inner.data_received(data)

    def connection_lost(self, exc):
        self._inner.connection_lost(exc)


async def test_streams_of_messages_go_both_ways(endpoint):
    async with Server(endpoint, "mem:grpc"), AnyChannel("mem:grpc") as channel:
        many = UnaryStreamMethod(channel, COUNT, bytes, bytes)
        assert await many(b"3") == [b"0", b"1", b"2"]
        both = StreamStreamMethod(channel, CHAT, bytes, bytes)
        assert await both([b"a", b"b"]) == [b"A", b"B"]


async def test_an_unknown_method_is_unimplemented(endpoint):
    async with Server(endpoint, "tcp:127.0.0.1:0") as server:
        with pytest.raises(grpc.RpcError) as refused:
            await asyncio.to_thread(ask_one, server.addresses[0], "/t.Test/Nothing")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def ask_one(address, method):
    with grpc.insecure_channel(grpcio_target(address)) as channel:
        return channel.unary_unary(method)(b"", timeout=10)


async def test_a_listening_function_may_refuse_a_call(handlers):
    async def deny(event):
        raise GRPCError(grpclib.const.Status.PERMISSION_DENIED)

    endpoint = adapter.serve([handlers], codec=Octets(), listen={RecvRequest: deny})
    async with Server(endpoint, "mem:grpc"), AnyChannel("mem:grpc") as channel:
        with pytest.raises(GRPCError) as refused:
            await unary(channel, SHOUT)(b"hello")
    assert refused.value.status is grpclib.const.Status.PERMISSION_DENIED


@pytest.mark.rfc("9113", "6.8")
async def test_a_stop_finishes_the_calls_that_were_taken(endpoint, handlers):
    """The answer needs more than one window, so the connection is read till its end."""
    handlers.answer = b"x" * BIG
    async with Server(endpoint, "tcp:127.0.0.1:0") as server:
        call = asyncio.create_task(asyncio.to_thread(ask_one, server.addresses[0], WAIT))
        await handlers.begun.wait()
        assert server.in_flight == 1
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        handlers.may_end.set()
        assert await call == handlers.answer
        await draining
    assert server.lost.count == 0


async def test_a_stop_finishes_the_calls_of_grpclibs_client_too(endpoint, handlers):
    """It takes GOAWAY for the end of every call, and is not sent one."""
    async with AnyChannel("mem:grpc") as channel, Server(endpoint, "mem:grpc") as server:
        call = asyncio.create_task(unary(channel, WAIT)(b""))
        await handlers.begun.wait()
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        handlers.may_end.set()
        assert await call == b"waited"
        await draining
    assert server.lost.count == 0


async def test_a_call_that_outlives_the_drain_is_named_lost(endpoint, handlers):
    async with AnyChannel("mem:grpc") as channel:
        async with Server(endpoint, "mem:grpc", drain_timeout=0.01) as server:
            call = asyncio.create_task(unary(channel, WAIT)(b""))
            await handlers.begun.wait()
        with pytest.raises(StreamTerminatedError):
            await call
    assert [lost.reason for lost in server.lost] == ["drain"]


async def test_a_connection_without_calls_is_closed_when_idle_and_one_with_a_call_is_not(
    endpoint, handlers, clock, server
):
    await server(endpoint, "mem:grpc", idle_timeout=5.0)
    async with AnyChannel("mem:grpc") as waiting, AnyChannel("mem:grpc") as idle:
        call = asyncio.create_task(unary(waiting, WAIT)(b""))
        await handlers.begun.wait()
        assert await unary(idle, SHOUT)(b"hello") == b"HELLO"
        protocol = idle._protocol
        await clock.advance(10)
        assert protocol.handler.connection_lost
        assert not waiting._protocol.handler.connection_lost
        handlers.may_end.set()
        assert await call == b"waited"


class Recorded(asyncio.Protocol):
    """Records what is written and whether it was closed; replaces a transport."""

    def __init__(self):
        self.frames = []
        self.is_closed = False
        self.reads_on = False

    def write(self, data):
        rest = memoryview(data)
        while rest:
            frame, length = Frame.parse_frame_header(rest[:9])
            frame.parse_body(rest[9 : 9 + length])
            self.frames.append(frame)
            rest = rest[9 + length :]

    def get_extra_info(self, name, default=None):
        return default

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    def read_on(self):
        self.reads_on = True


@pytest.mark.rfc("9113", "8.7")
async def test_a_call_that_crosses_the_goaway_is_refused_unprocessed(handlers):
    from h2.config import H2Configuration
    from h2.connection import H2Connection

    calls = Calls(GrpcServer([handlers], {}, {"codec": Octets()}).new_connection())
    transport = Recorded()
    calls.protocol.connection_made(transport)
    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    client.initiate_connection()
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", WAIT),
        (":authority", "a"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    client.send_headers(1, headers)
    client.send_data(1, b"\0\0\0\0\0", end_stream=True)
    calls.protocol.data_received(client.data_to_send())
    await handlers.begun.wait()
    assert (calls.in_flight, calls.waits) == (1, Waits.NOTHING)

    calls.finish(transport)
    assert transport.reads_on
    (goaway,) = [frame for frame in transport.frames if isinstance(frame, GoAwayFrame)]
    assert (goaway.last_stream_id, goaway.error_code) == (1, 0)
    client.send_headers(3, headers)
    calls.protocol.data_received(client.data_to_send())
    (reset,) = [frame for frame in transport.frames if isinstance(frame, RstStreamFrame)]
    assert (reset.stream_id, reset.error_code) == (3, 7)  # REFUSED_STREAM
    assert not transport.is_closed

    handlers.may_end.set()
    await asyncio.wait(calls.unfinished())
    await asyncio.sleep(0)
    assert transport.is_closed
    calls.protocol.connection_lost(None)


async def test_a_client_that_gives_up_cancels_its_call(endpoint, handlers):
    async with Server(endpoint, "mem:grpc") as server, AnyChannel("mem:grpc") as channel:
        async with unary(channel, WAIT).open() as stream:
            await stream.send_message(b"", end=True)
            await handlers.begun.wait()
            await stream.cancel()
        while server.in_flight:
            await asyncio.sleep(0)


async def test_an_endpoint_serves_in_one_loop_after_another(endpoint):
    async def once():
        async with Server(endpoint, "tcp:127.0.0.1:0") as server:
            return await shouted(server.addresses[0])

    assert await once() == b"HELLO"
    assert await asyncio.to_thread(asyncio.run, once()) == b"HELLO"


async def test_what_we_rely_on_in_grpclib_is_there(handlers):
    protocol = grpclib.server.Server([handlers], codec=Octets())._protocol_factory()
    assert type(protocol.handler) is grpclib.server.Handler
    assert protocol.handler._tasks == {}
    assert not hasattr(protocol, "processor")  # made when connected, with the handler of then


def test_what_handles_no_calls_is_refused():
    with pytest.raises(UsageError, match="handles no calls"):
        adapter.serve([object()])


def test_without_grpclib_the_error_has_the_line_that_installs_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "grpclib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pierhead.hosting.grpclib.connection", raising=False)
    monkeypatch.setitem(sys.modules, "grpclib", None)
    with pytest.raises(UsageError, match=r"pip install 'pierhead\[grpclib\]'"):
        adapter.serve([])


def test_an_endpoint_has_the_name_that_it_is_given():
    endpoint = adapter.serve([], name="ledger", short_form=("vsock",))
    assert (endpoint.name, endpoint.short_form) == ("ledger", ("vsock",))
    assert adapter.serve([]).name == "grpc"
