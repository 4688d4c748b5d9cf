"""Several addresses as one set."""

from __future__ import annotations

import sys

import pytest
from inheriting import bound, is_open

from pierhead.address import ListenSpec
from pierhead.errors import ListenError
from pierhead.listener.bind.memory import MemoryStreamListener
from pierhead.listener.open import open_all
from pierhead.net.memory import Network


def specs(*addresses):
    return [(ListenSpec.parse(address),) for address in addresses]


async def test_a_set_knows_its_addresses_and_closes_as_one() -> None:
    members = await open_all(specs("tcp:127.0.0.1:0", "mem:a"))
    assert members.addresses == [members[0].local, "mem:a"]
    assert (len(members), list(members)[1].local) == (2, "mem:a")
    assert members[1:] == (members[1],)
    assert repr(members) == f"<ListenerSet {members[0].local} mem:a>"
    members.close()
    (await open_all(specs("mem:a"))).close()  # free again


@pytest.mark.skipif(sys.platform == "win32", reason="no inherited sockets")
async def test_abandoning_leaves_adopted_sockets_open(leave) -> None:
    number = leave(bound())
    mine = MemoryStreamListener(ListenSpec.parse("mem:mine"), "mine", Network.current())
    members = await open_all([*specs(f"fd:{number}", "mem:a"), mine])
    members.abandon()
    assert is_open(number)
    assert Network.current().streams == {"mine": mine}
    mine.close()


async def test_an_unknown_interface_as_zone_is_reported() -> None:
    with pytest.raises(ListenError, match=r"resolve: .*\n.*ip link"):
        await open_all(specs("tcp:[fe80::1%25nosuch0]:0"))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's loopback interface")
async def test_a_zone_is_the_interface_of_an_address() -> None:
    import socket

    from pierhead.listener.bind.inet import inet_text, resolve_host

    ((family, address),) = await resolve_host("fe80::1%lo", 53, socket.SOCK_STREAM)
    assert (family, address[3]) == (socket.AF_INET6, socket.if_nametoindex("lo"))
    assert inet_text("tcp", address) == "tcp:[fe80::1%25lo]:53"
    assert str(ListenSpec.parse(inet_text("tcp", address))) == "tcp:[fe80::1%25lo]:53"
