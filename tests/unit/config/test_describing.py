from __future__ import annotations

import re
import tomllib

import pytest

from pierhead.config.configuration import ROOT, SERVE, Echo
from pierhead.config.describing import example, schema
from pierhead.config.kinds import INVALID
from pierhead.config.reading import parse
from pierhead.config.spot import Source, Spot
from pierhead.config.table import Table

TABLES = [
    ROOT,
    *SERVE.tables.values(),
    *(k.kind for k in ROOT.keys.values() if type(k.kind) is Table),
]


def test_the_example_is_a_configuration() -> None:
    (serve,) = parse(example(), "example.toml").configuration.serve
    assert isinstance(serve, Echo)


def test_every_commented_key_of_the_example_is_valid_too() -> None:
    text = re.sub(r"^#(?=[a-z\[])", "", example(), flags=re.MULTILINE)
    configuration = parse(text, "example.toml").configuration
    assert len(configuration.serve) == len(SERVE.tables)
    for serve, table in zip(configuration.serve, SERVE.tables.values(), strict=True):
        for name in table.keys:
            assert getattr(serve, name), name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_key_has_a_valid_example_and_a_meaning(table: Table) -> None:
    for name, one in table.keys.items():
        spot = Spot(Source.of("", ""))
        assert one.kind.read(one.example, spot) is not INVALID, (name, spot.faults)
        assert one.meaning.endswith(".")
        assert "at a re" in one.effect


def test_the_schema_knows_every_key_and_no_other() -> None:
    document = schema()
    assert document["additionalProperties"] is False
    assert list(document["properties"]) == list(ROOT.keys)  # type: ignore[call-overload]
    variants = document["properties"]["serve"]["items"]["oneOf"]  # type: ignore[index]
    assert [one["properties"]["protocol"]["const"] for one in variants] == list(SERVE.tables)
    assert all("listen" in one["required"] for one in variants)
    assert tomllib.loads(example())
