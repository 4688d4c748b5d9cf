"""Addresses in typer programs: what the function gets, and what a mistake says."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from pierhead.address import ListenSpec
from pierhead.address.flags import FLAGS
from pierhead.arguments.typer import (
    Listen,
    ListenArgument,
    OneListenArgument,
    listen_argument,
    listen_flags,
    listen_option,
)

FromEnvironment = Annotated[list[ListenSpec], listen_option(envvar="LISTEN")]
ArgumentFromEnvironment = Annotated[list[ListenSpec], listen_argument(envvar="LISTEN")]
HERE = [ListenSpec.parse(":80")]


def show(listen) -> None:
    several = [listen] if isinstance(listen, ListenSpec) else listen
    assert all(isinstance(spec, ListenSpec) for spec in several)
    typer.echo(" ".join(map(str, several)))


def by_option(listen: Listen) -> None:
    show(listen)


def by_option_with_default(listen: Listen = HERE) -> None:
    show(listen)


def by_argument(listen: ListenArgument) -> None:
    show(listen)


def by_one_argument(listen: OneListenArgument) -> None:
    show(listen)


def by_variable(listen: FromEnvironment = HERE) -> None:
    show(listen)


def by_argument_or_variable(listen: ArgumentFromEnvironment) -> None:
    show(listen)


def ask(function, *words: str, flags: bool = True, **env: str):
    app = typer.Typer()
    app.command()(listen_flags(function) if flags else function)
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERM": "dumb", **env})


@pytest.mark.parametrize("spelling", ["-l", "--listen", "--listen-address"])
@pytest.mark.parametrize("flags", [True, False])
def test_the_option_has_three_spellings_and_may_be_repeated(spelling: str, flags: bool) -> None:
    result = ask(by_option, spelling, ":80", spelling, "/a", flags=flags)
    assert (result.exit_code, result.output) == (0, ":80 unix:/a\n")


def test_the_default_holds_where_nothing_is_given() -> None:
    assert ask(by_option_with_default).output == ":80\n"
    assert ask(by_option_with_default, "-l", ":81").output == ":81\n"


@pytest.mark.parametrize("function", [by_option, by_argument, by_one_argument])
def test_without_default_an_address_is_required(function) -> None:
    result = ask(function)
    assert (result.exit_code, "Missing" in result.output) == (2, True)


@pytest.mark.parametrize("function", [by_variable, by_argument_or_variable])
def test_a_variable_has_addresses_separated_by_blanks(function) -> None:
    assert ask(function, LISTEN=":81  /a ").output == ":81 unix:/a\n"
    wrong = ask(function, LISTEN="127.0.0.1")
    assert (wrong.exit_code, "the port is missing" in wrong.output) == (2, True)


def test_the_argument_takes_one_or_many() -> None:
    assert ask(by_argument, ":80", "-").output == ":80 inetd\n"
    assert ask(by_one_argument, "@a").output == "unix:@a\n"
    assert ask(by_one_argument, "@a", "@b").exit_code == 2


def test_a_mistake_points_at_its_place() -> None:
    result = ask(by_option, "-l", "127.0.0.1")
    assert result.exit_code == 2
    assert "the port is missing" in result.output
    lines = result.output.splitlines()
    (at,) = [number for number, line in enumerate(lines) if "^" in line]
    assert lines[at].index("^") == lines[at - 1].index("127.0.0.1") + len("127.0.0.1")
    assert "Traceback" not in result.output


def test_flags_are_filled_into_the_addresses() -> None:
    flags = ["--unix-listen-chmod", "group", "--tcp-keepalive", "60000:3:5000"]
    result = ask(by_argument, *flags, "127.0.0.1:80", "/a?mode=0600", "/b")
    assert result.output.split() == [
        "127.0.0.1:80?keepalive=1m:5s:3",
        "unix:/a?mode=0600",
        "unix:/b?mode=0660",
    ]


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_is_there(name: str) -> None:
    flag = FLAGS[name]
    at = {"unix": "/run/a.sock", "sd": "sd-listen"}.get(name.split("-")[2], "[::1]:80")
    words = [name] if flag.is_switch else [name, flag.example]
    result = ask(by_one_argument, *words, at)
    assert result.exit_code == 0, result.output
    assert flag.key in ListenSpec.parse(result.output.strip()).options


def test_a_flag_for_none_of_the_addresses_is_a_mistake() -> None:
    result = ask(by_option_with_default, "--unix-listen-chmod", "group")
    assert result.exit_code == 2
    assert "--unix-listen-chmod is for none of the addresses" in result.output


def test_a_bad_value_of_a_flag_is_a_mistake() -> None:
    result = ask(by_argument, "--tcp-keepalive", "1000:2:3000:4", ":80")
    assert (result.exit_code, "more than three parts" in result.output) == (2, True)


def test_other_parameters_stay_as_they_are() -> None:
    def main(name: str, listen: Listen = HERE, times: int = 1) -> None:
        typer.echo(f"{name} {listen[0]} {times}")

    result = ask(main, "me", "--times", "3", "--tcp-reuse-port")
    assert result.output == "me :80?reuseport 3\n"


def test_help_lists_flags_apart_with_default_and_example() -> None:
    shown = ask(by_option_with_default, "--help").output
    options, _, flags = shown.partition("Flags for addresses")
    assert "--listen-address" in options
    for name in FLAGS:
        assert name not in options
        assert name in flags
    words = " ".join(flags.replace("│", " ").split())
    assert "default: 1024; example: 512)" in words


def test_without_typer_the_message_has_the_line_that_installs_it() -> None:
    code = (
        "import sys; sys.modules['typer'] = None\n"
        "from pierhead.errors import UsageError\n"
        "try: import pierhead.arguments.typer\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "install it: pip install 'pierhead[typer]'" in done.stdout
