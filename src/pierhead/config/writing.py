"""A `Configuration` as TOML that reads back as the same one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pierhead.config.configuration import ROOT, Configuration

__all__ = ["write", "write_value"]


def write(configuration: Configuration) -> str:
    """Return a file that says the same; keys that have their default are left out."""
    shown = ROOT.show(configuration)
    assert isinstance(shown, dict)
    return "\n".join(_table(shown, "")).strip() + "\n"


def _table(table: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the lines of a table: its own keys, then the tables below it."""
    for name, value in table.items():
        if not _is_below(value):
            yield f"{name} = {write_value(value)}"
    for name, value in table.items():
        below = f"{path}{name}"
        for one in value if isinstance(value, list) and _is_below(value) else ():
            yield ""
            yield f"[[{below}]]"
            yield from _table(one, f"{below}.")
        if isinstance(value, Mapping) and value:
            yield ""
            yield f"[{below}]"
            yield from _table(value, f"{below}.")


def _is_below(value: object) -> bool:
    """Return whether a value is written under a header."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], Mapping)
    return isinstance(value, Mapping)


def write_value(value: object) -> str:
    """Return a value as it is written after the equals sign."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{', '.join(map(write_value, value))}]"
        case dict():
            pairs = (f"{name} = {write_value(one)}" for name, one in value.items())
            return "{ " + ", ".join(pairs) + " }"
        case str():
            # JSON escapes what TOML does, but for DEL, and writes surrogates, which TOML refuses.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return repr(value)
