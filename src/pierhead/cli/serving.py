"""What the ``serve`` commands share: addresses, warnings, and serving."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, TextIO, TypeVar, cast

import click

from pierhead.address import ListenSpec
from pierhead.cli.limits import limits_given, takes_limits
from pierhead.config.configuration import AnyServe, Configuration, Logging
from pierhead.errors import UsageError
from pierhead.integrations.click import listen_option
from pierhead.runtime.health import Health
from pierhead.runtime.log import LEVELS, LOG_FORMATS, LogLines, log_to_standard_error
from pierhead.runtime.say import say
from pierhead.runtime.signals import Signals
from pierhead.server.endpoint import Endpoint
from pierhead.server.server import Server

__all__ = [
    "EXIT_CODES",
    "VARIABLE",
    "access_log_option",
    "check_one_process",
    "listens",
    "serve_endpoint",
    "serve_one",
    "tell",
]

F = TypeVar("F", bound=Callable[..., Any])

#: How any server exits, for its help.
EXIT_CODES = "Exit codes: 0 drained, 1 requests were lost, 2 usage, 3 could not start"

_RUNTIME = 1

#: Probes and a scraper or two; and how long their last answers may take when the server stops.
_ADMIN_CONNECTIONS = 64
_ADMIN_DRAIN_S = 1.0

#: Where a command's context keeps the options for those who operate it.
_LOG_FORMAT, _LOG_LEVEL = "pierhead.log_format", "pierhead.log_level"
_LAME_DUCK = "pierhead.lame_duck"
_ADMIN, _ADMIN_PUBLIC = "pierhead.admin", "pierhead.admin_public"
#: Where a command's context records ``--strict-permissions``.
_STRICT = "pierhead.strict_permissions"

#: Where it records ``--print-config``.
_PRINTS = "pierhead.print_config"

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
        function = _workers(_strict_permissions(_operated(_print_config(function))))
        return option(takes_limits(function))

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


def _keep(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that keeps an option's value in the context of its command."""

    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        ctx.meta[key] = value

    return keep


_log_format = click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="console",
    show_default=True,
    envvar="PIERHEAD_LOG_FORMAT",
    expose_value=False,
    callback=_keep(_LOG_FORMAT),
    help="How lines on standard error look: for people, or one JSON object or logfmt line each.",
)
_log_level = click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="warning",
    show_default=True,
    envvar="PIERHEAD_LOG_LEVEL",
    expose_value=False,
    callback=_keep(_LOG_LEVEL),
    help="The least grave records that are logged; 'debug' has every malformed message.",
)
_lame_duck = click.option(
    "--lame-duck",
    type=click.FloatRange(0, 3600),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    envvar="PIERHEAD_LAME_DUCK",
    expose_value=False,
    callback=_keep(_LAME_DUCK),
    help="How long to serve on after a signal to stop, no longer ready, so that balancers can "
    "notice. [seconds; example: 5]",
)


_admin = click.option(
    "--admin",
    "--metrics",
    "admin",
    metavar="ADDR",
    multiple=True,
    envvar="PIERHEAD_ADMIN",
    expose_value=False,
    callback=_keep(_ADMIN),
    help="Address that answers /metrics, /ready, /startup and /health over HTTP; may be repeated. "
    "[default: none; example: 127.0.0.1:9100]",
)
_admin_public = click.option(
    "--admin-public",
    is_flag=True,
    expose_value=False,
    callback=_keep(_ADMIN_PUBLIC),
    help="Allow an address of --admin that other machines can reach.",
)
access_log_option = click.option(
    "--access-log",
    "log_one_of",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Log one of N requests that are answered, and all others: peer, outcome, duration and "
    "sizes; 0 logs none. [requests; example: 1]",
)


_print_config = click.option(
    "--print-config",
    is_flag=True,
    expose_value=False,
    callback=_keep(_PRINTS),
    help="Print what this command line says as a file for 'pierhead run', and exit.",
)


def _operated(function: F) -> F:
    """Add the options for those who operate a server."""
    for option in (_lame_duck, _log_level, _log_format, _admin_public, _admin):
        function = option(function)
    return function


def tell(line: str) -> None:
    """Say a line, as a record of the log if ``--log-format`` is for programs."""
    form = click.get_current_context().meta[_LOG_FORMAT]
    say(line, None if form == "console" else cast(TextIO, LogLines(form)))


def serve_one(serve: AnyServe) -> None:
    """Serve until told to stop, or print the configuration with ``--print-config``."""
    meta = click.get_current_context().meta
    configuration = Configuration(
        strict_permissions=meta[_STRICT],
        lame_duck=meta[_LAME_DUCK],
        limits=MappingProxyType(limits_given()),
        logging=Logging(level=meta[_LOG_LEVEL], format=meta[_LOG_FORMAT]),
        serve=(serve,),
    )
    if meta[_PRINTS]:
        _print(configuration)
        return
    from pierhead.config.building import build
    from pierhead.runtime.configured import log_requests

    log_requests(configuration)
    built = build(configuration)
    for line in built.notes:
        tell(line)
    (part,) = built.parts
    serve_endpoint(part.made.endpoint, part.specs, part.made.hint)


def _print(configuration: Configuration) -> None:
    from pierhead.config.writing import write

    meta = click.get_current_context().meta
    for option, is_given in (("--workers", meta[_WORKERS] > 1), ("--admin", meta[_ADMIN])):
        if is_given:
            raise UsageError(f"a file says nothing of {option}; leave it out to print one")
    click.echo(write(configuration), nl=False)


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

    meta = click.get_current_context().meta
    form = meta[_LOG_FORMAT]
    log_to_standard_error(form, meta[_LOG_LEVEL])
    signals = click.get_current_context().find_object(Signals)

    def announce(addresses: Sequence[str]) -> None:
        for address in addresses:
            tell(f"{endpoint.name} on {address}")
        line = hint(addresses[0]) if hint else None
        if line:
            tell(f"try: {line}")

    workers: int = meta[_WORKERS]
    if workers > 1:
        _refuse_for_workers(meta)
        from pierhead.runtime.supervisor import Supervisor

        if signals is not None:
            signals.leave()  # a supervisor has no thread, and handles them itself
        raise SystemExit(Supervisor(endpoint, specs, workers, **limits_given()).run(announce))
    server = Server(endpoint, *specs, **limits_given())
    health = Health()
    serving = serve_until_signal(
        server,
        signals,
        health=health,
        admin=_admin_server(server, health),
        on_ready=lambda one: announce(one.addresses),
        stderr=None if form == "console" else cast(TextIO, LogLines(form)),
        lame_duck_s=meta[_LAME_DUCK],
    )
    if not event_loop_runner(serving, signals):
        raise SystemExit(_RUNTIME)


def _admin_server(server: Server, health: Health) -> Server | None:
    """Return the server of ``--admin``; None if there is none."""
    meta = click.get_current_context().meta
    specs = [ListenSpec.parse(address) for address in meta[_ADMIN]]
    if not specs:
        return None
    from pierhead.protocols import http
    from pierhead.runtime.admin import AdminService, is_private

    for spec in specs:
        if not (is_private(spec) or meta[_ADMIN_PUBLIC]):
            raise click.UsageError(
                f"--admin {spec} can be reached from other machines, which would read the metrics; "
                "use 127.0.0.1 or a UNIX socket, or add --admin-public."
            )
    service = AdminService(health, server.metrics.readings, version("pierhead"))
    endpoint = dataclasses.replace(http.serve(service), name="admin")
    return Server(
        endpoint, *specs, max_connections=_ADMIN_CONNECTIONS, drain_timeout=_ADMIN_DRAIN_S
    )


def _refuse_for_workers(meta: dict[str, Any]) -> None:
    """Refuse what a supervisor does not do, instead of leaving it out."""
    given = {
        "--log-format": meta[_LOG_FORMAT] != "console",
        "--lame-duck": meta[_LAME_DUCK] > 0,
        "--admin": bool(meta[_ADMIN]),
    }
    for option, is_given in given.items():
        if is_given:
            raise click.UsageError(f"{option} is for one process, not for --workers.")


def check_one_process(**given: object) -> None:
    """Refuse options of a command that only one process can have, if there are workers.

    Raises:
        click.UsageError: names the option.
    """
    if click.get_current_context().meta.get(_WORKERS, 1) > 1:
        for option, value in given.items():
            if value:
                raise click.UsageError(f"--{option} is for one process, not for --workers.")
