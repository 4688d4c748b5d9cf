"""The laws of kinds are in `tests/laws/test_configuration_laws.py`."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from pierhead.config.kinds import (
    INVALID,
    Address,
    Choice,
    Duration,
    Flag,
    Kind,
    ListOf,
    Number,
    Reference,
    Size,
    Text,
    kind_of_limit,
)
from pierhead.config.spot import Source, Spot
from pierhead.server.options import LIMITS

DURATION, SIZE = Duration(0, 86_400, may_be_off=True), Size(1, 2**31)


def read(kind: Kind, value: object) -> tuple[Any, list[str]]:
    spot = Spot(Source.of("", ""))
    return kind.read(value, spot), [f"{one.message}; {one.remedy}" for one in spot.faults]


@pytest.mark.parametrize(
    ("kind", "value", "meant"),
    [
        (DURATION, "30s", 30),
        (DURATION, "5m", 300),
        (DURATION, "1h30m", 5400),
        (DURATION, "1.5s", 1.5),
        (DURATION, "500ms", 0.5),
        (DURATION, "off", "off"),
        (SIZE, "64KiB", 65_536),
        (SIZE, "10MB", 10_000_000),
        (SIZE, "10 MB", 10_000_000),
        (SIZE, "1kB", 1000),
        (SIZE, 512, 512),
        (Number(1, 5), 5, 5),
        (Number(0, 5, is_whole=False), 0.5, 0.5),
        (Flag(), False, False),
        (Choice(("a", "b")), "b", "b"),
        (Reference(), "package.module:function", "package.module:function"),
        (ListOf(Text("text"), "texts"), ["a", "b"], ("a", "b")),
    ],
)
def test_a_value_is_read(kind: Kind, value: object, meant: object) -> None:
    assert read(kind, value) == (meant, [])


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (DURATION, 30, 'did you mean "30s"?'),
        (DURATION, "30", 'did you mean "30s"?'),
        (DURATION, "5 minutes", 'did you mean "5m"?'),
        (DURATION, "2d", 'out of range: expected a duration from "0s" to "1d", or "off"'),
        (DURATION, "", "'' is not a duration"),
        (DURATION, float("nan"), "nan has no unit"),
        (DURATION, [1], "found an array"),
        (SIZE, "64k", 'did you mean "64KiB"?'),
        (SIZE, "1Gib", 'did you mean "1GiB"?'),
        (SIZE, "3GiB", "out of range"),
        (SIZE, 0, "0 bytes are out of range"),
        (SIZE, True, "found true"),
        (Number(1, 5), "3", "write 3 without quotation marks"),
        (Number(1, 5), 6, "6 is out of range: expected a whole number from 1 to 5"),
        (Number(1, 5), 1.5, "found the number 1.5"),
        (Number(1, 5, is_whole=False), float("nan"), "out of range"),
        (Flag(), "True", "write true without quotation marks"),
        (Choice(("least-busy", "fastest")), "busy", 'did you mean "least-busy"?'),
        (Choice(("a", "b")), 1, 'expected "a" or "b"'),
        (Reference(), "shout.shout", 'did you mean "shout:shout"?'),
        (Reference(), "shout.py:", "is not a name"),
        (Address(), "tcp:127.0.0.1", "the port is missing"),
        (Text("a name"), "", "the text is empty: expected a name"),
        (Text("a name"), "a\0", "NUL"),
        (Text("a name"), datetime.date(2026, 1, 1), "found a date or a time"),
        (ListOf(Text("text"), "texts"), "a", "put it into brackets"),
        (ListOf(Text("text"), "texts", at_least=1), [], "the array is empty"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(kind: Kind, value: object, words: str) -> None:
    meant, (said,) = read(kind, value)
    assert meant is INVALID
    assert words in said


def test_every_faulty_element_is_reported() -> None:
    meant, said = read(ListOf(Number(1, 5), "numbers"), [0, 3, "x", 9])
    assert meant is INVALID
    assert len(said) == 3


def test_every_limit_of_the_servers_reads_its_own_default() -> None:
    for limit in LIMITS:
        kind = kind_of_limit(limit)
        assert read(kind, kind.show(limit.default)) == (limit.default, []), limit.name
        assert kind.schema()
