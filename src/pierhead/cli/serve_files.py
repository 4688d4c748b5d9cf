"""``pierhead serve files``: the files of a folder over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import click

from pierhead.address import ListenSpec
from pierhead.cli.serving import EXIT_CODES, listens, serve_one
from pierhead.config.configuration import Files
from pierhead.integrations.click import ListenCommand

__all__ = ["serve_files"]

_EPILOG = f"""\b
Examples:
  pierhead serve files static -l tcp:127.0.0.1:8080
  pierhead serve files static -l 'tls+tcp:[::]:8443?cert=server.pem' --cache-control max-age=3600
  pierhead serve files . -l unix:./files.sock --index ''

{EXIT_CODES}.
"""


@click.command("files", cls=ListenCommand, epilog=_EPILOG)
@click.argument("folder", metavar="FOLDER")
@listens(example="tcp:127.0.0.1:8080")
@click.option(
    "--index",
    default="index.html",
    show_default=True,
    metavar="NAME",
    help="File that answers for a folder; '' for none. [file name; example: home.html]",
)
@click.option(
    "--cache-control",
    metavar="TEXT",
    help="Field of this name in every answer: how long clients keep files. [example: max-age=3600]",
)
@click.option(
    "--access-log",
    "form",
    type=click.Choice(["common", "combined", "json"]),
    help="Log each request to standard error, in this form. [example: common]",
)
def serve_files(
    folder: str,
    specs: Sequence[ListenSpec],
    *,
    index: str,
    cache_control: str | None,
    form: Literal["common", "combined", "json"] | None,
) -> None:
    """Answer GET and HEAD over HTTP with the files of a folder.

    Nothing outside of it is sent, nor what begins with a dot. Text is compressed for clients that
    accept it.
    """
    serve_one(
        Files(
            listen=tuple(specs),
            folder=folder,
            index=index,
            cache_control=cache_control,
            access_log=form,
        )
    )
