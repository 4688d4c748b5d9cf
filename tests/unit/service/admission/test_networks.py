"""Allow and deny lists."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead.errors import UsageError
from pierhead.service.admission import ConnectionAdmission, Drop, allow, deny
from pierhead.service.context import Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="tcp", local="tcp:[::]:53", listener="tcp:[::]:53")


def passes(check, peer) -> bool:
    verdict = check(b"", peer if isinstance(peer, Peer) else Peer((peer, 5353)), VIA)
    return verdict is None


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::1", True),
        ("::2", False),
        ("2001:db8:ffff::1", True),
        ("fe80::1%eth0", True),
    ],
)
def test_an_allow_list_admits_the_peers_on_it(peer, expected):
    entries = ("10.0.0.0/8", "192.0.2.7", "::1", "2001:db8::/32", "fe80::/10")
    assert passes(allow(*entries), peer) is expected
    assert passes(deny(*entries), peer) is not expected


def test_the_verdict_names_its_list_and_is_reused():
    check = allow("10.0.0.0/8")
    peer = Peer(("192.0.2.1", 1))
    assert check(b"", peer, VIA) == Drop("not_allowed")
    assert check(b"", peer, VIA) is check(b"", peer, VIA)
    assert deny("192.0.2.0/24")(b"", peer, VIA) == Drop("denied")


def test_a_connection_is_refused_before_its_first_byte():
    check = deny("192.0.2.0/24")
    assert isinstance(check, ConnectionAdmission)
    assert check.admit_connection(Peer(("192.0.2.1", 1)), VIA) == Drop("denied")
    assert check.admit_connection(Peer(("198.51.100.1", 1)), VIA) is None


@pytest.mark.rfc("4291", "2.5.5.2")
def test_an_ipv4_peer_of_an_ipv6_socket_is_ipv4():
    assert passes(allow("10.0.0.0/8"), "::ffff:10.1.2.3")
    assert not passes(allow("::/0"), "::ffff:10.1.2.3")
    assert passes(allow("::ffff:10.0.0.0/104"), "10.1.2.3")


def test_a_raw_sockaddr_is_understood():
    raw = struct.pack("=HH", socket.AF_INET, 0x1234) + bytes([10, 0, 0, 1]) + bytes(8)
    assert passes(allow("10.0.0.0/8"), Peer(raw))


def test_peers_without_an_address_are_listed_by_name():
    unix = struct.pack("=H", 1)
    assert passes(allow("name:/run/c.sock"), Peer("/run/c.sock"))
    assert passes(allow("name:/run/c.sock"), Peer(unix + b"/run/c.sock\0"))
    assert passes(allow("name:@abstract"), Peer(unix + b"\0abstract"))
    assert passes(allow("name:"), Peer(""))
    assert not passes(allow("name:a"), Peer("b"))


def test_a_name_of_four_octets_is_not_taken_for_an_address():
    everybody = allow("0.0.0.0/0", "::/0")
    assert passes(everybody, "192.0.2.1")
    assert not passes(everybody, Peer("a.bc"))
    assert not passes(everybody, Peer("sixteen.octets.."))
    assert not passes(everybody, Peer((1234, 5000)))  # vsock


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("localhost", "'localhost' is not a network"),
        ("10.0.0.0/33", "expected an address, a network or name:..."),
        ("", "expected an address, a network or name:..."),
    ],
)
def test_an_invalid_entry_is_refused_with_a_remedy(entry, why):
    with pytest.raises(UsageError, match=re.escape(why)):
        allow(entry)


def test_an_empty_list_is_refused():
    with pytest.raises(UsageError, match="name at least one"):
        deny()


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
networks = st.builds(
    lambda address, bits: ipaddress.ip_network(
        (address, bits % (address.max_prefixlen + 1)), strict=False
    ),
    addresses,
    st.integers(0, 128),
)


@settings(max_examples=100, deadline=None)
@given(listed=st.lists(networks, min_size=1, max_size=6), address=addresses)
def test_the_list_agrees_with_asking_each_network(listed, address):
    near = [address, listed[0].network_address, listed[0].broadcast_address]
    check = allow(*map(str, listed))
    for one in near:
        mapped = getattr(one, "ipv4_mapped", None)
        if mapped is None and not any(getattr(n[0], "ipv4_mapped", None) for n in listed):
            assert passes(check, str(one)) is any(one in network for network in listed)
