"""What may be in a file: as JSON Schema, and as an example with every key."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from pierhead.config.configuration import ROOT
from pierhead.config.table import Key, Table, Variants
from pierhead.config.writing import write_value

__all__ = ["default_of", "example", "schema"]

_HEAD = """\
# An example with every key. What is behind a "#" without a blank is off: take it out to change a
# default. Durations are written as "500ms", "30s" or "1h30m", sizes as "64KiB" or "10MB".
"""
#: What is on in the example, so that it can be served as it is.
_ON = {"echo": {"listen": ["tcp:127.0.0.1:7000"]}}


def schema() -> dict[str, object]:
    """Return the JSON Schema of a file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pierhead.toml",
        **ROOT.schema(),
    }


def default_of(one: Key) -> str:
    """Return the default of a key as it is written, or in words."""
    if one.is_required:
        return "none: it must be given"
    if one.default_text:
        return one.default_text
    shown = one.kind.show(one.default)
    return "none" if shown in ({}, None) else write_value(shown)


def example() -> str:
    """Return a file with every key, all of them commented out but for one server."""
    return "\n".join([_HEAD, *_table(ROOT, ""), *_sections(ROOT, "")]).rstrip() + "\n"


def _table(table: Table, indent: str) -> Iterator[str]:
    for one in table.keys.values():
        if not isinstance(one.kind, Table | Variants):
            yield from _key(one, one.example, is_on=False)


def _sections(table: Table, path: str) -> Iterator[str]:
    for name, one in table.keys.items():
        if isinstance(one.kind, Table):
            yield from ("", f"[{name}]")
            yield from _table(one.kind, "")
        elif isinstance(one.kind, Variants):
            for word, variant in one.kind.tables.items():
                yield from _variant(name, one.kind.chooser, word, variant)


def _variant(name: str, chooser: str, word: str, table: Table) -> Iterator[str]:
    on: dict[str, Any] | None = _ON.get(word)
    off = "#" if on is None else ""
    yield from ("", *textwrap.wrap(table.make.__doc__ or "", 96, initial_indent="# "))
    yield from (f"{off}[[{name}]]", f"{off}{chooser} = {write_value(word)}")
    for one in table.keys.values():
        given = (on or {}).get(one.name)
        yield from _key(one, one.example if given is None else given, is_on=given is not None)


def _key(one: Key, value: object, *, is_on: bool) -> Iterator[str]:
    default = default_of(one)
    meaning = one.meaning.replace("`", "")
    text = f"{meaning} [{one.kind.expected}; default: {default}]"
    if isinstance(one.kind, Table):
        text = f"{meaning} [default: {default}]"
    yield from textwrap.wrap(text, 98, initial_indent="# ", subsequent_indent="# ")
    yield f"{'' if is_on else '#'}{one.name} = {write_value(value)}"
