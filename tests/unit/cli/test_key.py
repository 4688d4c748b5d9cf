"""The command that makes keys, and the commands that take them."""

from __future__ import annotations

import base64
import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.processes import Running, pierhead_command

from pierhead.cli.key import key
from pierhead.cli.query import query
from pierhead.cli.serve import serve
from pierhead.errors import ConfigError, UsageError
from pierhead.protocols.dns.key_file import read_keys
from pierhead.protocols.dns.wire.tsig import Key, bind_text, parse_keys
from pierhead.protocols.dns.wire.tsig.key import ALGORITHMS

ZONE = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
KEY = Key("north.example", bytes(range(32)))


def invoke(*words: str) -> Result:
    return CliRunner().invoke(key, ["generate", *words])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_as_long_as_its_hash_and_each_is_another(algorithm):
    first, second = (
        parse_keys(invoke("north.example", "--algorithm", algorithm).stdout)[0] for _ in range(2)
    )
    assert (first.text, first.algorithm_text) == ("north.example.", algorithm)
    assert len(first.secret) == ALGORITHMS[algorithm].octets
    assert first.secret != second.secret


def test_the_default_is_sha256():
    (made,) = parse_keys(invoke("north.example").stdout)
    assert made.algorithm_text == "hmac-sha256"


def test_a_file_is_new_and_its_owner_s_alone(tmp_path: Path):
    file = tmp_path / "north.key"
    result = invoke("north.example", "-o", str(file), "-a", "hmac-sha256-128")
    assert (result.exit_code, result.output) == (0, "")
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (made,) = read_keys(file, strict_permissions=True)
    assert made.algorithm_text == "hmac-sha256-128"
    again = invoke("north.example", "-o", str(file))
    assert isinstance(again.exception, UsageError)
    assert "name a new file" in str(again.exception)
    assert read_keys(file) == (made,)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert isinstance(invoke("north.example", "-o", str(link)).exception, UsageError)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("words", [("a..b",), ("a", "-a", "hmac-md5"), ("a", "-a", "x")])
def test_what_cannot_be_is_refused(words):
    assert isinstance(invoke(*words).exception, UsageError)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "north.key"
    path.touch(0o600)
    path.write_text(bind_text(KEY))
    return path


def test_a_server_with_keys_answers_signed_questions(file: Path, tmp_path: Path):
    (tmp_path / "a.zone").write_text(ZONE)
    words = ["--zone", "a.zone", "--key", file.name, "-l", "127.0.0.1:0", "--strict-permissions"]
    with Running([*pierhead_command(), "serve", "dns", *words], cwd=tmp_path) as running:
        port = running.line("ready").rpartition(":")[2]
        asked = [f"@127.0.0.1:{port}", "ns.a.", "A"]
        text = f"hmac-sha256:north.example:{base64.b64encode(KEY.secret).decode()}"
        for signed in (["-k", str(file)], ["-y", text], ["-y", text.partition(":")[2], "+tcp"]):
            shown = CliRunner().invoke(query, [*asked, *signed])
            assert shown.exit_code == 0, shown.output
            assert "192.0.2.1" in shown.output
            assert "TSIG  north.example. hmac-sha256, verified" in shown.output
        shown = CliRunner().invoke(query, [*asked, "-y", "north.example:AAAA"])
        assert shown.exit_code == 9
        assert "BADSIG: its key north.example. has another secret" in shown.stderr
        shown = CliRunner().invoke(query, [*asked, "-k", str(file), "--json"])
        assert '"signed_by": "north.example."' in shown.output
        assert "TSIG" not in CliRunner().invoke(query, asked).output


def test_a_key_file_that_others_can_read_is_refused_if_asked_to(file: Path, tmp_path: Path):
    (tmp_path / "a.zone").write_text(ZONE)
    file.chmod(0o644)
    words = ["dns", "--zone", str(tmp_path), "--key", str(file), "-l", "127.0.0.1:0"]
    strict = CliRunner().invoke(serve, [*words, "--strict-permissions"])
    assert isinstance(strict.exception, UsageError)
    assert "can be read or changed by everybody" in str(strict.exception)
    file.write_text("key {")
    assert isinstance(CliRunner().invoke(serve, words).exception, ConfigError)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-k", "{}/none"], "cannot read keys from"),
        (["-k", "{}/two"], "it has 2 keys, expected one: north.example., south.example."),
        (["-k", "{}/bad"], "bad:1:1"),
        (["-y", "c2VjcmV0"], "expected [algorithm:]name:secret"),
        (["-y", "hmac-md5:a:c2VjcmV0"], "must not be used"),
        (["-y", "a:c2VjcmV0!"], "is not base64"),
        (["-y"], "expected its value after it"),
    ],
)
def test_a_key_that_is_none_is_an_error_of_the_command_line(words, text, tmp_path: Path):
    for name, content in (
        ("two", bind_text(KEY) + bind_text(Key("south.example", b"x"))),
        ("bad", "c2VjcmV0"),
    ):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    words = [word.format(tmp_path) for word in words]
    result = CliRunner().invoke(query, ["@127.0.0.1:1", "a.", *words])
    assert result.exit_code == 1
    assert text in result.stderr
    assert "c2VjcmV0" not in result.stderr
