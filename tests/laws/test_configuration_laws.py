"""Laws of configuration files: everything is found where it stands, and nothing hides a fault."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.config.configuration import (
    LIMIT_TABLE,
    Configuration,
    Dns,
    Echo,
    Forward,
    Lines,
    Logging,
)
from pierhead.config.kinds import INVALID, Address, Duration, Number, Size
from pierhead.config.locate import Path, locate
from pierhead.config.reading import parse
from pierhead.config.spot import Source, Spot
from pierhead.config.writing import write
from pierhead.errors import ConfigError

BARE = st.text("abcdefgh-_0123", min_size=1, max_size=4)
KEYS = st.one_of(BARE, st.text(max_size=4).filter(lambda s: s.isprintable() or "\t" in s))
PLAIN = st.one_of(
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.datetimes().map(lambda d: d.replace(microsecond=0)),
)
VALUES = st.recursive(
    PLAIN, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8
)
TABLES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3),
    lambda t: st.dictionaries(KEYS, st.one_of(VALUES, t, st.lists(t, min_size=1, max_size=3))),
    max_leaves=6,
)


class Writer:
    """Writes a document in a style that hypothesis draws, with blanks and comments between."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.lines: list[str] = []

    def one_of(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def key(self, name: str) -> str:
        is_bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
        if is_bare and self.draw(st.booleans()):
            return name
        if name.isprintable() and "'" not in name and self.draw(st.booleans()):
            return f"'{name}'"
        return self.string(name)

    def string(self, text: str) -> str:
        return json.dumps(text).replace("\x7f", "\\u007f") if not _has_pairs(text) else _long(text)

    def value(self, value: Any) -> str:
        match value:
            case bool():
                return str(value).lower()
            case str():
                return self.text(value)
            case list():
                gap = self.one_of("", " ", "\n ", " # ]}, \"'\n")
                parts = f",{gap}".join(map(self.value, value))
                comma = self.one_of("", ",") if value else ""
                return f"[{gap}{parts}{comma}{gap}]"
            case dict():
                pairs = (f"{self.key(k)} = {self.value(v)}" for k, v in value.items())
                return "{ " + ", ".join(pairs) + " }"
            case int() | float():
                return repr(value)
        return value.isoformat(self.one_of("T", " "))

    def text(self, text: str) -> str:
        if "'" not in text and text.isprintable() and self.draw(st.booleans()):
            return self.one_of(f"'{text}'", f"'''{text}'''", f"'''\n{text}'''")
        if self.draw(st.booleans()):
            return f'""{self.string(text)}""'
        return self.string(text)

    def table(self, table: dict[str, Any], above: list[str]) -> None:
        later = []
        for name, value in table.items():
            is_tables = isinstance(value, list) and all(isinstance(v, dict) for v in value)
            if isinstance(value, dict) or (is_tables and value):
                if self.draw(st.booleans()):
                    later.append((name, value))
                    continue
                if isinstance(value, dict) and value and self.draw(st.booleans()):
                    for below, one in value.items():
                        dots = self.one_of(".", " . ")
                        self.pair(f"{self.key(name)}{dots}{self.key(below)}", one)
                    continue
            self.pair(self.key(name), value)
        for name, value in later:
            path = [*above, name]
            for one in value if isinstance(value, list) else [value]:
                header = self.one_of(".", " . ").join(map(self.key, path))
                brackets = "[[{}]]" if isinstance(value, list) else "[{}]"
                self.lines.append(self.one_of("", "  ") + brackets.format(header) + self.end())
                self.table(one, path)

    def pair(self, key: str, value: Any) -> None:
        equals = self.one_of("=", " = ", "\t=  ")
        self.lines.append(f"{self.one_of('', '  ')}{key}{equals}{self.value(value)}{self.end()}")

    def end(self) -> str:
        return self.one_of("", " ", " # [x] = 'y'", "\n", "\n# {\n")


def _has_pairs(text: str) -> bool:
    return any(ord(c) > 0xFFFF for c in text)


def _long(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08X}" for c in text) + '"'


@st.composite
def documents(draw: st.DrawFn) -> str:
    writer = Writer(draw)
    writer.table(draw(TABLES), [])
    return "\n".join(writer.lines)


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    below = value.items() if isinstance(value, dict) else ()
    below = enumerate(value) if isinstance(value, list) else below
    for key, one in below:
        yield (*path, key), one
        yield from paths(one, (*path, key))


@given(documents())
def test_every_path_is_found_where_it_stands(text: str) -> None:
    values = tomllib.loads(text)
    places = locate(text)
    assert places.keys() == {path for path, _ in paths(values)}
    for path, value in paths(values):
        place = places[path]
        written = text[place.start : place.end]
        if not isinstance(value, dict | list) or written[0] == "{":
            assert tomllib.loads(f"x = {written}")["x"] == value, path
        if isinstance(path[-1], str):
            rest = text[place.key :]
            if rest[0] in "\"'":
                named = rest[: rest.index(rest[0], 1) + 1] if "\\" not in rest else rest[0]
                assert rest[0] in named
            else:
                assert rest.startswith(path[-1])


GOOD = """\
[limits]
idle_timeout = "5s"
max_write_buffer_bytes = "64KiB"

[logging]
level = "info"

[[serve]]
protocol = "echo"
listen = ["tcp:127.0.0.1:7", "udp:127.0.0.1:7"]

[[serve]]
protocol = "lines"
service = "shout:shout"
listen = ["tcp:127.0.0.1:8"]

[[serve]]
protocol = "dns"
zones = ["zones/"]
listen = ["127.0.0.1:5300"]
rate_limit = 50
"""

#: What each replaces, and what is wrong after that.
FAULTS = {
    'idle_timeout = "5s"': ("idle_timeuot = 5", "unknown-key"),
    '"64KiB"': ('"64 kilobytes"', "bad-value"),
    'level = "info"': ("level = 3", "wrong-type"),
    "[logging]": ("[loging]", "unknown-key"),
    '"tcp:127.0.0.1:7", ': ('"tcp:127.0.0.1",', "bad-address"),
    '"udp:127.0.0.1:7"': ('"upd:127.0.0.1:7"', "bad-address"),
    'protocol = "lines"': ('protocol = "line"', "bad-value"),
    '"shout:shout"': ("true", "wrong-type"),
    'listen = ["tcp:127.0.0.1:8"]\n': ("\n", "missing-key"),
    '["zones/"]': ("[3]", "wrong-type"),
    "rate_limit = 50": ("rate_limit = -1", "bad-value"),
    'listen = ["127.0.0.1:5300"]': ("listen = []", "bad-value"),
}
#: One of these makes the other unseen: a table that is unknown is not read.
HIDES = {"[logging]": 'level = "info"'}


@given(st.sets(st.sampled_from(sorted(FAULTS)), min_size=1))
def test_as_many_faults_are_reported_as_were_planted(planted: set[str]) -> None:
    for hiding, hidden in HIDES.items():
        if hiding in planted:
            planted = planted - {hidden}
    text = GOOD
    for found in sorted(planted):
        assert text.count(found) == 1
        text = text.replace(found, FAULTS[found][0])
    with pytest.raises(ConfigError) as raised:
        parse(text, "pierhead.toml")
    faults = raised.value.faults
    codes = sorted(fault.code for fault in faults)
    assert codes == sorted(f"config/{FAULTS[found][1]}" for found in planted)
    lines = text.split("\n")
    for fault in faults:
        assert fault.source == lines[fault.line - 1]
        assert 1 <= fault.column <= len(fault.source) + 1
        if fault.code != "config/missing-key":
            wrong = [one for one, _ in FAULTS.values() if one.strip() in fault.source]
            assert wrong, fault


@given(st.text() | documents())
def test_any_text_is_a_configuration_or_a_list_of_faults(text: str) -> None:
    with pytest.raises(ConfigError) as raised:  # nothing of it is served
        parse(text, "pierhead.toml")
    assert raised.value.faults
    assert all(fault.code.startswith("config/") for fault in raised.value.faults)
    assert str(raised.value)


SECONDS = st.integers(0, 10**9).map(lambda ms: ms / 1000)
FREE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=10)
NAMES = st.lists(FREE, max_size=3).map(tuple)
LISTEN = st.lists(
    st.sampled_from(["127.0.0.1:0", "unix:/run/a%20b.sock", "tcp:[::1]:7?backlog=5"]).map(
        lambda text: Address().read(text, Spot(Source.of("", "")))
    ),
    min_size=1,
    max_size=2,
).map(tuple)


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in draw(st.sets(st.sampled_from(sorted(LIMIT_TABLE.keys)), max_size=4)):
        kind = LIMIT_TABLE.keys[name].kind
        match kind:
            case Duration():
                low, high = round(kind.minimum * 1000), round(kind.maximum * 1000)
                values[name] = draw(st.integers(low, high)) / 1000
                if kind.may_be_off and draw(st.booleans()):
                    values[name] = "off"
            case Size():
                values[name] = draw(st.integers(kind.minimum, kind.maximum))
            case Number():
                values[name] = draw(st.integers(int(kind.minimum), int(kind.maximum)))
            case _:
                values[name] = draw(st.sampled_from(kind.words))  # type: ignore[attr-defined]
    return values


SERVES = st.one_of(
    st.builds(Echo, listen=LISTEN, limits=limits()),
    st.builds(Lines, listen=LISTEN, limits=limits(), service=st.just("a.b:c"), encoding=FREE),
    st.builds(
        Dns,
        listen=LISTEN,
        limits=limits(),
        zones=NAMES,
        allow=NAMES,
        rate_limit=st.just("off") | st.integers(1, 1000) | st.floats(0.5, 1000),
        nsid=st.none() | FREE,
        query_log=st.booleans(),
    ),
    st.builds(
        Forward,
        listen=LISTEN,
        limits=limits(),
        to=st.lists(FREE, min_size=1, max_size=2).map(tuple),
        policy=st.sampled_from(["fastest", "rendezvous"]),
    ),
)
CONFIGURATIONS = st.builds(
    Configuration,
    strict_permissions=st.booleans(),
    limits=limits(),
    logging=st.builds(Logging, level=st.sampled_from(["debug", "error"])),
    serve=st.lists(SERVES, min_size=1, max_size=3).map(tuple),
)


@given(CONFIGURATIONS)
def test_what_is_written_reads_back_as_the_same(configuration: Configuration) -> None:
    assert parse(write(configuration), "pierhead.toml").configuration == configuration


@given(SECONDS)
def test_a_duration_reads_back_as_it_was_shown(seconds: float) -> None:
    kind, spot = Duration(0, 10**6), Spot(Source.of("", ""))
    assert kind.read(kind.show(seconds), spot) == seconds


@given(st.integers(0, 2**40))
def test_a_size_reads_back_as_it_was_shown(octets: int) -> None:
    kind, spot = Size(0, 2**40), Spot(Source.of("", ""))
    assert kind.read(kind.show(octets), spot) == octets
    assert kind.read(octets, spot) == octets


@given(st.text("0123456789.smhdKiMGB off-"))
def test_a_text_is_a_value_or_one_fault(text: str) -> None:
    for kind in (Duration(0, 3600, may_be_off=True), Size(1, 2**20), Number(1, 5)):
        spot = Spot(Source.of("", ""))
        assert (kind.read(text, spot) is INVALID) == (len(spot.faults) == 1)
