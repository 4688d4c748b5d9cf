"""`on_accept` gets the socket of a connection, whatever it came on, with nothing read from it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys

import pytest
import trustme

from pierhead.listener import base
from pierhead.listener.stream import AcceptedChannel, peer_of
from pierhead.net.transport.channel import PipeChannel
from pierhead.protocols import lines
from pierhead.server.server import Server

PLACES = ("tcp", "unix", "unixseq", "fd", "sd", "launchd", "inetd")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="passes sockets as Linux does")


async def upper(line, context):
    return line.upper()


class Told:
    """Keeps what `on_accept` is told, and what could be read then."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, sock, peer) -> None:
        try:
            waiting = sock.recv(100, socket.MSG_PEEK)
        except BlockingIOError:
            waiting = b""
        self.calls.append((sock, peer, waiting))


def serving(address: str, told: Told, process=None) -> Server:
    return Server(lines.serve(upper), address, on_accept=told, process_sockets=process)


async def answer_of(client: socket.socket) -> bytes:
    client.setblocking(False)
    async with asyncio.timeout(20):
        return await asyncio.get_running_loop().sock_recv(client, 100)


@pytest.mark.parametrize("place", PLACES)
async def test_on_accept_is_called_for_every_socket_before_anything_is_read(places, place):
    told = Told()
    async with serving(places.address(place), told, places.process) as server:
        client = places.client(server.addresses[0])
        client.send(b"ahoy\n")
        assert (await answer_of(client)).strip() == b"AHOY"
        ((sock, peer, waiting),) = told.calls
        assert sock.getpeername() == client.getsockname()
        assert str(peer) == str(peer_of(client.getsockname()))
        assert waiting == b"ahoy\n"  # the event loop has had no turn between connect and send
        client.close()


async def test_on_accept_gets_the_socket_below_tls_before_the_handshake(tmp_path):
    authority, told = trustme.CA(), Told()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "a.pem"))
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    async with serving(f"tls+tcp:127.0.0.1:0?cert={tmp_path}/a.pem", told) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trusting, server_hostname="localhost"
            )
            writer.write(b"ahoy\n")
            assert await reader.readline() == b"AHOY\n"
            ((sock, peer, _),) = told.calls
            assert sock.getpeername() == writer.get_extra_info("sockname")
            assert (peer.host, peer.port) == writer.get_extra_info("sockname")
            writer.close()
            await writer.wait_closed()


async def test_the_peer_is_the_proxy_where_a_header_is_to_come(places):
    told = Told()
    async with serving("proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1", told) as server:
        client = places.client("tcp:" + server.addresses[0].partition("tcp:")[2])
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 7000 80\r\nahoy\n")
        assert await answer_of(client) == b"AHOY\n"
        ((_, peer, waiting),) = told.calls
        assert (peer.host, peer.port) == client.getsockname()
        assert waiting.startswith(b"PROXY TCP4")
        client.close()


def test_two_pipes_have_no_socket():
    reading, writing = os.pipe()
    accepted = AcceptedChannel(PipeChannel(reading, writing), None, "inetd")
    try:
        assert base.socket_of(accepted) is None
    finally:
        accepted.close()
    assert base.socket_of(object()) is None
