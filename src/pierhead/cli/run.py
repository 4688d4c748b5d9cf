"""``pierhead run``: serve what a configuration file says, until told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pierhead.cli.serving import EXIT_CODES

if TYPE_CHECKING:
    from pierhead.config.file import ConfigurationFile

__all__ = ["configured_file", "run", "takes_settings"]

F = TypeVar("F", bound=Callable[..., Any])

_RUNTIME = 1

_EPILOG = f"""\b
Examples:
  pierhead run
  pierhead run /etc/pierhead/pierhead.toml
  pierhead run --set logging.level=info --set 'serve[0].listen=127.0.0.1:5300'

SIGHUP reads the file again; if anything is wrong, everything stays as it was.

{EXIT_CODES} or configuration, 4 a zone is invalid.
"""


def takes_settings(function: F) -> F:
    """Add the argument FILE and the option ``--set``; the function gets ``name`` and ``sets``."""
    argument = click.argument("name", metavar="[FILE]", default="pierhead.toml")
    option = click.option(
        "--set",
        "sets",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set a key, in place of the file's and the environment's value; may be repeated. "
        "[example: limits.idle_timeout=5s]",
    )
    return argument(option(function))


def configured_file(name: str, sets: Sequence[str]) -> ConfigurationFile:
    """Return the file with the settings of this process, and enter its folder."""
    import os

    from pierhead.config.file import ConfigurationFile

    file = ConfigurationFile.of(name, os.environ, sets)
    file.enter()
    return file


@click.command("run", epilog=_EPILOG)
@takes_settings
@click.pass_context
def run(ctx: click.Context, name: str, sets: Sequence[str]) -> None:
    """Serve what FILE says until SIGTERM or SIGINT. FILE is pierhead.toml by default."""
    from pierhead.runtime.configured import serve_built
    from pierhead.runtime.signals import Signals

    signals = None
    if threading.current_thread() is threading.main_thread():
        # Before anything is opened, and before reading a zone, which may take long.
        signals = ctx.with_resource(Signals())
    file = configured_file(name, sets)
    if not serve_built(file.build(), signals, file.build):
        raise SystemExit(_RUNTIME)
