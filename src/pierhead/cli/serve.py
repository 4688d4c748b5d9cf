"""``pierhead serve``: run a stock service, or a function of yours, until told to stop."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from pierhead.address import ListenSpec
from pierhead.endpoint import Endpoint
from pierhead.errors import UsageError
from pierhead.server.server import Server
from pierhead.service import as_service

__all__ = ["serve"]

_LISTEN = "Address to listen on; repeat it for more."


def _listen_option(default: tuple[str, ...], example: str) -> Callable[[Any], Any]:
    shown = f"default: {' '.join(default)}" if default else "required"
    return click.option(
        "-l",
        "--listen",
        "addresses",
        metavar="ADDR",
        multiple=True,
        default=default,
        help=f"{_LISTEN} [address; {shown}; example: {example}; see 'pierhead address explain']",
    )


@click.group(epilog="Every server drains at SIGTERM or SIGINT; a second signal forces.")
def serve() -> None:
    """Serve a protocol on any addresses until SIGTERM or SIGINT."""


@serve.command("dns")
@click.option(
    "--zone",
    "zones",
    metavar="[NAME=]PATH",
    multiple=True,
    required=True,
    help="Zone to serve: a master file, its name from the file name without '.zone' unless "
    "given; or a directory, which serves each *.zone file in it. Repeat it for more. "
    "[example: example.org=zones/main.txt]",
)
@_listen_option(("127.0.0.1:5300",), "127.0.0.1:5300 (UDP and TCP)")
def serve_dns(zones: Sequence[str], addresses: Sequence[str]) -> None:
    """Answer authoritatively from zone files, over UDP and TCP."""
    from pierhead.protocols import dns
    from pierhead.protocols.dns.wire.name import to_text

    specs = [ListenSpec.parse(address) for address in addresses]
    service = dns.zones(*zones)
    names = [to_text(zone.origin) for zone in service.zones]
    _serve(dns.serve(service), specs, lambda address: _dig_line(address, names[0]))


@serve.command("lines")
@click.argument("function", metavar="MODULE:FUNCTION")
@_listen_option((), "tcp:127.0.0.1:7000")
@click.option(
    "--encoding",
    default="utf-8",
    show_default=True,
    metavar="NAME",
    help="Text encoding of the lines; 'bytes' gives the function bytes. "
    "[codec name; example: latin-1]",
)
def serve_lines(function: str, addresses: Sequence[str], encoding: str) -> None:
    """Answer each line with an async function of yours: (line, context) -> line."""
    from pierhead.protocols import lines

    service = _load(function)
    specs = [ListenSpec.parse(address) for address in _required(addresses)]
    chosen: Any = None if encoding == "bytes" else encoding
    _serve(lines.serve(service, encoding=chosen), specs)


@serve.command("echo")
@_listen_option((), "tcp:127.0.0.1:7000")
def serve_echo(addresses: Sequence[str]) -> None:
    """Answer each line, or each datagram, with itself."""
    from pierhead.protocols import lines

    specs = [ListenSpec.parse(address) for address in _required(addresses)]
    _serve(lines.serve(lines.echo, encoding=None), specs)


def _required(addresses: Sequence[str]) -> Sequence[str]:
    if not addresses:
        raise UsageError("nothing to listen on; give an address, such as -l tcp:127.0.0.1:7000")
    return addresses


def _serve(
    endpoint: Endpoint, specs: Sequence[ListenSpec], hint: Callable[[str], str | None] | None = None
) -> None:
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


def _dig_line(address: str, zone: str) -> str | None:
    scheme, _, target = address.partition(":")
    host, _, port = target.rpartition(":")
    if scheme not in ("udp", "tcp"):
        return None
    reach = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    return f"dig @{reach} -p {port} {'+tcp ' if scheme == 'tcp' else ''}{zone} SOA"


def _load(reference: str) -> Any:
    """Import ``module:function`` from the current directory or the import path."""
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(
            f"{reference!r} names no function; expected MODULE:FUNCTION, as shout:shout"
        )
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(f"cannot import {module_name!r}: {error}") from None
    except SystemExit as error:
        raise UsageError(
            f"importing {module_name!r} ended the program: SystemExit: {error}; put what only a "
            "script does under: if __name__ == '__main__'"
        ) from None
    except Exception as error:
        raise UsageError(
            f"importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, attribute, None)
    if function is None:
        known = [n for n, v in vars(module).items() if inspect.isfunction(v) and n[0] != "_"]
        raise UsageError(
            f"{module_name!r} has no {attribute!r}; its functions: {', '.join(known) or 'none'}"
        )
    _require_async(function, reference)
    return as_service(function)


def _require_async(function: Any, reference: str) -> None:
    """Refuse a plain function, which would block the event loop and fail at its first line.

    Only here: a library's caller may wrap an async function in a plain one.
    """
    while isinstance(function, functools.partial):
        function = function.func
    call = function
    if callable(function) and not inspect.isroutine(function) and not inspect.isclass(function):
        call = type(function).__call__
    if inspect.isroutine(call) and not (
        inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
    ):
        raise UsageError(f"{reference} is a plain function; write it with 'async def'")
