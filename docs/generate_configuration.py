"""Writes docs/reference/configuration.md from the declarations of `pierhead.config`.

python docs/generate_configuration.py            write the page
python docs/generate_configuration.py --check    exit with 1 if the page is not up to date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pierhead.config.configuration import ROOT
from pierhead.config.describing import default_of
from pierhead.config.table import Key, Table, Variants
from pierhead.config.writing import write_value

PAGE = Path(__file__).parent / "reference" / "configuration.md"

INTRODUCTION = """\
# Configuration files

`pierhead run [FILE]` serves what a TOML file says, `pierhead.toml` unless another is named; [how to
operate a server](../howto/operate-a-server.md) shows it. Every key is below; another is an error.

- A duration is a text with units: `"500ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"7d"`. A size is `"64KiB"`,
  `"10MB"`, or a number of bytes.
- Relative paths, also those in addresses and of modules, count from the folder of the file.
- `PIERHEAD_LIMITS_IDLE_TIMEOUT=5s` in the environment goes before `idle_timeout` in `[limits]`,
  `PIERHEAD_SERVE_0_LISTEN` before `listen` of the first `[[serve]]`. In a variable, elements of an
  array stand between blanks. `--set limits.idle_timeout=5s` goes before both.
- `pierhead config example` prints a file with every key, `pierhead config schema` a JSON Schema for
  editors.

This page is written by `docs/generate_configuration.py` from the declarations (`make pages`).
"""

CODES = """\
## Codes of faults

| code | what is wrong |
|---|---|
| `config/syntax` | the text is no TOML, or not UTF-8 |
| `config/unknown-key` | a key, a variable or `--set` names nothing |
| `config/missing-key` | a key that must be given is not |
| `config/wrong-type` | a number in place of a text, and the like |
| `config/bad-value` | out of range, without its unit, or none of the words |
| `config/bad-address` | an address does not parse, or is not for its protocol |
| `config/address-twice` | two places listen on the same address |
| `config/cannot-use` | a module, a function or a file is not what it should be |
| `config/cannot-read` | the file itself cannot be read |

A file with any of these exits with 2; one whose zones alone are invalid with 4.
"""


def page() -> str:
    """Return the text of the page."""
    return "\n".join([INTRODUCTION, *_sections(), CODES])


def _sections() -> Iterator[str]:
    yield from ("## The file", "", *_rows(ROOT), "")
    for name, one in ROOT.keys.items():
        if isinstance(one.kind, Variants):
            for word, table in one.kind.tables.items():
                yield f'## `[[{name}]]` with `{one.kind.chooser} = "{word}"`\n'
                yield f"{table.make.__doc__}\n"
                yield from (*_rows(table), "")
        elif isinstance(one.kind, Table) and name != "limits":
            yield from (f"## `[{name}]`\n", f"{one.meaning}\n", *_rows(one.kind), "")


def _rows(table: Table) -> Iterator[str]:
    yield "| key | meaning | expected | default | example | a change takes effect |"
    yield "|---|---|---|---|---|---|"
    for one in table.keys.values():
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in _cells(one))} |"


def _cells(one: Key) -> tuple[str, ...]:
    is_section = isinstance(one.kind, Table | Variants)
    expected = "a table" if isinstance(one.kind, Table) else one.kind.expected
    example = "" if is_section else f"`{write_value(one.example)}`"
    default = (
        default_of(one) if not isinstance(one.kind, Table) else one.default_text or "see below"
    )
    return (f"`{one.name}`", one.meaning, expected, default, example, one.effect)


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/reference/configuration.md is not up to date; run: make pages", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
