"""A guest is told of every event on its connection that its own server would report.

Each event is brought about twice on a real connection: under the guest's plain server, and under
ours. What a plain server tells its guest is what ours has to tell.
"""

from __future__ import annotations

import asyncio
import functools
import socket

import pytest
from guests import (
    GET,
    GUESTS,
    LEAVINGS,
    PUT,
    alone,
    connected,
    grpc_request,
    here,
    here_while_it_drains,
    plainly_protocol,
)

from pierhead import hosting

#: What the client has sent, and whether the guest has begun to answer.
WHENS = {
    "while its request is worked on": (GET, False),
    "within its request": (PUT, False),
    "while it is answered": (GET, True),
}


async def _first_heard(diary, port, request, leave):
    """Connect, send a request, disconnect; return the first thing the guest was told."""
    with socket.socket() as client:
        await connected(client, port)
        await asyncio.get_running_loop().sock_sendall(client, request)
        await diary.has_begun()
        leave(client)
        return await diary.heard.get()


@pytest.mark.parametrize("leave", LEAVINGS.values(), ids=LEAVINGS)
@pytest.mark.parametrize(("request_", "responds"), WHENS.values(), ids=WHENS)
@pytest.mark.parametrize("name", GUESTS)
async def test_a_guest_is_told_of_a_disconnect_as_under_its_own_server(
    name, request_, responds, leave
):
    if name in ("streams", "protocol"):
        request_ = GET
    if name == "grpclib":
        request_ = grpc_request()[1]
    talk = functools.partial(_first_heard, request=request_, leave=leave)
    expected = await alone(GUESTS[name], talk, responds)
    assert await here(GUESTS[name], talk, responds) == expected


@pytest.mark.parametrize("leave", LEAVINGS.values(), ids=LEAVINGS)
@pytest.mark.parametrize("name", ["uvicorn-httptools", "hypercorn", "aiohttp", "grpclib"])
async def test_a_client_that_disconnects_during_the_drain_is_noticed_too(name, leave):
    """Its own server reads on while it stops; so does ours."""
    request = grpc_request()[1] if name == "grpclib" else GET
    talk = functools.partial(_first_heard, request=request, leave=leave)
    expected = await alone(GUESTS[name], talk)
    assert await here_while_it_drains(GUESTS[name], talk) == expected


#: More than the sockets between two processes of one host hold.
MUCH = bytes(16 * 2**20)


def writing_protocol(diary, _):
    """A guest that writes until it is paused, and again after its own close."""

    class Guest(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(MUCH)
            diary.note("written")
            diary.begun.set()

        def pause_writing(self):
            diary.note("pause_writing")

        def resume_writing(self):
            diary.note("resume_writing")
            self.transport.close()
            self.transport.write(b"too late")
            diary.note(f"closing {self.transport.is_closing()}")

        def connection_lost(self, exc):
            diary.note(f"connection_lost {exc!r}")

    return Guest


async def _read_late(diary, port):
    """Connect, read only after the guest has written; return what arrived and what it was told."""
    size = 0
    with socket.socket() as client:
        await connected(client, port)
        await diary.begun.wait()
        while octets := await asyncio.get_running_loop().sock_recv(client, 2**20):
            size += len(octets)
    return [size, *await diary.until("connection_lost")]


async def test_a_protocol_is_paused_for_a_slow_reader_and_its_late_write_is_dropped():
    guest = (writing_protocol, plainly_protocol, hosting.protocol.serve)
    words = ["pause_writing", "written", "resume_writing", "closing True", "connection_lost None"]
    assert await alone(guest, _read_late) == [len(MUCH), *words]
    assert await here(guest, _read_late) == [len(MUCH), *words]
