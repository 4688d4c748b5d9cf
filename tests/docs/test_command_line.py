"""The page of commands says what the commands say, and its examples are command lines."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from tests.docs.generators import load_generator
from tests.processes import ROOT

from pierhead.cli.query_words import parse_words

PAGE = ROOT / "docs" / "reference" / "command-line.md"


@pytest.fixture
def generator():
    return load_generator("generate_command_line")


def examples() -> list[str]:
    """Return the command lines of the page; one between other commands by itself."""
    blocks = re.findall(
        r"^Examples:\n\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    return [
        line for block in blocks for line in re.findall(r"(pierhead [^<>()\n]*[^<>()\s])", block)
    ]


def test_the_page_is_up_to_date(generator, capsys) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_says_something_else_is_refused(generator, tmp_path, capsys) -> None:
    generator.PAGE = tmp_path / "command-line.md"
    generator.PAGE.write_text("Type what you like.\n")

    assert generator.main(["--check"]) == 1
    assert "run: make pages" in capsys.readouterr().err


def test_every_command_that_does_something_has_examples_and_exit_codes(generator) -> None:
    for context in generator.commands():
        if not isinstance(context.command, click.Group):
            assert "Examples:" in (context.command.epilog or ""), context.command_path
            assert "Exit codes: 0" in (context.command.epilog or ""), context.command_path


def test_every_option_that_takes_a_value_says_what_it_is_without(generator) -> None:
    for context in generator.commands():
        for option in context.command.params:
            if isinstance(option, click.Option) and not option.is_flag:
                _, meaning = option.get_help_record(context)
                assert re.search(r"default|required|example", meaning), option.name


@pytest.mark.parametrize("line", examples())
def test_an_example_is_a_command_line(generator, line: str) -> None:
    words = shlex.split(line)[1:]
    context = next(generator.commands())
    while isinstance(context.command, click.Group):
        name = words.pop(0)
        command = context.command.get_command(context, name)
        assert command, line
        parent, context = context, click.Context(command, info_name=name, parent=context)
    context = context.command.make_context(name, words, parent=parent)

    if name == "query":
        parse_words(context.params["words"])
