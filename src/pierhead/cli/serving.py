"""What every ``serve`` command does with its addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import click

from pierhead.address import ListenSpec
from pierhead.endpoint import Endpoint
from pierhead.errors import UsageError
from pierhead.server.server import Server

__all__ = ["EXIT_CODES", "listen_option", "required", "serve_endpoint"]

#: How any server ends, for its help.
EXIT_CODES = "Exit codes: 0 drained, 1 runtime, 2 usage, 3 could not start"


def listen_option(default: tuple[str, ...], example: str) -> Callable[[Any], Any]:
    """Return the option ``-l``, with the addresses it has where none is given."""
    shown = f"default: {' '.join(default)}" if default else "required"
    return click.option(
        "-l",
        "--listen",
        "addresses",
        metavar="ADDR",
        multiple=True,
        default=default,
        help="Address to listen on; repeat it for more. "
        f"[address; {shown}; example: {example}; see 'pierhead address explain']",
    )


def required(addresses: Sequence[str]) -> Sequence[str]:
    """Return the addresses.

    Raises:
        UsageError: there is none.
    """
    if not addresses:
        raise UsageError("nothing to listen on; give an address, such as -l tcp:127.0.0.1:7000")
    return addresses


def serve_endpoint(
    endpoint: Endpoint, specs: Sequence[ListenSpec], hint: Callable[[str], str | None] | None = None
) -> None:
    """Serve until told to stop, and say where.

    Args:
        endpoint: what to serve.
        specs: where.
        hint: given the first address as bound, returns a command line to try; None for none.
    """
    from pierhead.runtime.run import event_loop_runner, serve_until_signal

    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    server = Server(endpoint, *specs)

    def announce(started: Server) -> None:
        for address in started.addresses:
            click.echo(f"{endpoint.name} on {address}", err=True)
        line = hint(started.addresses[0]) if hint else None
        if line:
            click.echo(f"try: {line}", err=True)

    event_loop_runner(serve_until_signal(server, on_ready=announce))
