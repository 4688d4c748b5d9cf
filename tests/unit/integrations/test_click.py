"""Addresses in click programs: what the function gets, and what a mistake says."""

from __future__ import annotations

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from pierhead.address import KeepaliveTimes, ListenSpec
from pierhead.address.flags import FLAGS
from pierhead.errors import UsageError
from pierhead.integrations.click import ListenCommand, ListenType, listen_argument, listen_option
from pierhead.integrations.parameter import FORMS


def show(*decorators, cls: type[click.Command] = click.Command) -> click.Command:
    """Return a command that prints the addresses its function gets."""

    def main(listen) -> None:
        several = [listen] if isinstance(listen, ListenSpec) else listen
        assert all(isinstance(spec, ListenSpec) for spec in several)
        click.echo(" ".join(map(str, several)))

    for decorator in reversed(decorators):
        main = decorator(main)
    return click.command(cls=cls)(main)


def ask(command: click.Command, *words: str, **env: str):
    return CliRunner().invoke(command, list(words), env=env)


@pytest.mark.parametrize("spelling", ["-l", "--listen", "--listen-address"])
def test_the_option_has_three_spellings_and_may_be_repeated(spelling: str) -> None:
    result = ask(show(listen_option()), spelling, "127.0.0.1:80", spelling, "/run/a.sock")
    assert (result.exit_code, result.output) == (0, "127.0.0.1:80 unix:/run/a.sock\n")


def test_the_default_holds_where_nothing_is_given() -> None:
    assert ask(show(listen_option("127.0.0.1:80"))).output == "127.0.0.1:80\n"
    assert ask(show(listen_option([":80", "@a"]))).output == ":80 unix:@a\n"
    assert ask(show(listen_option(":80")), "-l", ":81").output == ":81\n"
    assert ask(show(listen_option(required=False))).output == "\n"


def test_without_default_an_address_is_required() -> None:
    for command in (show(listen_option()), show(listen_argument())):
        result = ask(command)
        assert result.exit_code == 2
        assert "no address to listen on; give one" in result.output


def test_a_variable_has_addresses_separated_by_blanks() -> None:
    for command in (
        show(listen_option(":80", envvar="LISTEN")),
        show(listen_argument(":80", envvar="LISTEN")),
    ):
        assert ask(command, LISTEN=":81  /run/a.sock ").output == ":81 unix:/run/a.sock\n"
        assert ask(command, LISTEN="").output == ":80\n"
        wrong = ask(command, LISTEN=":81 127.0.0.1")
        assert (wrong.exit_code, "the port is missing" in wrong.output) == (2, True)


def test_the_command_line_goes_before_the_variable() -> None:
    command = show(listen_option(":80", envvar="LISTEN"))
    assert ask(command, "-l", ":82", LISTEN="nonsense").output == ":82\n"


def test_the_argument_takes_one_or_many() -> None:
    assert ask(show(listen_argument()), ":80", "-").output == ":80 inetd\n"
    assert ask(show(listen_argument(":80"))).output == ":80\n"
    one = show(listen_argument(many=False))
    assert ask(one, "@a").output == "unix:@a\n"
    assert ask(one).exit_code == 2
    assert ask(one, "@a", "@b").exit_code == 2
    assert ask(show(listen_argument(":80", many=False))).output == ":80\n"


def test_a_mistake_points_at_its_place() -> None:
    result = ask(show(listen_option()), "-l", "tcp:127.0.0.1:80a")
    assert result.exit_code == 2
    assert "Invalid value for '-l' / '--listen' / '--listen-address'" in result.output
    assert "not a port" in result.output
    assert "\n  tcp:127.0.0.1:80a\n                  ^" in result.output


def test_flags_are_filled_into_the_addresses() -> None:
    command = show(listen_option())
    words = ["-l", "127.0.0.1:80", "-l", "/run/a.sock?mode=0600", "-l", "/run/b.sock"]
    flags = ["--unix-listen-chmod", "group", "--tcp-keepalive", "60000:3:5000"]
    assert ask(command, *words, *flags).output.split() == [
        "127.0.0.1:80?keepalive=1m:5s:3",
        "unix:/run/a.sock?mode=0600",
        "unix:/run/b.sock?mode=0660",
    ]


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_is_there(name: str) -> None:
    flag = FLAGS[name]
    at = {"unix": "/run/a.sock", "sd": "sd-listen"}.get(name.split("-")[2], "[::1]:80")
    words = [name] if flag.is_switch else [name, flag.example]
    result = ask(show(listen_argument()), *words, at)
    assert result.exit_code == 0, result.output
    assert flag.key in ListenSpec.parse(result.output.strip()).options


def test_owner_0_is_a_value() -> None:
    result = ask(show(listen_argument()), "--unix-listen-uid", "0", "/a")
    assert result.output == "unix:/a?user=0\n"


def test_flags_are_filled_into_the_default_and_the_variable() -> None:
    command = show(listen_option(":80", envvar="LISTEN"))
    assert ask(command, "--tcp-reuse-port").output == ":80?reuseport\n"
    assert ask(command, "--tcp-reuse-port", LISTEN=":81").output == ":81?reuseport\n"


def test_the_option_may_stand_anywhere_below_the_command() -> None:
    command = show(click.option("--other", expose_value=False), listen_option())
    assert ask(command, "-l", ":80", "--tcp-reuse-port").output == ":80?reuseport\n"


def test_flags_reach_every_parameter_with_addresses() -> None:
    @click.command()
    @listen_option(":80")
    @click.option("--admin", type=ListenType(), default="/run/admin.sock")
    @click.option("--other", default="text")
    def main(listen, admin, other) -> None:
        click.echo(f"{listen[0]} {admin} {other}")

    result = ask(main, "--tcp-reuse-port", "--unix-listen-chmod", "owner")
    assert result.output == ":80?reuseport unix:/run/admin.sock?mode=0600 text\n"


def test_a_flag_for_none_of_the_addresses_is_a_mistake() -> None:
    result = ask(show(listen_option(":80")), "--unix-listen-chmod", "group")
    assert result.exit_code == 2
    assert "--unix-listen-chmod is for none of the addresses" in result.output
    assert "  :80: mode is not for host:port" in result.output


def test_a_bad_value_of_a_flag_is_a_mistake() -> None:
    command = show(listen_argument())
    result = ask(command, "--tcp-keepalive", "1000:2:3000:4", ":80")
    assert result.exit_code == 2
    assert "Invalid value for '--tcp-keepalive': more than three parts" in result.output
    assert "  1000:2:3000:4\n              ^" in result.output


def test_help_says_default_variable_and_example() -> None:
    shown = " ".join(ask(show(listen_option(":80", envvar="LISTEN")), "--help").output.split())
    assert "[address; default: :80; variable: LISTEN; example: 127.0.0.1:8080]" in shown
    shown = " ".join(ask(show(listen_option()), "--help").output.split())
    assert "[address; example: 127.0.0.1:8080] [required]" in shown


def test_flags_have_a_section_of_their_own_in_the_help() -> None:
    command = show(listen_option(), cls=ListenCommand)
    options, flags = ask(command, "--help").output.split("Flags for addresses:")
    assert "--listen-address" in options
    assert "--help" in options
    for name, flag in FLAGS.items():
        assert name not in options
        assert f"{name} {flag.metavar if not flag.is_switch else ''}" in flags
    without = ask(show(listen_option(flags=False), cls=ListenCommand), "--help").output
    assert "Flags for addresses:" not in without


@pytest.mark.parametrize("cls", [click.Command, ListenCommand])
@pytest.mark.parametrize("address", [listen_option, listen_argument])
def test_the_short_help_has_a_line_for_each_flag_and_the_long_one_the_kinds_of_address(
    address, cls: type[click.Command]
) -> None:
    command = show(address(":80"), cls=cls)
    brief, full, again = (ask(command, word) for word in ("-h", "--help", "-h"))
    assert (brief.exit_code, full.exit_code) == (0, 0)
    assert brief.output == again.output
    for flag in FLAGS.values():
        assert flag.brief in " ".join(brief.output.split())
        assert flag.help in " ".join(full.output.split())
        assert flag.help not in " ".join(brief.output.split())
    assert all(f"{form}\n" in full.output for form in FORMS)
    assert not any(form in brief.output for form in FORMS)
    for shown in (brief, full):
        assert "Address to listen on" in shown.output
        assert "default: :80" in shown.output


def test_the_short_help_is_there_where_an_address_is_required() -> None:
    assert ask(show(listen_option()), "-h").exit_code == 0


def test_a_mistake_names_the_long_help() -> None:
    assert "Try 'main --help' for help." in ask(show(listen_option()), "--nonsense").output


def test_without_flags_there_are_none() -> None:
    for command in (show(listen_option(":80", flags=False)), show(listen_argument(flags=False))):
        result = ask(command, "--tcp-reuse-port")
        assert (result.exit_code, "No such option" in result.output) == (2, True)
    assert ask(show(listen_option(":80", flags=False))).output == ":80\n"


def test_a_lenient_command_warns_of_a_flag_for_none_of_the_addresses(caplog) -> None:
    for address in (listen_option, listen_argument):
        caplog.clear()
        command = show(address(":80", lenient=True))
        result = ask(command, "--unix-listen-unlink", "--tcp-reuse-port")
        assert (result.exit_code, result.output) == (0, ":80?reuseport\n")
        (said,) = caplog.messages
        assert said == "--unix-listen-unlink is ignored: it is for none of the addresses"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("flags", [(True, True), (True, False), (False, True)])
def test_two_addresses_of_a_function_share_flags_and_helps(flags: tuple[bool, bool]) -> None:
    @click.command()
    @listen_option(":80", flags=flags[0])
    @listen_argument(name="admin", many=False, flags=flags[1])
    def main(listen, admin) -> None:
        click.echo(f"{listen[0]} {admin}")

    result = ask(main, "@a", "--tcp-reuse-port", "--send-buffer-size", "4096")
    assert result.output == ":80?reuseport&sndbuf=4KiB unix:@a?sndbuf=4KiB\n"
    brief = ask(main, "-h").output
    assert brief.count("--tcp-reuse-port") == 1
    assert not any(form in brief for form in FORMS)


def complete(command: click.Command, *words: str) -> list[tuple[str, str]]:
    found = ShellComplete(command, {}, "x", "_X_COMPLETE").get_completions(
        list(words[:-1]), words[-1]
    )
    return [(one.type, one.value) for one in found]


def test_a_shell_completes_schemes_options_and_files() -> None:
    command = show(listen_option())
    assert ("plain", "tcp:") in complete(command, "-l", "")
    assert complete(command, "-l", "tls+tc") == [("plain", "tls+tcp:")]
    assert complete(command, "-l", "./a") == [("file", "./a")]
    assert ("plain", "./a?mode=") in complete(command, "-l", "./a?m")


def test_a_keepalive_without_times_just_switches_on() -> None:
    result = ask(show(listen_argument()), "--tcp-keepalive", "", "tcp::80")
    (spec,) = map(ListenSpec.parse, result.output.split())
    assert spec.options.get("keepalive") == KeepaliveTimes()


@pytest.mark.parametrize("decorator", [listen_option, listen_argument])
def test_a_decorator_without_parentheses_is_told_to_have_them(decorator) -> None:
    def main(listen) -> None:
        click.echo(str(listen))

    name = decorator.__name__
    with pytest.raises(UsageError, match=rf"write @{name}\(\), with parentheses"):
        decorator(main)
    assert ask(click.command(decorator()(main)), ":80").exit_code in (0, 2)


@pytest.mark.parametrize("decorator", [listen_option, listen_argument])
def test_a_decorator_above_the_command_is_told_to_be_below(decorator) -> None:
    def serve(listen) -> None:
        raise AssertionError("never called")

    made = click.command()(serve)
    with pytest.raises(UsageError, match=r"the command serve exists already; .*below @click.com"):
        decorator(":80")(made)
    with pytest.raises(UsageError, match="with parentheses"):
        decorator(made)
    assert ask(click.command()(decorator(":80")(lambda listen: None))).exit_code == 0
