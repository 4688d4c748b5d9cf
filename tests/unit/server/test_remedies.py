"""Remedies for addresses that a server cannot serve or change: each is followed."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from tests.remedies import remedies_of

from pierhead import Lines, ListenSpec, Octets, Server, WireFormat, raw, serve
from pierhead.errors import ListenError
from pierhead.listener.adopt.systemd import PassedSockets
from pierhead.listener.base import ListenerEnded
from pierhead.listener.custom import CustomStreamListener
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.protocols import lines
from pierhead.runtime.worker_sockets import WorkerSockets
from pierhead.server.endpoint import Endpoint

#: What is advised, by the module that says so; each has a test below.
FOLLOWED = {
    ("runtime/worker_sockets.py", "serve with one worker"),
    ("server/handlers.py", "or serve another protocol on this one"),
    ("server/handlers.py", "leave it out"),
    ("server/replacement.py", "leave the option unchanged; the listener in effect is unaffected"),
    ("server/replacement.py", "leave it unchanged, or restart the server"),
    ("server/server.py", "leave optional out of one of them, so that its absence is an error"),
}


async def upper(line: Any, context: Any) -> Any:
    return line.upper()


async def refused(endpoint: Endpoint, *addresses: str, **arguments: Any) -> str:
    with pytest.raises(ListenError) as caught:
        async with Server(endpoint, *addresses, **arguments):
            pytest.fail("it was served")
    return caught.value.remedy


async def served(endpoint: Endpoint, *addresses: str, **arguments: Any) -> None:
    async with Server(endpoint, *addresses, **arguments) as server:
        assert server.addresses


@pytest.mark.parametrize("scheme", ["mem:a", "unix:{folder}/s", "tcp:127.0.0.1:0"])
async def test_what_an_endpoint_serves_is_said_and_served(scheme, tmp_path):
    datagrams = raw(upper, name="shout")
    remedy = await refused(datagrams, scheme.format(folder=tmp_path))
    assert remedy == (
        "give shout an address of udp:, unixgram: or unixseq:; frame its messages with "
        "serve(service, wire_format), or serve another protocol on this one"
    )
    for address in ("udp:127.0.0.1:0", f"unixgram:{tmp_path}/d", f"unixseq:{tmp_path}/q"):
        await served(datagrams, address)
    for endpoint in (serve(upper, WireFormat(Lines(), Octets())), lines.serve(upper)):
        await served(endpoint, scheme.format(folder=tmp_path))


@pytest.mark.parametrize(
    "address", ["udp:127.0.0.1:0", "unixgram:{folder}/s", "unixseq:{folder}/s"]
)
async def test_what_an_endpoint_of_streams_serves_is_said_and_served(address, tmp_path):
    streams = Endpoint(name="talk", stream=lines.serve(upper).stream)
    remedy = await refused(streams, address.format(folder=tmp_path))
    assert remedy.startswith("give talk an address of tcp: or unix:, or serve another protocol")
    for written in ("tcp:127.0.0.1:0", f"unix:{tmp_path}/other"):
        await served(streams, written)
    await served(raw(upper), address.format(folder=tmp_path))


async def test_accounts_are_left_out_where_peers_have_none():
    endpoint = lines.serve(upper)

    async def accept() -> Any:
        raise ListenerEnded

    with pytest.raises(ListenError) as caught:
        async with Server(endpoint, CustomStreamListener("sd:a?allow-uid=0", accept)):
            pytest.fail("it was served")
    assert caught.value.remedy == "leave it out"
    async with Server(endpoint, CustomStreamListener("sd:a", accept)) as server:
        assert server.addresses == ["sd:a"]


async def test_an_option_that_cannot_change_is_left_unchanged(monkeypatch):
    """The system refuses the change; root may change everything."""
    endpoint = lines.serve(upper)
    async with Server(endpoint, "tcp:127.0.0.1:0", "mem:a") as server:
        before = server.addresses

        def refuse(*_: Any) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("pierhead.listener.socket_listener.apply_change", refuse)
        with pytest.raises(ListenError) as caught:
            await server.replace(endpoint, "tcp:127.0.0.1:0?rcvbuf=64KiB", "mem:a")
        remedy = caught.value.remedy
        assert remedy == "leave the option unchanged; the listener in effect is unaffected"
        assert server.addresses == before
        await server.replace(endpoint, "tcp:127.0.0.1:0", "mem:a")
        assert server.addresses == before


async def test_what_needs_a_new_listener_is_left_unchanged_or_waits_for_a_restart(tmp_path):
    endpoint, path = lines.serve(upper), f"unix:{tmp_path}/s"
    async with Server(endpoint, path) as server:
        with pytest.raises(ListenError) as caught:
            await server.replace(endpoint, f"{path}?mode=0600")
        assert caught.value.remedy == "leave it unchanged, or restart the server"
        await server.replace(endpoint, path)
    await served(endpoint, f"{path}?mode=0600")


async def test_one_address_at_least_is_not_optional():
    process = ProcessSockets({}, first_passed=700)
    endpoint = lines.serve(upper)
    remedy = await refused(endpoint, "sd:?optional", process_sockets=process)
    assert remedy == "leave optional out of one of them, so that its absence is an error"
    with pytest.raises(ListenError, match="no socket was passed"):
        async with Server(endpoint, "sd:", process_sockets=process):
            pytest.fail("it was served")
    assert isinstance(process.passed, PassedSockets)
    await served(endpoint, "sd:?optional", "mem:a", process_sockets=process)


async def test_where_ports_cannot_be_shared_one_worker_serves(monkeypatch):
    groups = [(ListenSpec.parse("tcp:127.0.0.1:0"),)]
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(ListenError) as caught:
        await WorkerSockets.opened(groups, 2)
    assert caught.value.remedy == "serve with one worker"
    (await WorkerSockets.opened(groups, 1)).close()


def test_no_remedy_is_without_its_test():
    given = remedies_of("server", "runtime", "client", "service", "protocols/lines")
    assert len(given) >= 5
    untested = [
        str(one)
        for one in given
        if not any(module == one.module and advice in one for module, advice in FOLLOWED)
    ]
    assert untested == []
