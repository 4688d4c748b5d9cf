"""A client that leaves with input unread keeps no place, under any hosted server."""

from __future__ import annotations

import asyncio
import socket

import pytest
from guests import GET, GUESTS, LEAVINGS, PUT, Diary, connected, grpc_request, port_of, reset

from pierhead import Server

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
FRAME = b"\x81\x82\x00\x00\x00\x00hi"

#: What is sent at once, before the client leaves.
SENT = {
    "pipelined requests": 5 * GET,
    "requests behind one with a body": PUT + b"dy" * 4 + 3 * GET,
    "frames behind a handshake": UPGRADE + 3 * FRAME,
    "half a request": GET[:20],
}
WEB = [name for name in GUESTS if name not in ("streams", "protocol", "grpclib")]


def cases():
    for leaving, leave in LEAVINGS.items():
        for name, sent in [*((name, sent) for name in WEB for sent in SENT), ("grpclib", "a call")]:
            # uvicorn does not read while requests wait in its pipeline: neither their end.
            if (name, sent, leave is reset) != ("uvicorn-httptools", "pipelined requests", False):
                octets = SENT.get(sent) or grpc_request()[1]
                yield pytest.param(name, octets, leave, id=f"{name}-{sent}-{leaving}")


@pytest.mark.parametrize(("name", "sent", "leave"), list(cases()))
@pytest.mark.parametrize("responds", [False, True])
async def test_a_client_that_leaves_gives_its_place_back(name, sent, leave, responds) -> None:
    make, _, serve = GUESTS[name]
    endpoint = serve(make(Diary(), responds))
    limits = {"linger_timeout": 0.1, "first_byte_timeout": 0.2, "message_timeout": 0.2}
    limits["write_timeout"] = 0.1
    async with Server(endpoint, "tcp:127.0.0.1:0", drain_timeout=0.1, **limits) as server:
        with socket.socket() as client:
            await connected(client, port_of(server))
            await asyncio.get_running_loop().sock_sendall(client, sent)
            async with asyncio.timeout(10):
                while not server.metrics.total("bytes_received_total"):
                    await asyncio.sleep(0)
                leave(client)
                while server.metrics.total("connections_open"):
                    await asyncio.sleep(0)
        assert server.metrics.total("connections_accepted_total") == 1
