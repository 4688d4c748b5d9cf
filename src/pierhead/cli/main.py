"""The ``pierhead`` command: finds the subcommand, turns errors into messages and exit codes.

Exit codes are a contract: 0 ok, 1 runtime, 2 usage or configuration, 3 could not start, 4 invalid
zone; only `query` uses dig's. A subcommand's module is imported only when it runs or its help is
shown, so that ``pierhead --help`` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from pierhead import __version__
from pierhead.errors import PierheadError
from pierhead.runtime.early import StoppedEarly
from pierhead.runtime.say import say

__all__ = ["LazyGroup", "cli", "main"]


class LazyGroup(click.Group):
    """A group whose commands are imported when needed.

    Args:
        lazy: maps each command to its one-line help and its ``module:attribute``.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name in the order of declaration."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of this name."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][1].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the one-line help texts, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (text, _) in self._lazy.items()])


_COMMANDS = {
    "serve": ("Serve a protocol on any addresses.", "pierhead.cli.serve:serve"),
    "run": ("Serve what a configuration file says.", "pierhead.cli.run:run"),
    "config": ("Check and show a configuration.", "pierhead.cli.config:config"),
    "connect": ("Speak to anything that listens.", "pierhead.cli.connect:connect"),
    "listen": ("Show what arrives at an address.", "pierhead.cli.listen:listen"),
    "send": ("Send standard input to an address.", "pierhead.cli.connect:send"),
    "query": ("Query a DNS server, with dig's syntax.", "pierhead.cli.query:query"),
    "key": ("Make keys for signed DNS messages.", "pierhead.cli.key:key"),
    "zone": ("Check and format zone files.", "pierhead.cli.zone:zone"),
    "address": ("Explain listening addresses.", "pierhead.cli.address:address"),
    "init": ("Print files for systemd, containers, Kubernetes.", "pierhead.cli.init:init"),
}

_EPILOG = """\b
Examples:
  pierhead serve dns --zone examples/zones
  pierhead serve echo -l tcp:127.0.0.1:7000 -l udp:127.0.0.1:7000
  pierhead run pierhead.toml
  pierhead connect tcp:127.0.0.1:7000
  pierhead query @127.0.0.1:5300 www.example. AAAA +dnssec
  pierhead zone check examples/zones
  pierhead address explain --for dns 127.0.0.1:5300

Exit codes: 0 ok, 1 runtime, 2 usage or configuration, 3 could not start, 4 zone invalid;
those of query are dig's.
"""


@click.command(
    cls=LazyGroup,
    lazy=_COMMANDS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="pierhead")
def cli() -> None:
    """Write one service; serve it on anything that listens."""


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        result = cli.main(standalone_mode=False)
    except click.ClickException as error:
        with contextlib.suppress(OSError, ValueError):  # the output may have no reader
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except PierheadError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except StoppedEarly as stopped:
        say(f"stopped by {stopped} before it was ready")
        sys.exit(0)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); stdout must not be flushed again at exit.
        sys.stdout = None
        sys.exit(1)
    except OSError as error:  # standard output is full, no descriptors are left, and the like
        say(f"error: {error.strerror or error}")
        sys.stdout = None
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)
