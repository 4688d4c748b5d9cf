"""``pierhead serve http``: serve your own HTTP service."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pierhead.address import ListenSpec
from pierhead.cli.serving import EXIT_CODES, access_log_option, listens, serve_one
from pierhead.config.configuration import Http
from pierhead.errors import UsageError
from pierhead.integrations.click import ListenCommand

__all__ = ["serve_http"]

_EPILOG = f"""\b
Examples:
  pierhead serve http shop:site -l 127.0.0.1:8080
  pierhead serve http shop:site -l unix:./shop.sock -l 'tls+tcp::443?cert=server.pem'
  pierhead serve http shop:upload -l :8080 --max-body-bytes off --limit idle-timeout=5s

{EXIT_CODES}.
"""


@click.command("http", cls=ListenCommand, epilog=_EPILOG)
@click.argument("service", metavar="MODULE:SERVICE")
@listens(example="tcp:127.0.0.1:8080")
@click.option(
    "--max-body-bytes",
    default="1048576",
    show_default=True,
    metavar="N",
    help="The largest content of a request; 'off' for any. [example: 10000000]",
)
@access_log_option
def serve_http(
    service: str, specs: Sequence[ListenSpec], max_body_bytes: str, *, log_one_of: int
) -> None:
    """Answer requests of HTTP with your own service: filters, or (request, context) -> response."""
    serve_one(
        Http(
            listen=tuple(specs),
            service=service,
            max_body_bytes=_most(max_body_bytes),
            access_log=log_one_of,
        )
    )


def _most(text: str) -> int | str:
    if text == "off" or (text.isascii() and text.isdigit()):
        return text if text == "off" else int(text)
    raise UsageError(f"--max-body-bytes is {text!r}, expected a number of octets or 'off'")
