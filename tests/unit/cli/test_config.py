from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pierhead.cli.config import config
from pierhead.cli.serve import serve
from pierhead.config.configuration import Dns, Echo, Files, Forward, Http, Lines
from pierhead.config.reading import ConfigurationError, parse

SITE = '[[serve]]\nprotocol = "echo"\nlisten = ["tcp:127.0.0.1:0", "@a"]\nlimits.max_peers = 7\n'


def ask(*words: str, **env: str) -> Result:
    return CliRunner().invoke(config, list(words), env=env, catch_exceptions=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pierhead.toml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_checked_without_opening_anything(folder: Path) -> None:
    result = ask("check")
    assert result.output == "pierhead.toml is valid: 1 to serve on 2 addresses\n"
    (folder / "pierhead.toml").write_text(SITE.replace("max_peers", "max_pears"))
    wrong = ask("check")
    assert isinstance(wrong.exception, ConfigurationError)  # which `main` shows
    assert "did you mean max_peers?" in str(wrong.exception)


def test_what_is_in_effect_is_shown_with_its_origin(folder: Path) -> None:
    shown = ask("show", PIERHEAD_LOGGING_LEVEL="info")
    assert parse(shown.output, "shown").configuration.logging.level == "info"
    env = {"PIERHEAD_LIMITS_IDLE_TIMEOUT": "5s"}
    result = ask("show", "--origin", "--set", "strict_permissions=true", **env)
    lines = result.output.splitlines()
    for key, origin in {
        'serve[0].listen = ["tcp:127.0.0.1:0", "unix:@a"]': "# pierhead.toml:3; a change",
        "serve[0].limits.max_peers = 7": "# pierhead.toml:4;",
        'limits.idle_timeout = "5s"': "# PIERHEAD_LIMITS_IDLE_TIMEOUT;",
        "strict_permissions = true": "# --set;",
        'logging.level = "warning"': "# default;",
    }.items():
        (line,) = [line for line in lines if line.startswith(key)]
        assert origin in line
    rows = json.loads(ask("show", "--json", "--origin").output)
    assert {
        "key": "serve[0].protocol",
        "value": "echo",
        "origin": "pierhead.toml:2",
        "effect": "at a reload",
    } in rows


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["echo", "-l", "tcp:127.0.0.1:7"], Echo(listen=())),
        (
            ["lines", "shout:shout", "-l", ":7", "--encoding", "bytes"],
            Lines(listen=(), service="shout:shout", encoding="bytes"),
        ),
        (
            ["dns", "--zone", "zones/", "--rate-limit", "off", "--nsid", "a\"\\'b", "--query-log"],
            Dns(listen=(), zones=("zones/",), rate_limit="off", nsid="a\"\\'b", query_log=True),
        ),
        (
            ["dns", "--forward", "corp.=192.0.2.1:53", "--allow", "::1", "--rate-limit", "0.5"],
            Dns(listen=(), forward=("corp.=192.0.2.1:53",), allow=("::1",), rate_limit=0.5),
        ),
        (
            ["http", "a:b", "-l", ":7", "--max-body-bytes", "off"],
            Http(listen=(), service="a:b", max_body_bytes="off"),
        ),
        (
            ["files", "static", "-l", ":7", "--index", "", "--access-log", "json"],
            Files(listen=(), folder="static", index="", access_log="json"),
        ),
        (
            ["forward", "-l", ":7", "--to", "unix:/a", "--policy", "fastest", "--check"],
            Forward(listen=(), to=("unix:/a",), policy="fastest", check=True),
        ),
    ],
)
def test_a_command_line_is_printed_as_the_file_that_says_the_same(words, meant) -> None:
    more = ["--limit", "idle-timeout=90s", "--strict-permissions", "--print-config"]
    result = CliRunner().invoke(serve, [*words, *more])
    assert result.exit_code == 0, result.output
    printed = parse(result.output, "printed").configuration
    (one,) = printed.serve
    assert type(one) is type(meant)
    assert {n: getattr(one, n) for n in one.__slots__} == {
        n: getattr(meant, n) for n in one.__slots__
    }
    assert one.listen
    assert printed.strict_permissions
    assert printed.limits == {"idle_timeout": 90}
