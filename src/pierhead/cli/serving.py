"""What the ``serve`` commands share: addresses, warnings, and serving."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from pierhead.address import ListenOptions, ListenSpec
from pierhead.address.registry import STRICT_PERMISSIONS
from pierhead.cli.limits import limits_given, takes_limits
from pierhead.errors import UsageError
from pierhead.files import Exposure
from pierhead.integrations.click import listen_option
from pierhead.runtime.log import log_to_standard_error
from pierhead.runtime.say import say
from pierhead.runtime.signals import Signals
from pierhead.server.endpoint import Endpoint
from pierhead.server.server import Server

__all__ = ["EXIT_CODES", "VARIABLE", "listens", "note_exposure", "serve_endpoint"]

F = TypeVar("F", bound=Callable[..., Any])

#: How any server exits, for its help.
EXIT_CODES = "Exit codes: 0 drained, 1 requests were lost, 2 usage, 3 could not start"

_RUNTIME = 1

#: Where a command's context records ``--strict-permissions``.
_STRICT = "pierhead.strict_permissions"

#: Where to listen if the command line does not say: addresses, separated by spaces.
VARIABLE = "PIERHEAD_LISTEN"


def listens(*default: str, example: str) -> Callable[[F], F]:
    """Return the option ``-l`` and the flags for addresses; the function gets ``specs``.

    Args:
        default: where to listen by default; empty makes the option required.
        example: an address for the help.
    """
    option = listen_option(
        default,
        name="specs",
        envvar=VARIABLE,
        help="Address to listen on; may be repeated. 'pierhead address explain' shows what "
        "one means.",
        example=example,
    )

    def decorate(function: F) -> F:
        return option(takes_limits(_strict_permissions(function)))

    return decorate


def _note_strictness(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[_STRICT] = value


#: A key or secret that others may read is an error; without it, a warning.
_strict_permissions = click.option(
    "--strict-permissions",
    is_flag=True,
    expose_value=False,
    callback=_note_strictness,
    help="Refuse keys and secrets that others can read, instead of warning.",
)


def note_exposure(path: os.PathLike[str], exposure: Exposure | None) -> None:
    """Warn that others can read a secret, or refuse it with ``--strict-permissions``.

    Raises:
        UsageError: they can, and ``--strict-permissions`` is given.
    """
    if exposure is None:
        return
    text = f"the secret in {path} can be read or changed by {exposure.text}"
    text += f"; restrict it to its owner: {exposure.remedy}"
    if click.get_current_context().meta[_STRICT]:
        raise UsageError(text)
    say(f"warning: {text}")


def serve_endpoint(
    endpoint: Endpoint, specs: Sequence[ListenSpec], hint: Callable[[str], str | None] | None = None
) -> None:
    """Serve until told to stop, printing where.

    Args:
        endpoint: what to serve.
        specs: where.
        hint: given the first bound address, returns a command line to try; None for no hint.
    """
    from pierhead.runtime.run import event_loop_runner, serve_until_signal

    log_to_standard_error()
    signals = click.get_current_context().find_object(Signals)
    if click.get_current_context().meta[_STRICT]:
        specs = [_strict(spec) for spec in specs]
    server = Server(endpoint, *specs, **limits_given())

    def announce(started: Server) -> None:
        for address in started.addresses:
            say(f"{endpoint.name} on {address}")
        line = hint(started.addresses[0]) if hint else None
        if line:
            say(f"try: {line}")

    if not event_loop_runner(serve_until_signal(server, signals, on_ready=announce), signals):
        raise SystemExit(_RUNTIME)


def _strict(spec: ListenSpec) -> ListenSpec:
    """Return the address with strict permissions on its keys, if it has any."""
    if "tls" not in spec.wrappers or STRICT_PERMISSIONS.key in spec.options:
        return spec
    options = ListenOptions.of({**dict(spec.options.given), STRICT_PERMISSIONS.key: True})
    return ListenSpec(spec.wrappers, spec.address, options)
