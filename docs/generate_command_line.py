"""Writes docs/reference/command-line.md from the commands of `pierhead.cli`.

python docs/generate_command_line.py            write the page
python docs/generate_command_line.py --check    exit with 1 if the page is not up to date
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from pierhead.cli.main import cli
from pierhead.integrations.click import FlagOption
from pierhead.integrations.parameter import FLAGS_TITLE

PAGE = Path(__file__).parent / "reference" / "command-line.md"

INTRODUCTION = """\
# The command line

Every command says the same about itself with `--help`. Addresses are those of
[the page of addresses](addresses.md).

This page is written by `docs/generate_command_line.py` from the commands (`make pages`).
"""


FLAGS_INTRODUCTION = f"""\
## {FLAGS_TITLE}

The `serve` commands take these, under the names that tokio-listener gives them. A flag goes to
every address that its [option](addresses.md#options) is for; an address that gives the option
itself keeps its own value. A flag that is for none of the addresses is an error.
"""


def page() -> str:
    """Return the text of the page."""
    every = list(commands())
    parts = [part for one in every for part in _command(one)]
    flags = {flag.name: line for one in every for flag, line in _flags(one)}
    return "\n".join([INTRODUCTION, *parts, FLAGS_INTRODUCTION, *flags.values(), ""])


def commands() -> Iterator[click.Context]:
    """Give each command, in a context of its own that knows how it is called."""
    yield from _below(click.Context(cli, info_name="pierhead"))


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command
            yield from _below(click.Context(command, info_name=name, parent=context))


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    words = " ".join(command.collect_usage_pieces(context))
    yield f"## `{context.command_path}`\n\n```text\n{context.command_path} {words}\n```\n"
    yield from _paragraphs(command.help)
    options = [
        _option(one, context)
        for one in command.params
        if isinstance(one, click.Option) and not isinstance(one, FlagOption)
    ]
    if options:
        yield "\n".join(["Options:\n", *options, ""])
    if any(_flags(context)):
        anchor = FLAGS_TITLE.lower().replace(" ", "-")
        yield f"And the [{FLAGS_TITLE.lower()}](#{anchor}).\n"
    if isinstance(command, click.Group):
        every = [command.get_command(context, name) for name in command.list_commands(context)]
        rows = [f"- `{one.name}`: {_escape(one.get_short_help_str(200))}" for one in every if one]
        yield "\n".join(["Commands:\n", *rows, ""])
    yield from _paragraphs(command.epilog)


def _flags(context: click.Context) -> Iterator[tuple[FlagOption, str]]:
    for one in context.command.params:
        if isinstance(one, FlagOption):
            yield one, _option(one, context)


def _option(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record
    name, meaning = record
    words = re.sub(
        r"\n\x08\n.*?\n\n", "\n", meaning, flags=re.DOTALL
    ).split()  # addresses.md has them
    return f"- `{name}`: {_escape(' '.join(words))}"


def _paragraphs(text: str | None) -> Iterator[str]:
    """Give the paragraphs of a help text; one that click leaves as it is stays so here."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text or "").strip()):
        lines = paragraph.splitlines()
        if lines and lines[0] == "\b":
            title = [lines[1]] if lines[1].endswith(":") else []
            block = inspect.cleandoc("\n" + "\n".join(lines[1 + len(title) :]))
            yield "\n".join([*title, *[""][: len(title)], "```text", block, "```", ""])
        elif lines:
            yield f"{_escape(paragraph)}\n"


def _escape(text: str) -> str:
    """Keep a text from being taken for Markdown."""
    return re.sub(r"([*_<\\`])", r"\\\1", text)


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        name = "docs/reference/command-line.md"
        print(f"{name} is not up to date; run: make pages", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
