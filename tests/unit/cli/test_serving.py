"""Where `pierhead serve` listens: the option, its spellings, the variable, and the flags."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.processes import Running, pierhead_command

from pierhead.address.flags import FLAGS
from pierhead.cli.serve import serve


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
