"""One grammar for both sides: what a client can reach, and which options are for which side."""

from __future__ import annotations

import pytest

from pierhead.address import OPTIONS, ListenSpec, explain
from pierhead.address.registry import Side
from pierhead.errors import AddressError


class Streams:
    short_form = ("tcp",)


@pytest.mark.parametrize(
    "text",
    [
        "tcp:h:1?nodelay=off&keepalive=60s:5s:3&user-timeout=30s&sndbuf=64KiB&fastopen-connect",
        "tcp:[::1]:1?dscp=46&mark=7&device=lo&mtu-discover=do&maxseg=1220B",
        "udp:h:1?rcvbuf=64KiB",
        "unix:./s",
        "unix:@a?pad=full",
        "unixseq:@a",
        "unixgram:./s",
        "vsock:2:5000",
        "vsockseq:local:5000",
        "mem:a",
        "memgram:a",
        "tls+tcp:h:1",
        "tls+tcp:h:1?ca=a.pem&server-name=x.example&cert=c.pem&key=k.pem&alpn=dot&min=1.3",
        "proxy+tls+tcp:h:1?proxy.version=1",
        "tls+proxy+unix:./s?server-name=h",
        "tls+mem:a?verify=off",
    ],
)
def test_a_client_reaches_every_address_that_leads_to_one_place(text: str) -> None:
    spec = ListenSpec.parse(text)
    assert spec.to_dial() == spec
    assert str(ListenSpec.parse(str(spec))) == str(spec)


def test_a_short_form_gets_the_scheme_that_a_client_prefers() -> None:
    assert str(ListenSpec.parse("h:1?rcvbuf=64KiB").to_dial()) == "tcp:h:1?rcvbuf=64KiB"
    assert str(ListenSpec.parse("h:1").to_dial("udp")) == "udp:h:1"
    assert str(ListenSpec.parse("tls+h:1").to_dial()) == "tls+tcp:h:1"


REFUSED = [
    ("tcp:*:9", "one host", "write tcp:HOST:9", ["tcp:h:9"]),
    ("tcp:h:0", "one port, not any port", "write one port", ["tcp:h:9"]),
    ("tcp:h:9-10", "not ports 9 to 10", "write one port", ["tcp:h:9"]),
    ("fd:3", "leads nowhere", "write the address itself, such as tcp:HOST:PORT", ["tcp:h:9"]),
    ("sd:web", "leads nowhere", "write the address itself, such as tcp:HOST:PORT", ["tcp:h:9"]),
    ("inetd", "leads nowhere", "write the address itself, such as tcp:HOST:PORT", ["tcp:h:9"]),
    (
        "vsock:any:5",
        "one CID and one port",
        "write vsock:2:PORT for the host of this machine",
        ["vsock:2:5"],
    ),
    ("tls+unix:./s", "no host whose name", "add server-name=NAME", ["tls+unix:./s?server-name=h"]),
    ("unix:./s?mode=0600", "mode is for listening", "leave it out", ["unix:./s"]),
    ("tcp:h:9?backlog=5", "backlog is for listening", "leave it out", ["tcp:h:9"]),
    (
        "tls+tcp:h:9?client-ca=a",
        "client-ca is for listening",
        "leave it out; for dialling there is ca",
        ["tls+tcp:h:9", "tls+tcp:h:9?ca=a"],
    ),
    (
        "tcp:h:9?fastopen=5",
        "fastopen is for listening",
        "leave it out; for dialling there is fastopen-connect",
        ["tcp:h:9", "tcp:h:9?fastopen-connect"],
    ),
]


@pytest.mark.parametrize(
    ("refused", "reason", "remedy", "ways"), REFUSED, ids=[case[0] for case in REFUSED]
)
def test_what_a_client_cannot_reach_is_refused_and_mended(refused, reason, remedy, ways) -> None:
    with pytest.raises(AddressError, match=reason) as caught:
        ListenSpec.parse(refused).to_dial()
    assert caught.value.remedy == remedy
    for way in ways:
        ListenSpec.parse(way).to_dial()


@pytest.mark.parametrize(
    ("refused", "remedy", "way"),
    [
        (
            "tls+tcp:h:9?cert=c&ca=a",
            "leave it out; for listening there is client-ca",
            "tls+tcp:h:9?cert=c&client-ca=a",
        ),
        (
            "tcp:h:9?fastopen-connect",
            "leave it out; for listening there is fastopen",
            "tcp:h:9?fastopen=5",
        ),
        ("tls+tcp:h:9?cert=c&verify=off", "leave it out", "tls+tcp:h:9?cert=c"),
    ],
)
def test_a_listener_refuses_what_is_for_dialling(refused, remedy, way) -> None:
    with pytest.raises(AddressError, match="is for dialling") as caught:
        ListenSpec.parse(refused).resolve(Streams())
    assert caught.value.remedy == remedy
    assert ListenSpec.parse(way).resolve(Streams())


def test_every_option_is_for_a_side_and_names_one_of_the_other() -> None:
    keys = {option.key: option for option in OPTIONS}
    for option in OPTIONS:
        assert option.sides
        if option.other_side:
            other = keys[option.other_side]
            assert other.sides.isdisjoint(option.sides)
            assert other.other_side == option.key


def test_an_explanation_says_what_is_dialled() -> None:
    explained = explain("tls+h:1?ca=a.pem", side=Side.DIAL)
    (one,) = explained.listeners
    assert one.canonical == "tls+tcp:h:1?ca=a.pem"
    assert one.meaning == "TCP connections, to h, port 1"
    assert [option.key for option in one.options] == ["ca"]
    dns = explain("h:53", ("udp", "tcp"), side=Side.DIAL)
    assert [one.scheme for one in dns.listeners] == ["udp", "tcp"]
    with pytest.raises(AddressError, match="one port"):
        explain("tcp:h:0", side=Side.DIAL)
