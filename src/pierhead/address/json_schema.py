"""The JSON Schema (draft 2020-12) of an address in a configuration file.

Editors use it to complete and check files, and OpenAPI shows it. It is generated from the registry
of options; which parts fit together is checked only on reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from pierhead.address.accounts import Accounts
from pierhead.address.option import Option
from pierhead.address.option_types import (
    Account,
    Choice,
    Duration,
    Flag,
    Integer,
    Keepalive,
    Ratio,
    Size,
)
from pierhead.address.registry import BACKLOG, OPTIONS_BY_KEY
from pierhead.address.schemes import SCHEMES
from pierhead.address.table import ADDRESS, NESTED, takes_several
from pierhead.address.text import LONGEST_TEXT

__all__ = ["JsonSchema", "address_schema", "text_schema"]

JsonSchema: TypeAlias = dict[str, Any]

_EXAMPLES = ["127.0.0.1:8080", "[::]:8080", "/run/app.sock", "@app", "sd-listen"]


def address_schema() -> JsonSchema:
    """Return the schema for reading: the text of an address, or its table."""
    text = text_schema()
    examples = text.pop("examples")
    table = {ADDRESS: "tcp:[::]:8080", BACKLOG.key: 512}
    return {
        "title": "ListenSpec",
        "description": "What to listen on: an address as text, or a table with address and options",
        "anyOf": [text, _table_schema()],
        "examples": [*examples, table],
    }


def text_schema() -> JsonSchema:
    """Return the schema for writing: the text of an address."""
    return {
        "title": "ListenSpec",
        "description": f"[wrapper+]*scheme:target[?key=value&…]; schemes are {', '.join(SCHEMES)}",
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_TEXT,
        "examples": [*_EXAMPLES, "tls+tcp::443?cert=server.pem&backlog=512"],
    }


def _table_schema() -> JsonSchema:
    properties = {ADDRESS: text_schema()}
    properties |= {key: _option_schema(rows) for key, rows in OPTIONS_BY_KEY.items()}
    for wrapper in NESTED:
        keys = [key for key, rows in OPTIONS_BY_KEY.items() if wrapper in rows[0].wrappers]
        below = {key.removeprefix(f"{wrapper}."): properties[key] for key in keys}
        properties[wrapper] = _object(below, f"options of {wrapper}+ that stand together")
    return _object(properties, "an address with its options") | {"required": [ADDRESS]}


def _object(properties: JsonSchema, description: str) -> JsonSchema:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _option_schema(rows: Iterable[Option]) -> JsonSchema:
    schemas = [_row_schema(row) for row in rows]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _row_schema(option: Option) -> JsonSchema:
    meaning = f"{option.meaning[:1].upper()}{option.meaning[1:]}"
    schema = {
        "description": f"{meaning}: {option.type.expected}.",
        "examples": [option.example.partition("=")[2] or True],
        **_type_schema(option),
    }
    if takes_several(option):
        one = {"type": schema.pop("type")}
        schema["anyOf"] = [one, {"type": "array", "items": one, "minItems": 1}]
    if option.default is not None:
        is_text = not isinstance(option.type, Flag | Integer | Ratio)
        schema["default"] = option.type.show(option.default) if is_text else option.default
    return schema


def _type_schema(option: Option) -> JsonSchema:
    match option.type:
        case Flag():
            return {"type": ["boolean", "string"]}
        case Keepalive():
            return {"anyOf": [{"const": True}, {"type": "string"}]}
        case Choice(words):
            return {"enum": list(words)}
        case Integer(low, high) | Size(low, high):
            return {"type": ["integer", "string"], "minimum": low, "maximum": high}
        case Duration(low, high):
            return {"type": ["number", "string"], "minimum": low, "maximum": high}
        case Ratio():
            return {"type": ["number", "string"], "minimum": 0, "maximum": 1}
        case Account() | Accounts():
            return {"type": ["integer", "string"]}
    return {"type": "string"}
