"""Adds the manual pages and the completion of shells to a wheel, made from the commands.

share/man/man1/pierhead-connect.1 …        by click-man
share/bash-completion, zsh, fish           by click
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class
from click_man.core import generate_man_page
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.utils import get_reproducible_timestamp

COMPLETIONS = {
    "bash": "share/bash-completion/completions/pierhead",
    "zsh": "share/zsh/site-functions/_pierhead",
    "fish": "share/fish/vendor_completions.d/pierhead.fish",
}


class CustomBuildHook(BuildHookInterface[Any]):
    """Writes the files below the folder of the build, and names them as shared data."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the files; an editable install has none."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from pierhead import __version__
        from pierhead.cli.main import cli

        folder = Path(self.directory) / "shared"
        for target, text in {**manual(cli, __version__), **completions(cli)}.items():
            file = folder / target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(file)] = target


def manual(cli: click.Command, version: str) -> dict[str, str]:
    """Return the manual page of each command, by the place where it is installed."""
    return {
        f"share/man/man1/{context.command_path.replace(' ', '-')}.1": page(context, version)
        for context in contexts(click.Context(cli, info_name="pierhead"))
    }


def contexts(context: click.Context) -> Iterator[click.Context]:
    """Give a context for each command below this one, itself included."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command
            yield from contexts(click.Context(command, info_name=name, parent=context))


def page(context: click.Context, version: str) -> str:
    """Return the manual page of one command, with its examples and exit codes."""
    day = time.strftime("%Y-%m-%d", time.gmtime(get_reproducible_timestamp()))
    text = str(generate_man_page(context, version=version, date=day))
    notes = (context.command.epilog or "").replace("\b\n", "")
    if not notes:
        return text
    escaped = notes.replace("\\", "\\e").replace("\n.", "\n\\&.").replace("-", "\\-")
    return f"{text.rstrip()}\n.SH NOTES\n.nf\n{escaped.rstrip()}\n.fi\n"


def completions(cli: click.Command) -> dict[str, str]:
    """Return the completion for each shell, by the place where it is installed."""
    found = {}
    for shell, place in COMPLETIONS.items():
        kind = get_completion_class(shell)
        assert kind
        found[place] = kind(cli, {}, "pierhead", "_PIERHEAD_COMPLETE").source()
    return found
