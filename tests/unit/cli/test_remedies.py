"""What a usage error of the command line advises is accepted, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.remedies import remedies_of

from pierhead.cli.limits import NAMES
from pierhead.cli.limits import _read as read_limit
from pierhead.cli.query_words import PLUS_WORDS, Words, parse_words
from pierhead.cli.serve import serve
from pierhead.cli.serve_dns import _rate_limit
from pierhead.cli.zone import zone
from pierhead.config.endpoints_dns import secret_in
from pierhead.config.loading import load_object
from pierhead.config.making import Making
from pierhead.errors import AddressError, UsageError


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_words(text.split())
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "advice", "right"),
    [
        ("example", "as in: pierhead query @127.0.0.1:5300 example A", "@127.0.0.1:5300 example A"),
        ("example MX", "@127.0.0.1:5300 example MX", "@127.0.0.1:5300 example MX"),
        ("@::1 --zone z a", "leave out either @server or --zone", "--zone z a"),
        ("@::1 --zone z a", "leave out either @server or --zone", "@::1 a"),
        ("--zone z a -k f", "leave out -k and -y", "--zone z a"),
        ("--zone z a -y a:c2VjcmV0", "leave out -k and -y", "--zone z a"),
        ("@::1 a.test b.test", "one question at a time", "@::1 a.test"),
        ("@::1 a.test AAA", "did you mean A", "@::1 a.test A"),
        ("@::1 -z a", "known options: -4 -6", "@::1 -4 a"),
        ("@::1 --explian a", "did you mean --explain?", "@::1 --explain a"),
        ("@::1 --jsn a", "did you mean --json?", "@::1 --json a"),
        ("@::1 --color red a", "expected auto, always or never", "@::1 --color always a"),
        ("@::1 --color=red a", "expected auto, always or never", "@::1 --color=never a"),
        ("@::1 +tpc a", "did you mean +tcp?", "@::1 +tcp a"),
        ("@::1 +tcp=1 a", "+tcp takes no value", "@::1 +tcp a"),
        ("@::1 +nobufsize=1 a", "takes no value", "@::1 +nobufsize a"),
        ("@::1 +bufsize a", "expected a value, +bufsize=", "@::1 +bufsize=512 a"),
        ("@::1 +subnet a", "expected a value, +subnet=", "@::1 +subnet=192.0.2.0/24 a"),
        ("@::1 +cookie=x a", "an even number of hexadecimal digits", "@::1 +cookie=01 a"),
        ("@::1 +bufsize=x a", "expected a number, 0 to 65535", "@::1 +bufsize=65535 a"),
        ("@::1 -x a", "expected an IPv4 or IPv6 address", "@::1 -x 192.0.2.1"),
        ("@::1 -t", "expected its value after it", "@::1 -t A"),
        ("@a:b:c x", "@127.0.0.1:5300, @[::1]:53, @ns1.example", "@127.0.0.1:5300 x"),
        ("@a:b:c x", "@127.0.0.1:5300, @[::1]:53, @ns1.example", "@[::1]:53 x"),
        ("@a:b:c x", "@127.0.0.1:5300, @[::1]:53, @ns1.example", "@ns1.example x"),
        ("@::1 -p x a", "expected a number, 1 to 65535", "@::1 -p 65535 a"),
        ("@127.0.0.1:53 -p 54 a", "two ports", "@127.0.0.1:53 a"),
    ],
)
def test_the_words_of_a_query_that_are_advised_are_taken(wrong: str, advice: str, right: str):
    assert advice in refused(wrong)
    assert isinstance(parse_words(right.split()), Words)


def test_every_word_that_is_said_to_be_known_is_known():
    known = refused("@::1 +zzzzzz a").partition("known: ")[2].split()
    assert len(known) == len(PLUS_WORDS)
    values = {"edns": "0", "cookie": "01", "subnet": "0", "ednsopt": "9", "color": "never"}
    for word in known:
        name = word.lstrip("+")
        value = f"={values.get(name, '1')}" if PLUS_WORDS[name][1] else ""
        parse_words(["@::1", f"{word}{value}", "a"])


def test_every_meaning_that_is_offered_for_a_short_word_is_one():
    for short in ("a", "e", "n", "s", "t", "c"):
        try:
            parse_words(["@::1", f"+{short}", "a"])
        except UsageError as error:
            for word in re.findall(r"\+\w+", str(error).partition("may mean ")[2]):
                assert word.lstrip("+") in PLUS_WORDS


def test_every_option_that_is_said_to_be_known_is_known():
    listed = refused("@::1 -z a").partition("known options: ")[2].replace(",", " ").split()
    values = {
        "-b": "127.0.0.1",
        "-c": "IN",
        "-p": "53",
        "-q": "a",
        "-t": "A",
        "-x": "::1",
        "-k": "file",
    }
    values |= {"--zone": "z", "--color": "auto", "-y": "north.example:c2VjcmV0"}
    for option in [word for word in listed if word.startswith("-")]:
        server = [] if option == "--zone" else ["@::1"]
        parse_words([*server, option, *([values[option]] if option in values else [])])


def test_a_function_is_loaded_as_the_advice_writes_it(tmp_path: Path, monkeypatch):
    (tmp_path / "shout_it.py").write_text("async def shout(line, context):\n    return line\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for wrong, advice in (
        ("shout_it", "expected MODULE:FUNCTION"),
        ("shout_it.py:shout", "write shout:shout"),
        ("./shout_it:shout", "write shout:shout"),
        ("shout_it:sohut", "its functions: shout"),
    ):
        with pytest.raises(UsageError, match=advice):
            load_object(wrong)
    assert callable(load_object("shout_it:shout"))


def test_a_rate_limit_and_a_secret_are_taken_as_they_are_expected(tmp_path: Path):
    with pytest.raises(UsageError, match="expected a number or 'off'"):
        _rate_limit("none")
    assert _rate_limit("off") == "off"
    assert _rate_limit("50") == 50
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("not hexadecimal")
    with pytest.raises(UsageError, match="expected 32 of them"):
        secret_in(str(secret), Making(True))
    secret.write_text("0f" * 16)
    assert secret_in(str(secret), Making(True)) == (bytes.fromhex("0f" * 16), ())


def test_several_zones_are_looked_at_as_the_advice_says(tmp_path: Path):
    text = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
    for name in ("a", "b"):
        (tmp_path / f"{name}.zone").write_text(text)
    done = CliRunner().invoke(zone, ["format", str(tmp_path)])
    assert "print one at a time, or examine all with --check" in str(done.exception)
    assert CliRunner().invoke(zone, ["format", str(tmp_path / "a.zone")]).exit_code == 0
    assert "not canonical" in CliRunner().invoke(zone, ["format", "--check", str(tmp_path)]).output


def limit_refused(text: str) -> str:
    with pytest.raises(AddressError) as caught:
        read_limit(text)
    return caught.value.remedy


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_is_taken_as_it_is_advised(name: str):
    for text in (name, f"{name}="):
        written = re.fullmatch(r"as (\S+)", limit_refused(text))[1]
        assert read_limit(written)[0] == name.replace("-", "_")
    lowest, highest = (
        re.findall(r"(\d+\w*) to (\d+\w*)", NAMES[name].expected)[0]
        if (" to " in NAMES[name].expected)
        else ("", "")
    )
    for value in filter(None, (lowest, highest)):
        read_limit(f"{name}={value}")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("idle=5s", "idle-timeout=5s"),
        ("max-connection=5", "max-connections=5"),
        ("request_timout=5s", "request-timeout=5s"),
        ("when-full=evikt", "when-full=evict"),
        ("request-timeout=5", "request-timeout=5s"),
    ],
)
def test_what_was_probably_meant_of_a_limit_is_taken(wrong: str, right: str):
    meant = re.match(r"did you mean (\S+)\?", limit_refused(wrong))[1]
    assert meant in right
    read_limit(right)


def test_an_unknown_limit_is_found_in_the_list():
    assert limit_refused("zzz=5") == "--limits shows every limit"
    shown = CliRunner().invoke(serve, ["echo", "--limits"])
    assert shown.exit_code == 0
    assert all(f"{name}=" in shown.output for name in NAMES)


def test_durations_are_taken_in_all_their_units():
    for text, seconds in (("500ms", 0.5), ("5s", 5), ("2m", 120), ("3h", 10800), ("1d", 86400)):
        assert read_limit(f"request-timeout={text}") == ("request_timeout", seconds)
    assert "1d" in NAMES["request-timeout"].expected
    assert "30d" in NAMES["idle-timeout"].expected


def test_no_remedy_of_the_command_line_is_without_its_test():
    found = remedies_of("cli", "integrations", positions={"AddressError": 3, "error": 1})
    followed = ("did you mean", "--limits shows every limit", "as ", "expected")
    assert len(found) == len(followed)
    assert not [str(one) for one in found if not any(words in one for words in followed)]
