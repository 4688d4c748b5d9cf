"""``pierhead serve``: run a stock service, or your own function, until told to stop."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import click

from pierhead.address import ListenSpec
from pierhead.cli.serve_dns import serve_dns
from pierhead.cli.serve_files import serve_files
from pierhead.cli.serve_forward import serve_forward
from pierhead.cli.serve_http import serve_http
from pierhead.cli.serving import EXIT_CODES, access_log_option, listens, serve_one
from pierhead.config.configuration import Echo, Lines
from pierhead.integrations.click import ListenCommand
from pierhead.runtime.signals import Signals

__all__ = ["serve"]

_LINES_EPILOG = f"""\b
Examples:
  pierhead serve lines shout:shout -l tcp:127.0.0.1:7000 -l unix:./shout.sock
  pierhead serve lines package.module:function -l sd-listen --encoding latin-1
  pierhead serve lines shout:shout -l :7000 -l ./shout.sock --unix-listen-chmod group

{EXIT_CODES}.
"""
_ECHO_EPILOG = f"""\b
Examples:
  pierhead serve echo -l tcp:127.0.0.1:7000 -l udp:127.0.0.1:7000
  pierhead serve echo -l 'tls+tcp:127.0.0.1:7001?cert=server.pem' -l @echo
  pierhead serve echo -l tcp:127.0.0.1:7000 --limit idle-timeout=5s --limit max-connections=100

{EXIT_CODES}.
"""


@click.group(
    epilog="Every server drains on SIGTERM or SIGINT; a second signal forces it to stop. SIGHUP "
    "reloads certificates and zone files: all of them, or none."
)
@click.pass_context
def serve(ctx: click.Context) -> None:
    """Serve a protocol on any addresses until SIGTERM or SIGINT."""
    if threading.current_thread() is threading.main_thread():
        # Before anything is opened, and before reading a zone, which may take long.
        ctx.obj = ctx.with_resource(Signals())


serve.add_command(serve_dns)
serve.add_command(serve_files)
serve.add_command(serve_forward)
serve.add_command(serve_http)


@serve.command("lines", cls=ListenCommand, epilog=_LINES_EPILOG)
@click.argument("function", metavar="MODULE:FUNCTION")
@listens(example="tcp:127.0.0.1:7000")
@click.option(
    "--encoding",
    default="utf-8",
    show_default=True,
    metavar="NAME",
    help="Text encoding of the lines; 'bytes' passes bytes to the function. "
    "[codec name; example: latin-1]",
)
@access_log_option
def serve_lines(
    function: str, specs: Sequence[ListenSpec], encoding: str, *, log_one_of: int
) -> None:
    """Answer each line with your own async function: (line, context) -> line."""
    serve_one(
        Lines(listen=tuple(specs), service=function, encoding=encoding, access_log=log_one_of)
    )


@serve.command("echo", cls=ListenCommand, epilog=_ECHO_EPILOG)
@listens(example="tcp:127.0.0.1:7000")
@access_log_option
def serve_echo(specs: Sequence[ListenSpec], *, log_one_of: int) -> None:
    """Answer each line with itself, and each datagram unchanged.

    Over UDP this is a risk: the sender of a datagram may be forged, and gets the answer. Listen
    only on networks that you trust.
    """
    serve_one(Echo(listen=tuple(specs), access_log=log_one_of))
