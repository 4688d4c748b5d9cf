"""What a short form becomes once a protocol says what it means by it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pierhead.address import ListenSpec
from pierhead.errors import AddressError, UsageError


@dataclass
class Speaking:
    short_form: tuple[str, ...]


DNS = Speaking(("udp", "tcp"))
LINES = Speaking(("tcp",))
SYSLOG = Speaking(("udp",))


@pytest.mark.parametrize(
    ("text", "endpoint", "resolved"),
    [
        ("127.0.0.1:5300", DNS, ["udp:127.0.0.1:5300", "tcp:127.0.0.1:5300"]),
        ("127.0.0.1:5300", LINES, ["tcp:127.0.0.1:5300"]),
        (":5300-5301", SYSLOG, ["udp::5300-5301"]),
        ("h:1", Speaking(("tcp", "tcp")), ["tcp:h:1"]),
        ("/run/x", DNS, ["unix:/run/x"]),
        ("@x", SYSLOG, ["unix:@x"]),
        ("udp:h:1", LINES, ["udp:h:1"]),
        ("sd-listen", DNS, ["sd:"]),
        ("tls+h:853?cert=a", DNS, ["tls+tcp:h:853?cert=a"]),
        ("proxy+h:53", DNS, ["proxy+udp:h:53", "proxy+tcp:h:53"]),
        # each listener keeps the options that are for it
        (
            "h:53?nodelay&reuseport&gro",
            DNS,
            ["udp:h:53?gro&reuseport", "tcp:h:53?nodelay&reuseport"],
        ),
    ],
)
def test_a_short_form_becomes_what_the_protocol_means(text, endpoint, resolved) -> None:
    assert [str(spec) for spec in ListenSpec.parse(text).resolve(endpoint)] == resolved


@pytest.mark.parametrize(
    ("text", "endpoint", "position", "word"),
    [
        ("tls+h:514?cert=a", SYSLOG, 0, "only datagrams"),
        ("h:80?name=x&gro", LINES, 5, "gro is not for tcp"),
        ("h:514?name=x&backlog=5", SYSLOG, 6, "backlog is not for udp"),
        ("tls+h:853", DNS, 0, "certificate"),
        ("proxy+tls+tcp:h:853", DNS, 6, "certificate"),
        ("quic:h:853", DNS, 0, "certificate"),
        ("proxy+h:53?proxy.version=1", DNS, 0, "version 1"),
    ],
)
def test_a_spec_that_no_server_could_serve_does_not_resolve(text, endpoint, position, word) -> None:
    spec = ListenSpec.parse(text)
    with pytest.raises(AddressError) as caught:
        spec.resolve(endpoint)
    assert (caught.value.position, word in caught.value.reason) == (position, True), caught.value


@pytest.mark.parametrize("short_form", [(), ("unix",), ("tcp", "quic")])
def test_a_short_form_stands_for_tcp_and_udp_only(short_form) -> None:
    with pytest.raises(UsageError, match="expected some of tcp and udp"):
        ListenSpec.parse("h:1").resolve(Speaking(short_form))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("tcp:h:1", "stream"),
        ("h:1", None),
        ("fd:5", None),
        ("fd:5?type=dgram", "datagram"),
        ("sd:web?type=seqpacket", "seqpacket"),
        ("inetd", "stream"),
        ("inetd?mode=wait", None),
    ],
)
def test_options_tell_the_kind_where_the_scheme_does_not(text, kind) -> None:
    assert ListenSpec.parse(text).kind == kind
