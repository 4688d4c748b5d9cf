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
from pierhead.errors import UsageError
from pierhead.integrations.parameter import FORMS
from pierhead.integrations.typer import listen_argument, listen_option, listen_type


def show(*decorators):
    """Return a function that prints the addresses it gets."""

    def main(listen) -> None:
        several = [listen] if isinstance(listen, ListenSpec) else listen
        assert all(isinstance(spec, ListenSpec) for spec in several)
        typer.echo(" ".join(map(str, several)))

    for decorator in reversed(decorators):
        main = decorator(main)
    return main


HERE = ListenSpec.parse("/run/admin.sock")


def ask(function, *words: str, **env: str):
    app = typer.Typer()
    app.command()(function)
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERM": "dumb", **env})


@pytest.mark.parametrize("spelling", ["-l", "--listen", "--listen-address"])
@pytest.mark.parametrize("flags", [True, False])
def test_the_option_has_three_spellings_and_may_be_repeated(spelling: str, flags: bool) -> None:
    result = ask(show(listen_option(flags=flags)), spelling, ":80", spelling, "/a")
    assert (result.exit_code, result.output) == (0, ":80 unix:/a\n")


def test_the_default_holds_where_nothing_is_given() -> None:
    assert ask(show(listen_option(":80"))).output == ":80\n"
    assert ask(show(listen_option([":80", "@a"]))).output == ":80 unix:@a\n"
    assert ask(show(listen_option(":80")), "-l", ":81").output == ":81\n"
    assert ask(show(listen_option(required=False))).output == "\n"
    assert ask(show(listen_argument(":80"))).output == ":80\n"
    assert ask(show(listen_argument(":80", many=False))).output == ":80\n"


@pytest.mark.parametrize(
    "address", [listen_option(), listen_argument(), listen_argument(many=False)]
)
def test_without_default_an_address_is_required(address) -> None:
    result = ask(show(address))
    assert (result.exit_code, "Missing" in result.output) == (2, True)


@pytest.mark.parametrize(
    "address", [listen_option(":80", envvar="LISTEN"), listen_argument(envvar="LISTEN")]
)
def test_a_variable_has_addresses_separated_by_blanks(address) -> None:
    assert ask(show(address), LISTEN=":81  /a ").output == ":81 unix:/a\n"
    wrong = ask(show(address), LISTEN="127.0.0.1")
    assert (wrong.exit_code, "the port is missing" in wrong.output) == (2, True)


def test_the_argument_takes_one_or_many() -> None:
    assert ask(show(listen_argument()), ":80", "-").output == ":80 inetd\n"
    one = show(listen_argument(many=False))
    assert ask(one, "@a").output == "unix:@a\n"
    assert ask(one, "@a", "@b").exit_code == 2


def test_a_mistake_points_at_its_place() -> None:
    result = ask(show(listen_option()), "-l", "127.0.0.1")
    assert result.exit_code == 2
    assert "the port is missing" in result.output
    lines = result.output.splitlines()
    (at,) = [number for number, line in enumerate(lines) if "^" in line]
    assert lines[at].index("^") == lines[at - 1].index("127.0.0.1") + len("127.0.0.1")
    assert "Traceback" not in result.output


def test_flags_are_filled_into_the_addresses() -> None:
    flags = ["--unix-listen-chmod", "group", "--tcp-keepalive", "60000:3:5000"]
    result = ask(show(listen_argument()), *flags, "127.0.0.1:80", "/a?mode=0600", "/b")
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
    result = ask(show(listen_argument(many=False)), *words, at)
    assert result.exit_code == 0, result.output
    assert flag.key in ListenSpec.parse(result.output.strip()).options


def test_a_flag_for_none_of_the_addresses_is_a_mistake() -> None:
    result = ask(show(listen_option(":80")), "--unix-listen-chmod", "group")
    assert result.exit_code == 2
    assert "--unix-listen-chmod is for none of the addresses" in result.output


def test_a_bad_value_of_a_flag_is_a_mistake() -> None:
    result = ask(show(listen_argument()), "--tcp-keepalive", "1000:2:3000:4", ":80")
    assert (result.exit_code, "more than three parts" in result.output) == (2, True)


def test_other_parameters_stay_as_they_are() -> None:
    @listen_option(":80")
    def main(name: str, listen: list[ListenSpec], times: int = 1) -> None:
        typer.echo(f"{name} {listen[0]} {times}")

    result = ask(main, "me", "--times", "3", "--tcp-reuse-port")
    assert result.output == "me :80?reuseport 3\n"


def test_help_lists_flags_apart_with_default_and_example() -> None:
    shown = ask(show(listen_option(":80")), "--help").output
    options, _, flags = shown.partition("Flags for addresses")
    assert "--listen-address" in options
    for name in FLAGS:
        assert name not in options
        assert name in flags
    words = " ".join(flags.replace("│", " ").split())
    assert "default: 1024; example: 512)" in words


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("address", [listen_option, listen_argument])
def test_the_short_help_has_a_line_for_each_flag_and_the_long_one_the_kinds_of_address(
    address, rich: bool
) -> None:
    app = typer.Typer(rich_markup_mode="rich" if rich else None)
    app.command()(show(address(":80")))
    brief, full = (
        CliRunner().invoke(app, [word], env={"COLUMNS": "200", "TERM": "dumb"})
        for word in ("-h", "--help")
    )
    assert (brief.exit_code, full.exit_code) == (0, 0)
    says, says_all = (" ".join(one.output.replace("│", " ").split()) for one in (brief, full))
    for flag in FLAGS.values():
        meant = flag.help.replace("[", "(").replace("]", ")")
        assert flag.brief in says
        assert meant in says_all
        assert meant not in says
    assert all(form in says_all for form in FORMS)
    assert not any(form in says for form in FORMS)
    assert "Address to listen on" in says


def test_the_short_help_leaves_the_long_one_as_it_is() -> None:
    app = typer.Typer()
    app.command()(show(listen_option(":80")))
    ways = [CliRunner().invoke(app, [word]).output for word in ("--help", "-h", "--help")]
    assert ways[0] == ways[2] != ways[1]


@pytest.mark.parametrize("flags", [(True, True), (True, False), (False, True)])
def test_two_addresses_of_a_function_share_flags_and_helps(flags: tuple[bool, bool]) -> None:
    @listen_option(":80", flags=flags[0])
    @listen_argument(name="admin", many=False, flags=flags[1])
    def main(listen, admin) -> None:
        typer.echo(f"{listen[0]} {admin}")

    result = ask(main, "@a", "--tcp-reuse-port", "--send-buffer-size", "4096")
    assert result.output == ":80?reuseport&sndbuf=4KiB unix:@a?sndbuf=4KiB\n"
    brief = ask(main, "-h").output
    assert brief.count("--tcp-reuse-port") == 1
    assert not any(form in brief for form in FORMS)


def test_without_flags_there_are_none() -> None:
    result = ask(show(listen_option(":80", flags=False)), "--tcp-reuse-port")
    assert (result.exit_code, "No such option" in result.output) == (2, True)


def test_a_lenient_command_warns_of_a_flag_for_none_of_the_addresses(caplog) -> None:
    for address in (listen_option, listen_argument):
        caplog.clear()
        result = ask(show(address(":80", lenient=True)), "--unix-listen-unlink", "--tcp-reuse-port")
        assert (result.exit_code, result.output) == (0, ":80?reuseport\n")
        (said,) = caplog.messages
        assert said == "--unix-listen-unlink is ignored: it is for none of the addresses"


def test_flags_reach_an_option_of_your_own() -> None:
    @listen_option(":80")
    def main(
        listen: list[ListenSpec],
        admin: Annotated[ListenSpec, typer.Option(parser=listen_type)] = HERE,
    ) -> None:
        typer.echo(f"{listen[0]} {admin}")

    result = ask(main, "--unix-listen-chmod", "owner", "--tcp-reuse-port")
    assert result.output == ":80?reuseport unix:/run/admin.sock?mode=0600\n"


def test_a_function_without_the_parameter_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="main has no parameter specs; add it"):
        show(listen_option(name="specs"))


def test_without_typer_the_message_has_the_line_that_installs_it() -> None:
    code = (
        "import sys; sys.modules['typer'] = None\n"
        "from pierhead.errors import UsageError\n"
        "try: import pierhead.integrations.typer\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "install it: pip install 'pierhead[typer]'" in done.stdout


@pytest.mark.parametrize("decorator", [listen_option, listen_argument])
def test_a_decorator_without_parentheses_is_told_to_have_them(decorator) -> None:
    def main(listen: list[ListenSpec]) -> None:
        raise AssertionError("never called")

    with pytest.raises(UsageError, match=rf"write @{decorator.__name__}\(\), with parentheses"):
        decorator(main)
