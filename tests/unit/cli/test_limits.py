"""`--limit NAME=VALUE` of the commands that serve: every limit, every fault, and that it holds."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.processes import pierhead_command
from tests.warm import Running

from pierhead.address.text import Span
from pierhead.cli.limits import NAMES
from pierhead.cli.serve import serve
from pierhead.server.options import CHOICES, LIMITS, ServerOptions

ZONE = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
SERVERS = {"echo": ["echo"], "lines": ["lines", "shout:shout"], "dns": ["dns", "--zone", "a.zone"]}


def ask(*words: str):
    return CliRunner().invoke(serve, list(words))


def read(name: str, text: str):
    return NAMES[name].read(Span.of(text))


def test_every_limit_has_a_name_on_the_command_line() -> None:
    names = [field.name.replace("_", "-") for field in dataclasses.fields(ServerOptions)]
    assert list(NAMES) == names


@pytest.mark.parametrize("limit", LIMITS, ids=lambda one: one.name)
def test_both_ends_of_a_range_and_the_default_are_read_as_they_are_shown(limit) -> None:
    named = NAMES[limit.name.replace("_", "-")]
    for value in (limit.minimum, limit.maximum, limit.default):
        text = named.type.show(type(limit.default)(value))
        assert named.read(Span.of(text)) == value
        assert ServerOptions().changed({limit.name: named.read(Span.of(text))})
    assert named.default_text == named.type.show(limit.default)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda one: one.name)
def test_what_lies_beyond_is_refused_and_the_range_is_named(limit) -> None:
    name = limit.name.replace("_", "-")
    beyond = NAMES[name].type.show(type(limit.default)(limit.maximum + 1))
    refused = ask("echo", "-l", "mem:a", "--limit", f"{name}={beyond}")
    assert refused.exit_code == 2
    assert f"is out of range: expected {NAMES[name].type.expected}" in refused.output


@pytest.mark.parametrize("limit", LIMITS, ids=lambda one: one.name)
def test_off_is_a_value_where_the_table_says_so(limit) -> None:
    name = limit.name.replace("_", "-")
    if limit.may_be_off:
        assert read(name, "off") == "off"
        assert NAMES[name].metavar.endswith("|off")
    else:
        refused = ask("echo", "-l", "mem:a", "--limit", f"{name}=off")
        assert (refused.exit_code, "'off' is not a" in refused.output) == (2, True)


@pytest.mark.parametrize("name", CHOICES)
def test_words_are_read(name: str) -> None:
    for word in CHOICES[name]:
        assert read(name.replace("_", "-"), word) == word


@pytest.mark.parametrize(
    ("text", "reason", "remedy"),
    [
        (
            "reqest-timeout=5s",
            "there is no limit 'reqest-timeout'",
            "did you mean request-timeout?",
        ),
        ("idle_timeot=5s", "there is no limit 'idle_timeot'", "did you mean idle-timeout?"),
        ("speed=5", "there is no limit 'speed'", "--limits shows every limit"),
        ("=5s", "there is no limit ''", "--limits shows every limit"),
        ("", "there is no limit ''", "--limits shows every limit"),
        ("request-timeout", "request-timeout has no value", "as request-timeout=10s"),
        ("request-timeout=", "expected 1ms to 1d, or off", "as request-timeout=10s"),
        ("request-timeout=5", "5 has no unit", "did you mean 5s?"),
        ("request-timeout=of", "'of' is not a duration", "expected 1ms to 1d, or off"),
        ("request-timeout=0s", "expected 1ms to 1d", "expected 1ms to 1d, or off"),
        ("idle-timeout=-1s", "'-1s' is not a duration", "expected 0s to 30d"),
        ("max-connections=5s", "'5s' is not a number", "a whole number from 1 to 1000000"),
        ("max-connections=0", "0 is out of range", "a whole number from 1 to 1000000"),
        ("max-unsent-bytes=1KiB", "1KiB is out of range", "65536 to 2147483648 bytes"),
        ("read-size-bytes=lots", "'lots' is not a size", "written with B, KiB or MiB"),
        ("when-full=evct", "expected evict, refuse or wait", "did you mean evict?"),
        ("idle-timeout=5\x1b[1m", "'5\\x1b[1m' is not a duration", "expected 0s to 30d"),
    ],
)
def test_a_fault_says_what_is_expected(text: str, reason: str, remedy: str) -> None:
    refused = ask("echo", "-l", "mem:a", "--limit", text)
    assert refused.exit_code == 2
    assert "Error: Invalid value for '--limit': " in refused.output
    assert reason in refused.output
    assert remedy in refused.output
    assert "\x1b" not in refused.output


def test_a_limit_given_twice_is_a_mistake() -> None:
    refused = ask("echo", "-l", "mem:a", "--limit", "idle-timeout=5s", "--limit", "idle_timeout=6s")
    assert refused.exit_code == 2
    assert "idle-timeout is given 2 times; give it once" in refused.output


@pytest.mark.parametrize("protocol", SERVERS)
def test_the_help_says_how_and_the_list_says_what(protocol: str) -> None:
    shown = " ".join(ask(protocol, "--help").output.split())
    assert "--limit NAME=VALUE" in shown
    assert "default: no changes" in shown
    listed = ask(protocol, "--limits")
    assert listed.exit_code == 0
    text = " ".join(listed.output.split())
    for one in NAMES.values():
        assert f"{one.name}={one.metavar} {one.meaning}" in text
        assert f"[{one.expected}; default: {one.default_text}]" in text
    for limit in LIMITS:
        if limit.unit not in ("s", "bytes"):
            assert f"{limit.maximum} {limit.unit}; default: {limit.default}]" in text


@pytest.mark.parametrize("protocol", SERVERS)
def test_a_limit_of_the_command_line_is_in_force(protocol: str, tmp_path: Path) -> None:
    (tmp_path / "a.zone").write_text(ZONE)
    (tmp_path / "shout.py").write_text("async def shout(line, context):\n    return line\n")
    limits = ["--limit", "max_connections=1", "--limit", "when-full=refuse"]
    words = [*SERVERS[protocol], "-l", "tcp:127.0.0.1:0", *limits]
    with Running([*pierhead_command(), "serve", *words], cwd=tmp_path) as running:
        port = int(running.line("ready").rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20),
            socket.create_connection(("127.0.0.1", port), timeout=20) as second,
        ):
            assert second.recv(1) == b""
        assert running.stop() == 0


def test_an_address_goes_before_the_command_line(tmp_path: Path) -> None:
    limits = ["--limit", "max-connections=1", "--limit", "when-full=refuse"]
    words = ["echo", "-l", "tcp:127.0.0.1:0?maxconn=2", *limits]
    with Running([*pierhead_command(), "serve", *words], cwd=tmp_path) as running:
        port = int(running.line("ready").rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20),
            socket.create_connection(("127.0.0.1", port), timeout=20) as second,
        ):
            second.sendall(b"there is room\n")
            assert second.recv(100) == b"there is room\n"
        assert running.stop() == 0


def test_a_shell_is_offered_the_names() -> None:
    command = serve.commands["echo"]
    (limit,) = [one for one in command.params if one.name == "limit"]
    offered = limit.shell_complete(command.make_context("echo", ["-l", "mem:a"]), "idle")
    assert [item.value for item in offered] == ["idle-timeout="]
