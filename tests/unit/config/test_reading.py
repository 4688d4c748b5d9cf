"""Planted faults are counted in `tests/laws/test_configuration_laws.py`."""

from __future__ import annotations

import pytest

from pierhead.config.reading import ConfigurationError, parse, read
from pierhead.config.spot import Source, nearest, shown_path


def refused(text: str | bytes) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read(text.encode() if isinstance(text, str) else text, "site.toml")
    assert raised.value.exit_code == 2
    return str(raised.value)


def test_every_fault_has_place_caret_remedy_and_code() -> None:
    text = '[limits]\nidle_timout = "5s"\n\n[[serve]]\nprotocol = "dsn"\n'
    assert refused(text).split("\n") == [
        "site.toml:2:1: limits has no key idle_timout [config/unknown-key]",
        '  idle_timout = "5s"',
        "  ^",
        "  did you mean idle_timeout?",
        "site.toml:4:3: serve has no listen: expected an array of addresses [config/missing-key]",
        "  [[serve]]",
        "    ^",
        'site.toml:5:13: the protocol \'dsn\' is unknown: expected one of "dns", "lines", '
        '"echo", "forward", "http", "files", "endpoint" [config/bad-value]',
        '  protocol = "dsn"',
        "              ^",
        '  did you mean "dns"?',
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = [", "site.toml:1:6: invalid value, and the file ends here [config/syntax]"),
        ("a = 1\na = 2\n", "site.toml:2:6: cannot overwrite a value [config/syntax]"),
        ("x =\r\n", "site.toml:1:4: invalid value [config/syntax]"),
        (b"a = 1\nb = '\xff'\n", "site.toml:2:6: this is not UTF-8 [config/syntax]"),
        ("a = " + "[" * 5000, "site.toml: arrays or tables are nested too deeply"),
        ("", "site.toml: the file has no serve"),
        ("serve = 3", "site.toml:1:9: serve is no array of tables"),
        ("serve = []", "site.toml:1:9: serve is empty"),
        ("[serve]\n", "write [[serve]] with two brackets"),
        ("limits = 3\n[[serve]]\nprotocol='echo'\nlisten=[':1']", "site.toml:1:10: limits is no"),
        ('"a\\nb" = 1', "the file has no key a\\nb"),
    ],
)
def test_what_is_no_configuration_is_explained(text: str | bytes, words: str) -> None:
    assert words in refused(text)


def test_values_may_stand_in_inline_tables_and_dotted_keys() -> None:
    text = "serve = [{ protocol = 'echo', listen = [':7'], limits.idle_timeout = '1m' }]"
    (serve,) = parse(text, "site.toml").configuration.serve
    assert serve.limits == {"idle_timeout": 60}


def test_a_position_in_a_string_is_found_unless_it_is_escaped() -> None:
    text = "[[serve]]\nprotocol='echo'\nlisten=['tcp:127.0.0.1', \"tcp:127.0.0.\\u0031\"]"
    said = refused(text)
    assert "site.toml:3:23: the port is missing" in said  # behind the last character
    assert "site.toml:3:26: the port is missing" in said  # at the string


def test_paths_and_words_are_shown_as_they_are_written() -> None:
    assert shown_path(("serve", 0, "listen", 1)) == "serve[0].listen[1]"
    assert nearest("max-conections", ["max_connections", "max_peers"]) == "max_connections"
    assert nearest("nonsense", ["max_connections"]) == ""
    assert Source.of("a", "x = 1\ny = 2").position(6) == (2, 1, "y = 2")


@pytest.mark.parametrize("text", ["[limits]\nmax_connections = " + "9" * 5000, "a = " + "1" * 4301])
def test_a_number_of_thousands_of_digits_is_a_fault_with_its_place(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(text, "site.toml")
    (fault,) = raised.value.faults
    line, column = (2, 19) if "\n" in text else (1, 5)
    assert (fault.line, fault.column, fault.message) == (
        line,
        column,
        "this number has too many digits",
    )
