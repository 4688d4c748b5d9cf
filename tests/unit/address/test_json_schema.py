"""The schema of addresses: what reads is good by it, and what is misspelt is not."""

from __future__ import annotations

import json
import tomllib

import pytest
from tests.unit.address.test_table import READ

from pierhead.address import OPTIONS, ListenSpec, address_schema, text_schema

_TYPES = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}


def is_good(schema: dict, value: object) -> bool:
    """The part of JSON Schema that is used here; an unknown word is an error of the test."""
    words = schema.keys() - {"title", "description", "examples", "default"}
    if "type" in words and not _has_type(schema, value):
        return False
    return all(_CHECKS[word](schema, value) for word in words)


def _has_type(schema: dict, value: object) -> bool:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    is_bool = isinstance(value, bool)
    return any(isinstance(value, _TYPES[n]) and is_bool == (n == "boolean") for n in names)


def _in_range(schema: dict, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return schema["minimum"] <= value <= schema["maximum"]


def _has_good_entries(schema: dict, value: object) -> bool:
    entries = value.items() if isinstance(value, dict) else ()
    properties = schema["properties"]
    return all(is_good(properties[key], one) for key, one in entries if key in properties)


_CHECKS = {
    "anyOf": lambda schema, value: any(is_good(one, value) for one in schema["anyOf"]),
    "const": lambda schema, value: value is schema["const"],
    "enum": lambda schema, value: value in schema["enum"],
    "type": _has_type,
    "minimum": _in_range,
    "maximum": _in_range,
    "minItems": lambda schema, value: len(value) >= schema["minItems"],
    "items": lambda schema, value: all(is_good(schema["items"], one) for one in value),
    "minLength": lambda schema, value: len(value) >= schema["minLength"],
    "maxLength": lambda schema, value: len(value) <= schema["maxLength"],
    "required": lambda schema, value: value.keys() >= set(schema["required"]),
    "properties": _has_good_entries,
    "additionalProperties": lambda schema, value: value.keys() <= schema["properties"].keys(),
}


@pytest.fixture(scope="module")
def schema() -> dict:
    return json.loads(json.dumps(address_schema()))


# TOML's dotted key in quotes is read, but nobody is told to write it.
UNUSUAL = '"tls.cert"'


@pytest.mark.parametrize("toml", [toml for toml, _ in READ if UNUSUAL not in toml])
def test_every_readable_address_is_valid_by_the_schema(schema: dict, toml: str) -> None:
    table = tomllib.loads(toml)

    assert is_good(schema, table)
    assert is_good(schema, ListenSpec.from_table(table).to_table())
    assert is_good(schema, str(ListenSpec.from_table(table)))


@pytest.mark.parametrize(
    "value",
    [
        "",
        80,
        None,
        {},
        {"backlog": 5},
        {"address": 80},
        {"address": ":80", "bakclog": 5},
        {"address": ":80", "backlog": 0},
        {"address": ":80", "backlog": [5]},
        {"address": ":80", "drain": -1},
        {"address": "/x", "mode": 432},
        {"address": "/x", "unlink": "sometimes"},
        {"address": "tls+:80", "cert": []},
        {"address": "proxy+:80", "proxy": {"form": "::1"}},
        {"address": "tcp::80", "keepalive": False},
    ],
    ids=repr,
)
def test_a_misspelt_address_is_not_valid_by_the_schema(schema: dict, value: object) -> None:
    assert not is_good(schema, value)


def test_every_option_is_described_by_what_it_does_and_expects(schema: dict) -> None:
    properties = schema["anyOf"][1]["properties"]

    assert properties.keys() == {"address", "proxy", "tls", *(option.key for option in OPTIONS)}
    assert properties["backlog"] == {
        "description": "Connections the system holds until they are accepted: "
        "a whole number from 1 to 2147483647.",
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": 2147483647,
        "default": 1024,
        "examples": ["512"],
    }
    assert properties["proxy.timeout"]["default"] == "5s"
    assert set(properties["proxy"]["properties"]) == {"from", "version", "timeout"}
    assert "cert" in properties["tls"]["properties"]
    assert len(properties["mode"]["anyOf"]) == 2


def test_the_examples_are_addresses(schema: dict) -> None:
    examples = [*schema["examples"], *text_schema()["examples"]]

    assert len(examples) > 5
    for example in examples:
        assert is_good(schema, example)
        ListenSpec.from_table(example)
