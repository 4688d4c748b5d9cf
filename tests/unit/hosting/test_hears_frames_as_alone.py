"""Events within WebSocket, HTTP/2 and TLS are reported as by a guest's own server."""

from __future__ import annotations

import asyncio
import functools
import socket

import pytest
import trustme
import wsproto
from guests import (
    GET,
    GUESTS,
    LEAVINGS,
    TlsClient,
    alone,
    connected,
    end_side,
    grpc_request,
    here,
    here_while_it_drains,
    http_2_request,
    plainly_protocol,
    reset,
)
from wsproto.events import AcceptConnection, CloseConnection, Message, Request, TextMessage

from pierhead import hosting


async def assert_heard_as_alone(name, talk, responds=False, pem=None):
    expected = await alone(GUESTS[name], talk, responds, pem)
    assert await here(GUESTS[name], talk, responds, pem) == expected


# -- WebSocket ---------------------------------------------------------------------------------


def says(*events, leave=end_side):
    """Return a client that sends these events or octets, and leaves."""

    async def go(connection, sock):
        loop = asyncio.get_running_loop()
        for event in events:
            octets = event if isinstance(event, bytes) else connection.send(event)
            await loop.sock_sendall(sock, octets)
        if leave is not None:
            leave(sock)

    return go


GOING = CloseConnection(code=4001, reason="going")
HALF = Message("half", message_finished=False)

CONVERSATIONS = {
    "a close frame": says(GOING, leave=None),
    "a close frame without a code": says(b"\x88\x80abcd", leave=None),
    "a close frame, and the end": says(GOING),
    "a close frame, and a reset": says(GOING, leave=reset),
    "the end": says(),
    "closed": says(leave=LEAVINGS["closes"]),
    "a reset": says(leave=reset),
    "a message, and the end": says(TextMessage("hello")),
    "a message, and a close frame": says(TextMessage("hello"), GOING, leave=None),
    "the end within a frame": says(b"\x81\xff"),
    "the end within a message": says(HALF),
    "a close frame within a message": says(HALF, GOING, leave=None),
    "what is no UTF-8": says(b"\x81\x81\0\0\0\0\xff", leave=None),
    "a frame that is not masked, and the end": says(b"\x81\x01a"),
}


async def _converse(diary, port, go):
    loop = asyncio.get_running_loop()
    connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    with socket.socket() as client:
        await connected(client, port)
        await loop.sock_sendall(client, connection.send(Request(host="t", target="/")))
        events = []
        while not events:
            connection.receive_data(await loop.sock_recv(client, 65_536))
            events += connection.events()
        assert isinstance(events[0], AcceptConnection)
        await go(connection, client)
        return await diary.until("end")


WEBSOCKETS = ["uvicorn-httptools", "hypercorn", "aiohttp", "aiohttp-cancelling"]


@pytest.mark.parametrize("go", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("name", WEBSOCKETS)
async def test_the_end_of_a_websocket_is_reported_as_under_its_own_server(name, go):
    await assert_heard_as_alone(name, functools.partial(_converse, go=go))


@pytest.mark.parametrize("leave", [LEAVINGS["closes"], reset])
@pytest.mark.parametrize("name", WEBSOCKETS)
async def test_a_websocket_waiting_to_write_is_told_that_its_peer_disconnected(name, leave):
    talk = functools.partial(_converse, go=says(leave=leave))
    await assert_heard_as_alone(name, talk, responds=True)


# -- HTTP/2 ------------------------------------------------------------------------------------


def resets_stream(connection):
    connection.reset_stream(1, error_code=8)


def says_goaway(connection):
    connection.close_connection()


def breaks_rules(_):
    return b"\0\0\1\0\0\0\0\0\0x"  # DATA on stream 0


FRAMES = {
    "RST_STREAM": resets_stream,
    "GOAWAY": says_goaway,
    "an error of the connection": breaks_rules,
    "the end within a frame": lambda _: b"\0\0\5\0\0\0\0\0\1x",
    "nothing": lambda _: None,
}


async def _ask_by_http_2(diary, port, make, frames, leave):
    loop = asyncio.get_running_loop()
    connection, octets = make()
    with socket.socket() as client:
        await connected(client, port)
        await loop.sock_sendall(client, octets)
        await diary.has_begun()
        more = frames(connection)
        await loop.sock_sendall(client, connection.data_to_send() + (more or b""))
        if leave is not None:
            leave(client)
        return await diary.heard.get()


HTTP_2 = {"hypercorn": http_2_request, "grpclib": grpc_request}


@pytest.mark.parametrize("name", HTTP_2)
@pytest.mark.parametrize(
    ("frames", "leave"),
    [
        ("RST_STREAM", None),
        ("RST_STREAM", end_side),
        ("GOAWAY", end_side),
        ("an error of the connection", None),
        ("the end within a frame", end_side),
        ("nothing", end_side),
        ("nothing", LEAVINGS["closes"]),
        ("nothing", reset),
    ],
)
async def test_the_end_of_an_http_2_stream_is_reported_as_under_its_own_server(name, frames, leave):
    talk = functools.partial(_ask_by_http_2, make=HTTP_2[name], frames=FRAMES[frames], leave=leave)
    await assert_heard_as_alone(name, talk)


@pytest.mark.parametrize("name", HTTP_2)
async def test_a_stream_reset_during_the_drain_is_reported(name):
    talk = functools.partial(_ask_by_http_2, make=HTTP_2[name], frames=resets_stream, leave=None)
    expected = await alone(GUESTS[name], talk)
    assert await here_while_it_drains(GUESTS[name], talk) == expected


# -- TLS ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def pem(authority, tmp_path):
    path = tmp_path / "server.pem"
    path.touch(mode=0o600)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


ENDS = {
    "close_notify": (True, None),
    "close_notify, and the end": (True, end_side),
    "truncation": (False, end_side),
    "a reset": (False, reset),
}


async def _ask_by_tls(diary, port, name, authority, notifies, leave):
    """Connect, send a request, disconnect; return what was reported, up to the end."""
    is_grpc = name == "grpclib"
    with socket.socket() as sock:
        await connected(sock, port)
        client = TlsClient(sock, authority, "h2" if is_grpc else "http/1.1")
        await client.shake_hands()
        await client.send(grpc_request()[1] if is_grpc else GET)
        await diary.has_begun()
        if notifies:
            await client.notify()
        if leave is not None:
            leave(sock)
        return await diary.until("connection_lost" if name == "protocol" else "")


@pytest.mark.parametrize(("notifies", "leave"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("responds", [False, True], ids=["asked", "answered"])
@pytest.mark.parametrize("name", GUESTS)
async def test_the_end_of_tls_is_reported_as_under_its_own_server(
    name, responds, notifies, leave, authority, pem
):
    talk = functools.partial(
        _ask_by_tls, name=name, authority=authority, notifies=notifies, leave=leave
    )
    await assert_heard_as_alone(name, talk, responds, pem)


@pytest.mark.parametrize(("notifies", "leave"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("name", ["uvicorn-httptools", "hypercorn", "aiohttp", "grpclib"])
async def test_the_end_of_tls_is_reported_during_the_drain(name, notifies, leave, authority, pem):
    talk = functools.partial(
        _ask_by_tls, name=name, authority=authority, notifies=notifies, leave=leave
    )
    expected = await alone(GUESTS[name], talk, pem=pem)
    assert await here_while_it_drains(GUESTS[name], talk, pem) == expected


def examining_protocol(diary, _):
    """A guest that looks, at the end of its input, for whether that was cut off."""

    class Guest(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            diary.begun.set()

        def eof_received(self):
            diary.note(str(self.transport.get_extra_info("truncated")))

    return Guest


@pytest.mark.rfc("8446", "6.1")
@pytest.mark.parametrize("notifies", [True, False])
async def test_a_guest_of_ours_can_tell_a_truncation_from_an_end(notifies, authority, pem):
    guest = (examining_protocol, plainly_protocol, hosting.protocol.serve)
    talk = functools.partial(
        _ask_by_tls, name="examiner", authority=authority, notifies=notifies, leave=end_side
    )
    assert await here(guest, talk, pem=pem) == [str(not notifies)]
