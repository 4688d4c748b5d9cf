"""Where `pierhead serve` listens: the option, its spellings, the variable, and the flags."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner
from tests.processes import Running, pierhead_command

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
    assert "may be read or changed by everybody" in str(strict.exception)
    with Running([*pierhead_command(), "serve", *words], cwd=tmp_path) as running:
        assert f"chmod 600 {secret}" in running.line("warning: the secret in")
        assert running.stop() == 0
    secret.chmod(0o600)
    command = [*pierhead_command(), "serve", *words, "--strict-permissions"]
    with Running(command, cwd=tmp_path) as running:
        assert running.line("ready")
        assert running.stop() == 0


def test_the_switch_reaches_the_keys_of_addresses(tmp_path: Path) -> None:
    key = tmp_path / "dns.pem"
    issued = trustme.CA().issue_cert("dns.example")
    issued.private_key_and_cert_chain_pem.write_to_path(str(key))
    key.chmod(0o644)
    address = f"tls+tcp:127.0.0.1:0?cert={key}"
    command = [*pierhead_command(), "serve", "echo", "-l", address, "--strict-permissions"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert refused.returncode == 3
    assert f"the key in {key} may be read or changed by everybody" in refused.stderr
    assert f"chmod 600 {key}" in refused.stderr
    assert "Traceback" not in refused.stderr
