"""Addresses in argparse programs: what the namespace gets, and what a mistake says."""

from __future__ import annotations

import argparse

import pytest

from pierhead.address import ListenSpec
from pierhead.address.flags import FLAGS
from pierhead.errors import UsageError
from pierhead.integrations.argparse import add_listen_argument, add_listen_option, listen_type
from pierhead.integrations.parameter import FORMS


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog="program")


def ask(parser: argparse.ArgumentParser, *words: str) -> list[str]:
    args = parser.parse_args(words)
    found = [args.listen] if isinstance(args.listen, ListenSpec) else args.listen
    assert all(isinstance(spec, ListenSpec) for spec in found)
    return [str(spec) for spec in found]


def refused(parser: argparse.ArgumentParser, capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        ask(parser, *words)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["-l", "--listen", "--listen-address"])
def test_the_option_has_three_spellings_and_may_be_repeated(parser, spelling: str) -> None:
    add_listen_option(parser)
    assert ask(parser, spelling, ":80", spelling, "/a") == [":80", "unix:/a"]


def test_the_first_address_takes_the_place_of_the_default(parser) -> None:
    add_listen_option(parser, [":80", "@a"])
    assert ask(parser) == [":80", "unix:@a"]
    assert ask(parser, "-l", ":81") == [":81"]
    assert ask(parser) == [":80", "unix:@a"]


def test_an_option_that_is_not_required_is_an_empty_list(parser) -> None:
    add_listen_option(parser, required=False)
    assert ask(parser) == []


@pytest.mark.parametrize("add", [add_listen_option, add_listen_argument])
def test_without_default_an_address_is_required(parser, add, capsys) -> None:
    add(parser)
    assert "are required" in refused(parser, capsys)


@pytest.mark.parametrize("add", [add_listen_option, add_listen_argument])
def test_a_variable_has_addresses_separated_by_blanks(
    parser, add, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN", ":81  /a ")
    add(parser, ":80", envvar="LISTEN")
    assert ask(parser) == [":81", "unix:/a"]


@pytest.mark.parametrize("add", [add_listen_option, add_listen_argument])
def test_an_empty_variable_is_none(parser, add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN", "")
    add(parser, ":80", envvar="LISTEN")
    assert ask(parser) == [":80"]


@pytest.mark.parametrize("add", [add_listen_option, add_listen_argument])
def test_a_wrong_variable_matters_only_where_it_is_used(
    parser, add, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN", ":81 127.0.0.1")
    action = add(parser, envvar="LISTEN")
    words = ["-l", ":82"] if action.option_strings else [":82"]
    assert ask(parser, *words) == [":82"]
    assert "the port is missing\n  127.0.0.1\n" in refused(parser, capsys)


def test_the_argument_takes_many(parser) -> None:
    add_listen_argument(parser)
    assert ask(parser, ":80", "-", "sd-listen:*") == [":80", "inetd", "sd:*"]


def test_the_argument_has_a_default(parser) -> None:
    add_listen_argument(parser, ":80")
    assert ask(parser) == [":80"]
    assert ask(parser, "@a") == ["unix:@a"]


def test_the_argument_may_be_one_beside_others(parser) -> None:
    add_listen_argument(parser, many=False)
    parser.add_argument("text")
    assert ask(parser, "@a", "hello") == ["unix:@a"]


def test_one_argument_may_have_a_default(parser) -> None:
    add_listen_argument(parser, ":80", many=False)
    assert ask(parser) == [":80"]
    assert ask(parser, "@a") == ["unix:@a"]


def test_a_mistake_points_at_its_place(parser, capsys) -> None:
    add_listen_option(parser)
    said = refused(parser, capsys, "-l", "127.0.0.1")
    assert "argument -l/--listen/--listen-address: the port is missing\n" in said
    assert "\n  127.0.0.1\n           ^\n" in said
    assert "Traceback" not in said


def test_the_type_serves_any_argument_of_yours(parser, capsys) -> None:
    parser.add_argument("--admin", type=listen_type, default="/run/admin.sock")
    add_listen_option(parser, ":80")
    args = parser.parse_args(["--unix-listen-chmod", "owner"])
    assert str(args.admin) == "unix:/run/admin.sock?mode=0600"
    assert "unknown scheme" in refused(parser, capsys, "--admin", "tcpp:x:1")


def test_flags_are_filled_into_the_addresses_and_leave_the_namespace(parser) -> None:
    add_listen_argument(parser)
    words = ["--unix-listen-chmod", "group", "--tcp-keepalive", "60000:3:5000"]
    args = parser.parse_args([*words, "127.0.0.1:80", "/a?mode=0600", "/b"])
    assert list(vars(args)) == ["listen"]
    assert [str(spec) for spec in args.listen] == [
        "127.0.0.1:80?keepalive=1m:5s:3",
        "unix:/a?mode=0600",
        "unix:/b?mode=0660",
    ]


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_is_there(parser, name: str) -> None:
    add_listen_argument(parser)
    flag = FLAGS[name]
    at = {"unix": "/run/a.sock", "sd": "sd-listen"}.get(name.split("-")[2], "[::1]:80")
    words = [name] if flag.is_switch else [name, flag.example]
    (found,) = ask(parser, at, *words)
    assert flag.key in ListenSpec.parse(found).options


def test_a_flag_for_none_of_the_addresses_is_a_mistake(parser, capsys) -> None:
    add_listen_option(parser, ":80")
    said = refused(parser, capsys, "--unix-listen-unlink")
    assert "error: --unix-listen-unlink is for none of the addresses" in said
    assert "  :80: unlink is not for host:port" in said


def test_a_bad_value_of_a_flag_is_a_mistake(parser, capsys) -> None:
    add_listen_option(parser, "/a")
    said = refused(parser, capsys, "--unix-listen-chmod", "888")
    assert "argument --unix-listen-chmod: '888' is not a mode" in said


def test_help_has_a_group_for_flags_and_says_default_and_variable(
    parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LISTEN", raising=False)
    add_listen_option(parser, "[fe80::1%eth0]:80", envvar="LISTEN")
    shown = " ".join(parser.format_help().split())
    assert "[address; default: [fe80::1%eth0]:80; variable: LISTEN; example:" in shown
    flags = shown.partition("Flags for addresses:")[2]
    for name in FLAGS:
        assert name in flags
    assert "default: 1024; example: 512]" in flags


def helped(parser: argparse.ArgumentParser, capsys, word: str) -> str:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([word])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("add", [add_listen_option, add_listen_argument])
def test_the_short_help_has_a_line_for_each_flag_and_the_long_one_the_kinds_of_address(
    parser, add, capsys
) -> None:
    add(parser)
    brief, full = (helped(parser, capsys, word) for word in ("-h", "--help"))
    for flag in FLAGS.values():
        assert flag.brief in " ".join(brief.split())
        assert flag.help in " ".join(full.split())
        assert flag.help not in " ".join(brief.split())
    assert all(f"  {form}\n" in full for form in FORMS)
    assert not any(form in brief for form in FORMS)
    assert "Address to listen on" in brief
    assert "--help shows more" in brief


def test_a_parser_without_help_gets_none(capsys) -> None:
    parser = argparse.ArgumentParser(prog="program", add_help=False)
    add_listen_option(parser, ":80")
    assert "unrecognized arguments: -h" in refused(parser, capsys, "-h")


def test_addresses_may_be_added_to_a_group(parser) -> None:
    add_listen_option(parser, ":80", group=parser.add_argument_group("where"))
    assert ask(parser, "--tcp-reuse-port") == [":80?reuseport"]
    assert "where:\n  -l" in parser.format_help()


def test_without_flags_there_are_none(parser, capsys) -> None:
    add_listen_option(parser, ":80", flags=False)
    assert ask(parser) == [":80"]
    assert "unrecognized arguments: --tcp-reuse-port" in refused(parser, capsys, "--tcp-reuse-port")


@pytest.mark.parametrize("flags", [(True, True), (True, False), (False, True)])
def test_two_addresses_of_a_parser_share_flags_and_helps(parser, flags, capsys) -> None:
    add_listen_option(parser, ":80", flags=flags[0])
    add_listen_argument(parser, dest="admin", many=False, flags=flags[1])
    args = parser.parse_args(["@a", "--tcp-reuse-port", "--send-buffer-size", "4096"])
    assert [str(spec) for spec in args.listen] == [":80?reuseport&sndbuf=4KiB"]
    assert str(args.admin) == "unix:@a?sndbuf=4KiB"
    brief, full = (helped(parser, capsys, word) for word in ("-h", "--help"))
    assert brief.count("--tcp-reuse-port") == 2  # in the line of usage, too
    assert FLAGS["--tcp-listen-backlog"].help not in " ".join(brief.split())
    assert FLAGS["--tcp-listen-backlog"].help in " ".join(full.split())


def test_a_lenient_parser_warns_of_a_flag_for_none_of_the_addresses(parser, caplog) -> None:
    add_listen_option(parser, ":80", lenient=True)
    assert ask(parser, "--unix-listen-unlink", "--tcp-reuse-port") == [":80?reuseport"]
    (said,) = caplog.messages
    assert said == "--unix-listen-unlink is ignored: it is for none of the addresses"


@pytest.mark.parametrize(
    "method",
    ["parse_args", "parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args"],
)
def test_flags_are_filled_in_whichever_method_parses(parser, method: str) -> None:
    add_listen_argument(parser)
    for _ in range(2):
        parsed = getattr(parser, method)(["--recv-buffer-size", "4096", "@a", ":80"])
        args = parsed[0] if "known" in method else parsed
        assert [str(spec) for spec in args.listen] == ["unix:@a?rcvbuf=4KiB", ":80?rcvbuf=4KiB"]
        assert list(vars(args)) == ["listen"]


def test_flags_are_filled_into_a_namespace_of_yours(parser) -> None:
    add_listen_argument(parser)
    mine = argparse.Namespace(admin=ListenSpec.parse("@admin"))
    args = parser.parse_args([":80", "--send-buffer-size", "4096"], mine)
    assert args is mine
    assert str(args.admin) == "unix:@admin?sndbuf=4KiB"


def test_a_subparser_has_addresses_and_flags_of_its_own(parser, capsys) -> None:
    commands = parser.add_subparsers(dest="command")
    add_listen_option(commands.add_parser("serve"), ":80")
    commands.add_parser("other")
    args = parser.parse_args(["serve", "--tcp-reuse-port"])
    assert [str(spec) for spec in args.listen] == [":80?reuseport"]
    assert vars(parser.parse_args(["other"])) == {"command": "other"}
    assert "serve: error: --unix-listen-unlink is for none" in refused(
        parser, capsys, "serve", "--unix-listen-unlink"
    )


def test_a_flag_is_never_dropped_in_silence_where_the_addresses_came_with_a_parent() -> None:
    parent = argparse.ArgumentParser(add_help=False)
    add_listen_option(parent, ":80")
    parser = argparse.ArgumentParser(parents=[parent])
    assert [str(spec) for spec in parser.parse_args([]).listen] == [":80"]
    with pytest.raises(UsageError, match="--tcp-reuse-port would have no effect"):
        parser.parse_args(["--tcp-reuse-port"])


def test_a_mistake_of_the_program_is_refused_with_what_was_expected() -> None:
    parser = argparse.ArgumentParser()
    for given in (5, [5], print):
        with pytest.raises(UsageError, match=r"the default is|with parentheses"):
            add_listen_option(parser, given)
    with pytest.raises(UsageError, match=r"expected an argparse.ArgumentParser; it comes first"):
        add_listen_option("127.0.0.1:80", parser)
