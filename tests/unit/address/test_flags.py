"""Flags of a command line: what they are called, what they mean, and where they go."""

from __future__ import annotations

import pytest

from pierhead.address import KeepaliveTimes, ListenSpec
from pierhead.address.flags import FLAGS, fill_in
from pierhead.errors import AddressError, UsageError


def filled(flags: dict, *addresses: str) -> list[str]:
    return [str(spec) for spec in fill_in([ListenSpec.parse(text) for text in addresses], flags)]


def test_there_is_every_flag_of_tokio_listener() -> None:
    assert set(FLAGS) == {
        "--unix-listen-unlink",
        "--unix-listen-chmod",
        "--unix-listen-uid",
        "--unix-listen-gid",
        "--sd-accept-ignore-environment",
        "--tcp-keepalive",
        "--tcp-reuse-port",
        "--recv-buffer-size",
        "--send-buffer-size",
        "--tcp-only-v6",
        "--tcp-listen-backlog",
    }


def test_a_flag_without_value_is_a_value_of_its_option() -> None:
    switches = [flag for flag in FLAGS.values() if flag.is_switch]
    assert len(switches) == 4
    for flag in switches:
        assert flag.option.type.accepts(flag.option.flag_value)


@pytest.mark.parametrize("flag", FLAGS.values(), ids=lambda flag: flag.name)
def test_the_help_has_meaning_default_and_a_valid_example(flag) -> None:
    assert flag.help.startswith(f"{flag.brief} [")
    assert (flag.option.flag_meaning or flag.option.meaning)[1:] in flag.brief
    assert "default: " in flag.help
    if flag.is_switch:
        assert f"sets {flag.option.example}" in flag.help
    else:
        assert f"example: {flag.example}]" in flag.help
        assert flag.option.type.accepts(flag.read(flag.example))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("--tcp-keepalive", "60000:3:5000", KeepaliveTimes(60.0, 5.0, 3)),
        ("--tcp-keepalive", "1500:3:500", KeepaliveTimes(2.0, 1.0, 3)),
        ("--tcp-keepalive", "60000", KeepaliveTimes(60.0)),
        ("--tcp-keepalive", "::5000", KeepaliveTimes(None, 5.0)),
        ("--tcp-keepalive", "", KeepaliveTimes()),
        ("--unix-listen-chmod", "owner", 0o600),
        ("--unix-listen-chmod", "group", 0o660),
        ("--unix-listen-chmod", "everybody", 0o666),
        ("--unix-listen-chmod", "0640", 0o640),
        ("--unix-listen-uid", "1000", 1000),
        ("--unix-listen-gid", "www", "www"),
        ("--recv-buffer-size", "65536", 65536),
        ("--send-buffer-size", "64KiB", 65536),
        ("--tcp-listen-backlog", "5", 5),
    ],
)
def test_a_value_is_read_as_tokio_listener_writes_it_and_as_addresses_do(
    name: str, text: str, value: object
) -> None:
    assert FLAGS[name].read(text) == value


@pytest.mark.parametrize(
    ("name", "text", "position", "words"),
    [
        ("--tcp-keepalive", "1000:2:3000:4", 12, "more than three parts"),
        ("--tcp-keepalive", "60000:x", 6, "'x' is not a number"),
        ("--tcp-keepalive", "0", 0, "whole seconds"),
        ("--unix-listen-chmod", "888", 0, "'888' is not a mode"),
        ("--unix-listen-chmod", "", 0, "the value is empty"),
        ("--tcp-listen-backlog", "0", 0, "out of range"),
        ("--recv-buffer-size", "1Q", 0, "is not a size"),
    ],
)
def test_a_bad_value_is_an_error_that_points(
    name: str, text: str, position: int, words: str
) -> None:
    with pytest.raises(AddressError, match=words) as caught:
        FLAGS[name].read(text)
    assert (caught.value.text, caught.value.position) == (text, position)


def test_a_flag_applies_to_the_addresses_that_it_is_for() -> None:
    assert filled({"--unix-listen-chmod": 0o660}, "127.0.0.1:80", "/run/a.sock", "@a") == [
        "127.0.0.1:80",
        "unix:/run/a.sock?mode=0660",
        "unix:@a",
    ]


def test_an_address_keeps_its_own_options() -> None:
    assert filled({"--tcp-listen-backlog": 5}, "tcp::80", "tcp::81?backlog=7") == [
        "tcp::80?backlog=5",
        "tcp::81?backlog=7",
    ]
    keepalive = {"--tcp-keepalive": KeepaliveTimes(60.0)}
    assert filled(keepalive, "tcp::80?keepalive=5s") == ["tcp::80?keepalive=5s"]


def test_an_address_that_switches_off_stays_off() -> None:
    assert filled({"--tcp-reuse-port": True}, "tcp::80?reuseport=off") == ["tcp::80?reuseport=off"]


def test_several_flags_fill_in_several_options() -> None:
    flags = {
        "--tcp-reuse-port": True,
        "--recv-buffer-size": 65536,
        "--unix-listen-unlink": "always",
    }
    assert filled(flags, "tls+[::1]:443?cert=a.pem", "./a.sock") == [
        "tls+[::1]:443?cert=a.pem&rcvbuf=64KiB&reuseport",
        "unix:./a.sock?rcvbuf=64KiB&unlink=always",
    ]


def test_a_short_form_keeps_a_flag_for_the_schemes_it_is_for() -> None:
    class Both:
        short_form = ("udp", "tcp")

    (spec,) = fill_in([ListenSpec.parse("127.0.0.1:53")], {"--tcp-listen-backlog": 5})
    assert [str(one) for one in spec.resolve(Both())] == [
        "udp:127.0.0.1:53",
        "tcp:127.0.0.1:53?backlog=5",
    ]


def test_v6only_passes_by_ipv4() -> None:
    assert filled({"--tcp-only-v6": True}, "127.0.0.1:80", "[::]:80") == [
        "127.0.0.1:80",
        "[::]:80?v6only",
    ]


def test_a_flag_for_none_of_the_addresses_is_refused_with_each_reason() -> None:
    with pytest.raises(UsageError) as caught:
        filled({"--unix-listen-chmod": 0o660}, "127.0.0.1:80", "@a")
    assert str(caught.value).splitlines() == [
        "--unix-listen-chmod is for none of the addresses and would have no effect",
        "  127.0.0.1:80: mode is not for host:port; it is for unix, unixgram, unixseq",
        "  unix:@a: mode is not for an abstract name, which is not a file; leave it out",
        "  leave --unix-listen-chmod out, or give an address that it is for",
    ]


def test_a_flag_for_none_of_the_addresses_is_reported_and_ignored_if_lenient() -> None:
    specs = [ListenSpec.parse(text) for text in ("127.0.0.1:80", "@a")]
    told: list[str] = []
    given = {"--unix-listen-chmod": 0o660, "--tcp-reuse-port": True}
    filled_in = fill_in(specs, given, on_unused=told.append)
    assert [str(spec) for spec in filled_in] == ["127.0.0.1:80?reuseport", "unix:@a"]
    assert told == ["--unix-listen-chmod is ignored: it is for none of the addresses"]
    assert fill_in([], {"--tcp-reuse-port": True}, on_unused=told.append) == ()
    assert told[1:] == ["--tcp-reuse-port is ignored: it is for none of the addresses"]


def test_a_flag_without_any_address_is_refused() -> None:
    with pytest.raises(UsageError, match="--tcp-reuse-port has no effect: there is no address"):
        fill_in([], {"--tcp-reuse-port": True})


def test_without_flags_the_addresses_stay_as_they_are() -> None:
    assert filled({}, "127.0.0.1:80", "@a") == ["127.0.0.1:80", "unix:@a"]
    assert fill_in([], {}) == ()
