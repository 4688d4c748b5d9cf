"""The way to an address: addresses raced, options set, sources bound, errors that name the step."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pierhead import Context, Server, connect
from pierhead.address.registry import OPTIONS, AppliedBy, Side
from pierhead.client import connecting
from pierhead.client.route import Route
from pierhead.errors import ConnectError, ConnectionEnded, FramingError, UsageError
from pierhead.protocols import lines

FORMAT = lines.wire_format()
linux = pytest.mark.skipif(sys.platform != "linux", reason="read back by Linux's numbers")


async def shout(line: str, context: Context) -> str:
    return line.upper()


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    """An address of loopback where nothing answers: a full backlog, whose SYNs are dropped."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        fillers = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(address)
                fillers.append(filler)
            yield address
        finally:
            for filler in fillers:
                filler.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, Any]]]:
    """Names and their addresses, instead of the resolver's."""
    known: dict[str, list[tuple[int, Any]]] = {}

    async def resolve(host: str, port: int, kind: Any) -> list[tuple[int, Any]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known[host]

    monkeypatch.setattr(connecting, "resolve_host", resolve)
    return known


def place(address: str) -> tuple[int, Any]:
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port), 0, 0)
    return socket.AF_INET, (host, int(port))


@linux
async def test_a_black_holed_address_costs_one_delay(black_hole, names) -> None:
    async with Server(lines.serve(shout), "tcp:127.0.0.1:0") as server:
        names["two.example"] = [(socket.AF_INET, black_hole), place(server.addresses[0])]
        start = time.monotonic()
        async with connect("tcp:two.example:9", FORMAT) as client:
            taken = time.monotonic() - start
            assert await client.request("hello") == "HELLO"
        assert 0.2 < taken < 0.3


async def test_an_address_that_refuses_costs_nothing_and_both_are_named(names) -> None:
    async with Server(lines.serve(shout), "tcp:127.0.0.1:0") as server:
        free = server.addresses[0]
    names["two.example"] = [place(free), (socket.AF_INET, ("127.0.0.1", 1))]
    with pytest.raises(ConnectError) as refused:
        await Route("tcp:two.example:9").stream(asyncio.Protocol, timeout_s=10)
    assert refused.value.reason == (
        f"{free.removeprefix('tcp:')}: Connection refused; 127.0.0.1:1: Connection refused"
    )
    assert refused.value.errno == errno.ECONNREFUSED
    assert refused.value.step == "connect"


@linux
async def test_no_answer_in_time_names_the_addresses_and_leaves_nothing_open(
    black_hole, names
) -> None:
    names["two.example"] = [(socket.AF_INET, black_hole), (socket.AF_INET, black_hole)]
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConnectError, match=r"no answer from 127.0.0.1:.* within 0\.1 s") as late:
        await Route("tcp:two.example:9", attempt_delay_s=0.01).stream(
            asyncio.Protocol, timeout_s=0.1
        )
    assert late.value.reason.count(f":{black_hole[1]}") == 2
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_name_that_does_not_resolve_says_so(names) -> None:
    with pytest.raises(ConnectError, match="Name or service not known") as unknown:
        await Route("tcp:nowhere.example:9").stream(asyncio.Protocol)
    assert unknown.value.step == "resolve"
    assert "getent" in unknown.value.remedy


async def test_resolving_has_a_deadline(monkeypatch) -> None:
    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(connecting, "resolve_host", never)
    with pytest.raises(ConnectError, match=r"no address within 0\.01 s") as late:
        async with connect("tcp:slow.example:9", FORMAT, connect_timeout=0.01):
            pass
    assert late.value.step == "resolve"


@linux
async def test_a_full_backlog_of_a_path_is_waited_for(tmp_path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            with pytest.raises(ConnectError, match="no answer within"):
                await Route(f"unix:{path}").stream(asyncio.Protocol, timeout_s=0.05)
            going = asyncio.ensure_future(Route(f"unix:{path}").stream(asyncio.Protocol))
            await asyncio.sleep(0)
            listening.accept()[0].close()
            transport = await asyncio.wait_for(going, 10)
            listening.accept()[0].close()
            transport.abort()
    await asyncio.sleep(0)


@linux
async def test_a_socket_is_not_connected_to_itself() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp:127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ConnectError, match="Connection refused"):
        await Route(address, source=address).stream(asyncio.Protocol)


async def test_the_source_is_bound_on_a_stream_and_its_file_removed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    peers = []

    async def who(line: str, context: Context) -> str:
        peers.append(str(context.peer))
        return line

    async with Server(lines.serve(who), "unix:./s", "tcp:127.0.0.1:0") as server:
        async with connect("unix:./s", FORMAT, source="unix:./c") as client:
            assert await client.request("a") == "a"
        source = "127.0.0.9:0" if sys.platform == "linux" else "127.0.0.1:0"
        async with connect(server.addresses[1], FORMAT, source=source) as client:
            assert await client.request("a") == "a"
            assert client.addresses[0].startswith(source[:-1])
    assert peers[0] == "./c"
    assert peers[1].startswith(source[:-1])
    assert os.listdir() == []


async def test_a_source_of_another_family_is_an_error(names) -> None:
    names["::1"] = [(socket.AF_INET6, ("::1", 0, 0, 0))]
    names["two.example"] = [(socket.AF_INET, ("127.0.0.1", 1))]
    with pytest.raises(ConnectError, match="of a different family"):
        await Route("tcp:two.example:9", source="tcp:[::1]:0").stream(asyncio.Protocol)


@linux
async def test_a_packet_larger_than_a_read_fails_what_waits(tmp_path) -> None:
    async def long(line: str, context: Context) -> str:
        return "x" * 2000

    async with Server(lines.serve(long), f"unixseq:{tmp_path}/s") as server:
        async with connect(server.addresses[0], FORMAT, read_size_bytes=1024) as client:
            with pytest.raises(FramingError, match="raise read_size_bytes"):
                await client.request("a")
        async with connect(server.addresses[0], FORMAT, read_size_bytes=1024).conversation() as one:
            await one.send("a")
            with pytest.raises(ConnectionEnded, match="truncated"):
                await one.receive()


def test_a_scheme_without_streams_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of tcp:"):
        Route("udp:127.0.0.1:9")


# -- options -------------------------------------------------------------------------------------

TCP, IP, SOL = socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.SOL_SOCKET

#: For each option of sockets: as written, and what the system tells of it then.
ON_TCP = {
    "nodelay": ("nodelay=off", TCP, socket.TCP_NODELAY, 0),
    "keepalive": ("keepalive=60s:5s:3", SOL, socket.SO_KEEPALIVE, 1),
    "keepalive-ms": ("keepalive-ms=60000:3:5000", SOL, socket.SO_KEEPALIVE, 1),
    "user-timeout": ("user-timeout=30s", TCP, 18, 30_000),
    "notsent-lowat": ("notsent-lowat=16KiB", TCP, 25, 16_384),
    "maxseg": ("maxseg=1220B", TCP, 2, 1220),
    "fastopen-connect": ("fastopen-connect", TCP, 30, 1),
    "sndbuf": ("sndbuf=64KiB", SOL, socket.SO_SNDBUF, 131_072),
    "rcvbuf": ("rcvbuf=64KiB", SOL, socket.SO_RCVBUF, 131_072),
    "reuseaddr": ("reuseaddr", SOL, socket.SO_REUSEADDR, 1),
    "device": ("device=lo", SOL, 25, None),
    "freebind": ("freebind", IP, 15, 1),
    "transparent": ("transparent", IP, 19, 1),
    "mark": ("mark=7", SOL, 36, 7),
    "dscp": ("dscp=46", IP, socket.IP_TOS, 184),
    "mtu-discover": ("mtu-discover=do", IP, 10, 2),
}
_ABOUT_EQUAL = ("maxseg",)  # the system takes its own options off

ROWS = [row for row in OPTIONS if Side.DIAL in row.sides and AppliedBy.SOCKET in row.applied_by]


@linux
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
async def test_each_option_is_set_on_the_socket_that_is_connected(row, monkeypatch) -> None:
    written, level, option, expected = ON_TCP[row.key]
    seen: list[socket.socket] = []

    async def connected(sock: socket.socket, address: Any) -> None:
        seen.append(sock.dup())
        await original(sock, address)

    original = connecting._connect_to
    monkeypatch.setattr(connecting, "_connect_to", connected)
    async with Server(lines.serve(shout), "tcp:127.0.0.1:0") as server:
        try:
            async with connect(f"{server.addresses[0]}?{written}", FORMAT) as client:
                assert await client.request("hello") == "HELLO"
                (sock,) = seen
                with sock:
                    if expected is None:
                        assert sock.getsockopt(level, option, 16).rstrip(b"\0") == b"lo"
                    elif row.key in _ABOUT_EQUAL:
                        assert 0 < sock.getsockopt(level, option) <= expected
                    else:
                        assert sock.getsockopt(level, option) == expected
        except ConnectError as error:
            if error.errno != errno.EPERM:
                raise
            pytest.skip(str(error))


@linux
async def test_an_option_that_cannot_be_set_is_the_step_that_failed() -> None:
    with pytest.raises(ConnectError) as refused:
        await Route("tcp:127.0.0.1:9?device=none7").stream(asyncio.Protocol)
    assert refused.value.step == "option device"
    assert refused.value.errno in (errno.ENODEV, errno.EPERM)


@linux
async def test_options_hold_for_datagrams_too() -> None:
    async with Server(lines.serve(shout), "udp:127.0.0.1:0") as server:
        async with connect(f"{server.addresses[0]}?dscp=46&rcvbuf=64KiB", FORMAT) as client:
            assert await client.request("hello") == "HELLO"
