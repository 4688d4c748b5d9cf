"""Where `pierhead serve` listens: the option, its spellings, the variable, and the flags."""

from __future__ import annotations

import os
import re
import socket
import stat
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner
from tests.processes import pierhead_command
from tests.warm import Running, pierhead

from pierhead.address.flags import FLAGS
from pierhead.cli.serve import serve
from pierhead.errors import UsageError


def ask(*words: str, **env: str):
    return CliRunner().invoke(serve, list(words), env=env)


def test_the_variable_and_the_flags_say_where_and_how(tmp_path: Path) -> None:
    command = [*pierhead_command(), "serve", "echo", "--unix-listen-chmod", "owner"]
    listen = {"PIERHEAD_LISTEN": "tcp:127.0.0.1:0 ./echo.sock"}
    with Running(command, cwd=tmp_path, env=listen) as running:
        ready = running.line("ready").split()
        assert [address.partition(":")[0] for address in ready[1:]] == ["tcp", "unix"]
        assert stat.S_IMODE((tmp_path / "echo.sock").stat().st_mode) == 0o600
        assert running.stop() == 0


def test_the_command_line_goes_before_the_variable(tmp_path: Path) -> None:
    command = [*pierhead_command(), "serve", "echo", "--listen-address", "./echo.sock"]
    with Running(command, cwd=tmp_path, env={"PIERHEAD_LISTEN": "nonsense"}) as running:
        assert running.line("ready").split()[1:] == ["unix:./echo.sock"]
        assert running.stop() == 0


@pytest.mark.parametrize("protocol", ["dns", "lines", "echo"])
def test_every_server_takes_every_flag_in_a_section_of_its_own(protocol: str) -> None:
    result = ask(protocol, "--help")
    options, _, flags = result.output.partition("Flags for addresses:")
    assert "-l, --listen, --listen-address ADDR" in options
    assert "PIERHEAD_LISTEN" in options
    for name in FLAGS:
        assert name not in options
        assert name in flags


def test_a_flag_without_effect_and_a_wrong_variable_are_mistakes() -> None:
    without_effect = ask("echo", "-l", ":0", "--unix-listen-unlink")
    assert without_effect.exit_code == 2
    assert "--unix-listen-unlink is for none of the addresses" in without_effect.output
    wrong = ask("echo", PIERHEAD_LISTEN="tcp:127.0.0.1")
    assert (wrong.exit_code, "the port is missing" in wrong.output) == (2, True)


def test_secrets_that_others_may_read_are_a_warning_or_an_error(tmp_path: Path) -> None:
    zone = tmp_path / "example.zone"
    zone.write_text("@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n")
    secret = tmp_path / "secret"
    secret.write_text("000102030405060708090a0b0c0d0e0f\n")
    secret.chmod(0o644)
    words = ["dns", "--zone", str(zone), "-l", "127.0.0.1:0", "--cookie-secret", str(secret)]
    strict = ask(*words, "--strict-permissions")
    assert isinstance(strict.exception, UsageError)  # which `main` shows without a traceback
    assert "can be read or changed by everybody" in str(strict.exception)
    with Running([*pierhead_command(), "serve", *words], cwd=tmp_path) as running:
        assert f"chmod 600 {secret}" in running.line("warning: the secret in")
        assert running.stop() == 0
    secret.chmod(0o600)
    command = [*pierhead_command(), "serve", *words, "--strict-permissions"]
    with Running(command, cwd=tmp_path) as running:
        assert running.line("ready")
        assert running.stop() == 0


ZONE = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


@pytest.mark.parametrize("through_link", [False, True])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pipe", "it is a pipe, expected a regular file"),
        ("socket", "it is a socket, expected a regular file"),
        ("device", "it is a device, expected a regular file"),
        ("folder", "it is a directory, expected a regular file"),
        ("nothing", "No such file or directory"),
        ("loop", "Too many levels of symbolic links"),
        ("large", "at most 1024 are read"),
        ("empty", "0 hexadecimal digits; expected 32"),
        ("short", "4 hexadecimal digits; expected 32"),
        ("words", "no hexadecimal digits; expected 32"),
    ],
)
def test_an_invalid_cookie_secret_is_refused_and_described(
    tmp_path: Path, kind: str, said: str, through_link: bool
) -> None:
    (tmp_path / "example.zone").write_text(ZONE)
    secret = tmp_path / "secret"
    with socket.socket(socket.AF_UNIX) as listening:
        make = {
            "pipe": lambda: os.mkfifo(secret),
            "socket": lambda: listening.bind(str(secret)),
            "device": lambda: secret.symlink_to("/dev/zero"),
            "folder": secret.mkdir,
            "nothing": lambda: None,
            "loop": lambda: secret.symlink_to(secret),
            "large": lambda: secret.write_text("00" * 1000),
            "empty": lambda: secret.write_text(""),
            "short": lambda: secret.write_text("0001"),
            "words": lambda: secret.write_text("correct horse battery staple"),
        }
        make[kind]()
    given = secret
    if through_link:
        given = tmp_path / "link"
        given.symlink_to(secret)
    words = ["--zone", str(tmp_path / "example.zone"), "--cookie-secret", str(given)]
    refused = ask("dns", *words, "-l", "127.0.0.1:0")
    assert isinstance(refused.exception, UsageError)  # which `main` shows without a traceback
    assert f"cookie secret {given}: " in str(refused.exception)
    assert said in str(refused.exception)


def test_a_cookie_secret_is_reached_through_the_links_of_a_volume(tmp_path: Path) -> None:
    (tmp_path / "example.zone").write_text(ZONE)
    (tmp_path / "..2026_11_28").mkdir()
    (tmp_path / "..data").symlink_to("..2026_11_28")
    secret = tmp_path / "secret"
    secret.symlink_to("..data/secret")
    (tmp_path / "..data" / "secret").touch(mode=0o600)
    secret.write_text("000102030405060708090a0b0c0d0e0f\n")
    words = ["--zone", str(tmp_path / "example.zone"), "-l", "127.0.0.1:0"]
    words += ["--cookie-secret", str(secret), "--strict-permissions"]
    with Running([*pierhead_command(), "serve", "dns", *words]) as running:
        assert running.line("ready")
        assert running.stop() == 0
    assert not any("warning" in line for line in running.err)


def test_the_switch_reaches_the_keys_of_addresses(tmp_path: Path) -> None:
    key = tmp_path / "dns.pem"
    issued = trustme.CA().issue_cert("dns.example")
    issued.private_key_and_cert_chain_pem.write_to_path(str(key))
    key.chmod(0o644)
    address = f"tls+tcp:127.0.0.1:0?cert={key}"
    refused = pierhead("serve", "echo", "-l", address, "--strict-permissions")
    assert refused.returncode == 3
    assert f"the key in {key} can be read or changed by everybody" in refused.stderr
    assert f"chmod 600 {key}" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "option", [["--log-format", "json"], ["--lame-duck", "1"], ["--admin", "127.0.0.1:0"]]
)
def test_what_several_workers_do_not_do_is_refused(option: list[str]) -> None:
    result = ask("echo", "-l", "tcp:127.0.0.1:0", "--workers", "2", *option)

    assert result.exit_code == 2
    assert f"{option[0]} is for one process, not for --workers." in result.output


def asked(port: int, path: str) -> tuple[int, str]:
    """Return status and content of an admin page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_the_admin_address_answers_from_before_the_start_to_the_end(tmp_path: Path) -> None:
    words = ["serve", "echo", "-l", "tcp:127.0.0.1:0?name=echo", "--admin", "tcp:127.0.0.1:0"]
    with Running([*pierhead_command(), *words, "--lame-duck", "30"], cwd=tmp_path) as running:
        admin = int(running.line("admin on").rpartition(":")[2])
        port = int(running.line("ready").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"ahoy\n")
            assert client.recv(10) == b"ahoy\n"
            for path in ("/startup", "/ready", "/health"):
                assert asked(admin, path) == (200, "ready\n")
            text = asked(admin, "/metrics")[1]
            assert 'pierhead_connections_open{listener="echo"} 1\n' in text
            assert re.search(r'request_seconds_count\{.*outcome="answered"\} 1\n', text)
            assert text.endswith("# EOF\n")
            running.process.terminate()
            running.line("not ready, serving for 30 s")
            assert asked(admin, "/ready") == (503, "draining\n")
            assert asked(admin, "/health") == (200, "draining\n")
            client.sendall(b"still\n")
            assert client.recv(10) == b"still\n"
            running.process.terminate()
        assert running.process.wait(10) == 0


def test_an_admin_address_for_the_network_has_to_be_wanted() -> None:
    result = ask("echo", "-l", "tcp:127.0.0.1:0", "--admin", "0.0.0.0:0")

    assert result.exit_code == 2
    assert "--admin 0.0.0.0:0 can be reached from other machines" in result.output
    assert "--admin-public" in result.output
