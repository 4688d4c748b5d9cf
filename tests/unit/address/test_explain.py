"""Explanations: what would be opened, what each option means, what a platform refuses."""

from __future__ import annotations

import pytest

from pierhead.address import explain
from pierhead.errors import AddressError


def test_a_short_form_is_explained_for_a_protocol() -> None:
    explanation = explain("127.0.0.1:5300", ("udp", "tcp"))
    assert explanation.canonical == "127.0.0.1:5300"
    assert [(one.canonical, one.kind) for one in explanation.listeners] == [
        ("udp:127.0.0.1:5300", "datagram"),
        ("tcp:127.0.0.1:5300", "stream"),
    ]


def test_a_short_form_stays_open_without_a_protocol() -> None:
    (listener,) = explain(":80?keepalive").listeners
    assert (listener.scheme, listener.kind) == (None, None)
    assert "what the protocol listens on" in listener.meaning


def test_an_option_is_explained_with_meaning_unit_and_default() -> None:
    (listener,) = explain("unix:/a?mode=group&backlog=5&idle-timeout=90s").listeners
    mode = next(option for option in listener.options if option.key == "mode")
    backlog = next(option for option in listener.options if option.key == "backlog")
    timeout = next(option for option in listener.options if option.key == "idle-timeout")
    assert (mode.value, mode.unit, "permissions" in mode.meaning) == ("0660", "octal", True)
    assert (backlog.value, backlog.unit, backlog.default) == ("5", "connections", "1024")
    assert (timeout.value, timeout.unit, timeout.default) == ("90s", "s", "the server's limit")


def test_flags_and_repeated_options_are_spelt_out() -> None:
    (listener,) = explain("tls+tcp:h:1?cert=a&cert=b&reuseport").listeners
    assert [(option.key, option.value) for option in listener.options] == [
        ("cert", "a, b"),
        ("reuseport", "on"),
    ]


def test_layers_are_listed_in_wire_order() -> None:
    (listener,) = explain("proxy+tls+tcp:h:1?cert=a").listeners
    assert [layer.split()[-1] for layer in listener.layers] == ["address", "TLS"]


@pytest.mark.parametrize(
    ("text", "platform", "words"),
    [
        ("@a", "linux", []),
        ("@a", "darwin", ["no abstract names"]),
        ("unix:/a", "win32", ["no unix"]),
        ("unixseq:/a", "darwin", ["no unixseq"]),
        ("unixseq:/a", "freebsd14", []),
        ("vsock:2:1", "darwin", ["no vsock"]),
        ("tcp:h:1?reuseport", "win32", ["no reuseport"]),
        ("tcp:h:1?defer-accept&freebind", "darwin", ["no defer-accept", "no freebind"]),
        ("tcp:h:1?mtu-discover=do&maxseg=1220", "linux", []),
        ("tcp:h:1?mtu-discover=do&maxseg=1220", "darwin", ["no maxseg", "no mtu-discover"]),
        ("udp:h:1?mtu-discover=omit", "win32", ["no mtu-discover"]),
        (f"/{'a' * 104}", "linux", []),
        (f"/{'a' * 104}", "darwin", ["105 octets"]),
        ("mem:a", "win32", []),
    ],
)
def test_an_explanation_says_what_the_platform_would_refuse(text, platform, words) -> None:
    (listener,) = explain(text, ("tcp",), platform).listeners
    assert len(listener.refusals) == len(words)
    assert all(word in found for word, found in zip(words, listener.refusals, strict=True))


@pytest.mark.parametrize("text", ["tpc:1.2.3.4:5", "tls+tcp:h:1"])
def test_an_address_that_cannot_be_served_is_not_explained(text) -> None:
    with pytest.raises(AddressError):
        explain(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp::80", "every IPv4 and IPv6 address of this host, port 80"),
        ("tcp:h:0", "on h, any free port"),
        ("tcp:h:1-3", "ports 1 to 3"),
        ("inetd", "standard input"),
    ],
)
def test_the_meaning_names_host_and_port(text, words) -> None:
    assert words in explain(text).listeners[0].meaning
