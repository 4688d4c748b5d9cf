"""What the servers of one process have between them: shared where it is handed in, else one."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest
from inheriting import bound, is_open

from pierhead import Server, raw
from pierhead.errors import ListenError
from pierhead.listener.listening_sockets import listening_sockets
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.protocols import lines

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no inherited sockets")


async def upper(line, context):
    return line.upper()


async def test_two_servers_that_share_them_cannot_both_take_a_descriptor(leave, process):
    number = leave(bound())
    async with Server(lines.serve(upper), f"fd:{number}", process_sockets=process):
        second = Server(lines.serve(upper), f"fd:{number}?name=b", process_sockets=process)
        with pytest.raises(ListenError, match=f"already served, as fd:{number}"):
            await second.__aenter__()
        assert is_open(number)
    assert number not in process.reserved


async def test_two_servers_without_process_sockets_cannot_both_take_a_descriptor(leave):
    number = leave(bound())
    async with Server(lines.serve(upper), f"fd:{number}"):
        with pytest.raises(ListenError, match=f"already served, as fd:{number}"):
            await Server(lines.serve(upper), f"fd:{number}?name=b").__aenter__()
        with pytest.raises(ListenError, match="already served"):
            with listening_sockets(f"fd:{number}"):
                pass
        assert is_open(number)
    assert ProcessSockets.of_this_process() is ProcessSockets.of_this_process()


async def test_each_of_two_servers_gets_its_own_passed_sockets(passed, process):
    environment = passed(bound(), bound(), names="a:b")
    async with Server(lines.serve(upper), "sd:a", process_sockets=process) as one:
        assert environment == {}  # no child takes them for its own
        async with Server(lines.serve(upper), "sd:b", process_sockets=process) as two:
            assert one.addresses != two.addresses
            assert process.passed.unused() == []


async def test_servers_that_share_them_do_not_answer_each_other(process):
    """Of two that answer whatever comes, one is asked in the name of the other."""
    async with (
        Server(raw(lines.echo), "memgram:a", process_sockets=process) as one,
        Server(raw(lines.echo), "memgram:b", process_sockets=process) as two,
    ):
        (listener,) = [server.listener for server in two._serving()]
        listener.send_batch([(b"ahoy", "a")])
        while not one.metrics.total("datagrams_received_total"):
            await asyncio.sleep(0)
        assert one.metrics.total("dropped_total", reason="own_address") == 1
    assert two.metrics.total("datagrams_received_total") == 0


def test_those_of_a_test_leave_the_process_alone():
    alone = ProcessSockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
    assert alone.environment is not os.environ
    assert alone.reserved is not ProcessSockets.of_this_process().reserved
    assert alone.own_addresses is not ProcessSockets.of_this_process().own_addresses


async def test_a_passed_datagram_socket_is_taken_by_one_server_only(leave, process):
    number = leave(bound(socket.SOCK_DGRAM))
    async with Server(raw(lines.echo), f"fd:{number}", process_sockets=process):
        with pytest.raises(ListenError, match="already served"):
            await Server(raw(lines.echo), f"fd:{number}", process_sockets=process).__aenter__()
