"""``pierhead config``: check and show a configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pierhead.cli.run import configured_file, takes_settings

if TYPE_CHECKING:
    from pierhead.config.reading import Document
    from pierhead.config.table import Table

__all__ = ["config"]

_EXIT_CODES = "Exit codes: 0 valid, 2 usage or configuration, 4 a zone is invalid."

_CHECK_EPILOG = f"""\b
Examples:
  pierhead config check
  pierhead config check site.toml --set logging.level=debug

{_EXIT_CODES}
"""

_SHOW_EPILOG = f"""\b
Examples:
  pierhead config show
  pierhead config show --origin
  pierhead config show --json site.toml

{_EXIT_CODES}
"""


_SCHEMA_EPILOG = """\b
Examples:
  pierhead config schema

Exit codes: 0 ok, 2 usage.
"""
_EXAMPLE_EPILOG = """\b
Examples:
  pierhead config example

Exit codes: 0 ok, 2 usage.
"""
_FORMAT_EPILOG = """\b
Examples:
  pierhead config format
  pierhead config format --check site.toml

Exit codes: 0 ok, 1 --check found that it differs, 2 usage or configuration.
"""


@click.group(epilog="A file is pierhead.toml unless another is named.")
def config() -> None:
    """Check and show a configuration file."""


@config.command("check", epilog=_CHECK_EPILOG)
@takes_settings
def check(name: str, sets: Sequence[str]) -> None:
    """Read everything that 'run' would read, open nothing, and report all that is wrong."""
    built = configured_file(name, sets).build()
    for note in built.notes:
        click.echo(note)
    addresses = sum(len(part.specs) for part in built.parts)
    click.echo(f"{name} is valid: {len(built.parts)} to serve on {addresses} addresses")


@config.command("show", epilog=_SHOW_EPILOG)
@takes_settings
@click.option("--origin", is_flag=True, help="Say where each value is from, and its effect.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, defaults included.")
def show(name: str, sets: Sequence[str], *, origin: bool, as_json: bool) -> None:
    """Show the configuration that 'run' would use: of file, environment and options together."""
    from pierhead.config.writing import write

    document = configured_file(name, sets).read()
    if not origin and not as_json:
        click.echo(write(document.configuration), nl=False)
        return
    rows = list(_rows(document))
    if as_json:
        keys = ("key", "value", "origin", "effect") if origin else ("key", "value")
        click.echo(json.dumps([dict(zip(keys, row, strict=False)) for row in rows], indent=2))
        return
    _print_rows(rows)


def _print_rows(rows: Sequence[tuple[str, Any, str, str]]) -> None:
    from pierhead.config.writing import write_value

    shown = [(f"{key} = {write_value(value)}", *rest) for key, value, *rest in rows]
    width = min(max(len(text) for text, *_ in shown), 60)
    for text, origin, effect in shown:
        click.echo(f"{text:{width}}  # {origin}; a change takes effect {effect}")


def _rows(document: Document) -> Iterator[tuple[str, Any, str, str]]:
    """Yield key, value, origin and effect of every key that is given or has a default."""
    from pierhead.config.configuration import ROOT

    yield from _rows_of(document, ROOT, document.configuration, ())


def _rows_of(
    document: Document, table: Table, value: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[str, Any, str, str]]:
    from pierhead.config.spot import shown_path
    from pierhead.config.table import Table, Variants

    for name, key in table.keys.items():
        here: Any = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
        below = (*path, name)
        if isinstance(key.kind, Table):
            yield from _rows_of(document, key.kind, here, below)
        elif isinstance(key.kind, Variants):
            for index, one in enumerate(here):
                word = document.values[name][index][key.kind.chooser]
                spot = document.at((*below, index, key.kind.chooser))
                yield f"{shown_path(spot.path)}", word, spot.origin, "at a reload"
                variant = key.kind.tables[word]
                yield from _rows_of(document, variant, one, (*below, index))
        elif here is not None and not (isinstance(value, Mapping) and name not in value):
            is_given = document.value(below) is not None
            origin = document.at(below).origin if is_given else "default"
            yield shown_path(below), key.kind.show(here), origin, key.effect


@config.command("schema", epilog=_SCHEMA_EPILOG)
def print_schema() -> None:
    """Print the JSON Schema of a file, for editors."""
    from pierhead.config.describing import schema

    click.echo(json.dumps(schema(), indent=2))


@config.command("example", epilog=_EXAMPLE_EPILOG)
def print_example() -> None:
    """Print a file with every key, its meaning, its range and its default."""
    from pierhead.config.describing import example

    click.echo(example(), nl=False)


@config.command("format", epilog=_FORMAT_EPILOG)
@takes_settings
@click.option(
    "--check", "only_checks", is_flag=True, help="Print nothing; exit with 1 if it differs."
)
@click.pass_context
def print_formatted(
    ctx: click.Context, name: str, sets: Sequence[str], *, only_checks: bool
) -> None:
    """Print FILE in its canonical layout, with its comments."""
    from pierhead.config.formatting import reformat

    text = configured_file(name, sets).read().spot.source.text
    canonical = reformat(text)
    if not only_checks:
        click.echo(canonical, nl=False)
    elif canonical != text:
        click.echo(f"{name} is not in its canonical layout")
        ctx.exit(1)
