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

_WORKERS = "pierhead.workers"
_MOST_WORKERS = 255

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
        return option(takes_limits(_workers(_strict_permissions(function))))

    return decorate


class _Count(click.ParamType[int]):
    """A number of workers, or one for each core."""

    name = "workers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        if value == "auto":
            return min(_cores(), _MOST_WORKERS)
        text = str(value)
        if not text.isdigit() or not 1 <= int(text) <= _MOST_WORKERS:
            self.fail(f"{text!r}: expected 1 to {_MOST_WORKERS}, or auto", param, ctx)
        return int(text)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _note_workers(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.meta[_WORKERS] = value


#: How many processes serve.
_workers = click.option(
    "--workers",
    type=_Count(),
    metavar="N|auto",
    default=1,
    show_default=True,
    envvar="WEB_CONCURRENCY",
    show_envvar=True,
    expose_value=False,
    callback=_note_workers,
    help="Processes that serve; auto for one on each core. Limits of the whole server are divided "
    "among them. [processes; example: 2]",
)


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

    def announce(addresses: Sequence[str]) -> None:
        for address in addresses:
            say(f"{endpoint.name} on {address}")
        line = hint(addresses[0]) if hint else None
        if line:
            say(f"try: {line}")

    workers: int = click.get_current_context().meta[_WORKERS]
    if workers > 1:
        from pierhead.runtime.supervisor import Supervisor

        if signals is not None:
            signals.leave()  # a supervisor has no thread, and handles them itself
        raise SystemExit(Supervisor(endpoint, specs, workers, **limits_given()).run(announce))
    server = Server(endpoint, *specs, **limits_given())
    serving = serve_until_signal(server, signals, on_ready=lambda one: announce(one.addresses))
    if not event_loop_runner(serving, signals):
        raise SystemExit(_RUNTIME)


def _strict(spec: ListenSpec) -> ListenSpec:
    """Return the address with strict permissions on its keys, if it has any."""
    if "tls" not in spec.wrappers or STRICT_PERMISSIONS.key in spec.options:
        return spec
    options = ListenOptions.of({**dict(spec.options.given), STRICT_PERMISSIONS.key: True})
    return ListenSpec(spec.wrappers, spec.address, options)
