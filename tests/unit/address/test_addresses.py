"""Addresses that a program makes: normalised, or refused where they could not be printed."""

from __future__ import annotations

import pytest

from pierhead.address import (
    AbstractAddress,
    DescriptorAddress,
    InetAddress,
    InetdAddress,
    LaunchdAddress,
    ListenOptions,
    ListenSpec,
    MemoryAddress,
    SystemdAddress,
    UnixAddress,
    VsockAddress,
)
from pierhead.errors import AddressError, UsageError


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (InetAddress("tcp", "*", 80), InetAddress("tcp", "", 80)),
        (InetAddress("tcp", "LOCALHOST", 80), InetAddress("tcp", "localhost", 80)),
        (InetAddress("tcp", "0::0", 80), InetAddress("tcp", "::", 80)),
        (InetAddress("tcp", "h", 80, 80), InetAddress("tcp", "h", 80)),
        (UnixAddress("unix", b"a.sock"), UnixAddress("unix", b"./a.sock")),
        (UnixAddress("unix", b"~"), UnixAddress("unix", b"./~")),
        (DescriptorAddress([5, 6]), DescriptorAddress((5, 6))),
    ],
)
def test_equal_addresses_are_equal_values(made, same) -> None:
    assert made == same
    assert hash(made) == hash(same)
    assert ListenSpec.parse(str(made)).address == made


@pytest.mark.parametrize(
    "make",
    [
        lambda: InetAddress("unix", "h", 80),
        lambda: InetAddress("tcp", "a b", 80),
        lambda: InetAddress("tcp", "fe80::1%", 80),
        lambda: InetAddress("tcp", "h", 65536),
        lambda: InetAddress("tcp", "h", 0, 5),
        lambda: InetAddress("tcp", "h", 5, 4),
        lambda: InetAddress("tcp", "h", 1, 1025),
        lambda: InetAddress(None, "mem", 80),
        lambda: UnixAddress("tcp", b"/a"),
        lambda: UnixAddress("unix", b""),
        lambda: UnixAddress("unix", b"/a\0"),
        lambda: UnixAddress("unix", b"/a/"),
        lambda: UnixAddress("unix", b"/" + 107 * b"a"),
        lambda: AbstractAddress("unix", b""),
        lambda: AbstractAddress("unix", 108 * b"a"),
        lambda: DescriptorAddress(()),
        lambda: DescriptorAddress((-1,)),
        lambda: DescriptorAddress((5, 5)),
        lambda: SystemdAddress(""),
        lambda: SystemdAddress("a:b"),
        lambda: SystemdAddress(index=-1),
        lambda: SystemdAddress(prefix=True),
        lambda: SystemdAddress("a", 1, prefix=True),
        lambda: LaunchdAddress(""),
        lambda: LaunchdAddress("a\n"),
        lambda: VsockAddress("vsock", 2**32, 1),
        lambda: MemoryAddress("mem", ""),
        lambda: MemoryAddress("mem", "a\n"),
    ],
)
def test_an_address_that_cannot_be_printed_cannot_be_created(make) -> None:
    with pytest.raises(UsageError):
        make()


def test_a_range_names_each_of_its_ports() -> None:
    assert list(InetAddress("tcp", "h", 80, 82).ports) == [80, 81, 82]
    assert list(InetAddress("tcp", "h", 80).ports) == [80]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (InetAddress("tcp", "h", 1), "stream"),
        (InetAddress("udp", "h", 1), "datagram"),
        (InetAddress("quic", "h", 1), "datagram"),
        (InetAddress(None, "h", 1), None),
        (UnixAddress("unix", b"/a"), "stream"),
        (AbstractAddress("unixgram", b"a"), "datagram"),
        (UnixAddress("unixseq", b"/a"), "seqpacket"),
        (DescriptorAddress((5,)), None),
        (SystemdAddress(), None),
        (LaunchdAddress("Listeners"), None),
        (InetdAddress(), None),
        (VsockAddress("vsockseq", 2, 1), "seqpacket"),
        (MemoryAddress("mem", "a"), "stream"),
        (MemoryAddress("memgram", "a"), "datagram"),
    ],
)
def test_the_scheme_tells_the_kind_where_it_can(address, kind) -> None:
    assert address.kind == kind


def test_a_passed_socket_s_name_index_and_prefix_select() -> None:
    assert SystemdAddress().matches("any")
    assert SystemdAddress("web").matches("web")
    assert not SystemdAddress("web").matches("web2")
    assert SystemdAddress("web", prefix=True).matches("web2")
    assert SystemdAddress("", prefix=True).matches("any")


@pytest.mark.parametrize(
    ("wrappers", "address", "options", "position"),
    [
        (("tls",), InetAddress("udp", "h", 1), {}, 0),
        (("proxy", "tls"), InetAddress("udp", "h", 1), {"backlog": 1}, 6),
        ((), InetAddress("udp", "h", 1), {"rcvbuf": 1, "nodelay": True}, 8),
        ((), DescriptorAddress((1,)), {}, 0),
        ((), AbstractAddress("unix", b"a"), {"pad": "full"}, 8),
        ((), InetdAddress(), {"mode": 0o660}, 6),
        ((), UnixAddress("unix", b"/a"), {"mode": "wait"}, 8),
        (("tls",), InetAddress("tcp", "h", 1), {"cert": tuple(600 * ["a.pem"])}, 4),
    ],
)
def test_parts_that_do_not_go_together_are_refused_where_they_stand(
    wrappers, address, options, position
) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec(wrappers, address, ListenOptions.of(options))
    assert caught.value.position == position, caught.value


def test_an_unknown_wrapper_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown wrapper 'ssl'"):
        ListenSpec(("ssl",), InetAddress("tcp", "h", 1))
