"""``pierhead init``: print the files that run a server for years."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from pierhead.cli.init_files import Deployment, container, kubernetes, systemd

__all__ = ["init"]

_KINDS = {"systemd": systemd, "container": container, "kubernetes": kubernetes}

_EPILOG = """\b
Examples:
  pierhead init systemd --name site-dns -- serve dns --zone /etc/zones -l 0.0.0.0:53
  pierhead init container -- serve echo -l 0.0.0.0:7000 > Containerfile
  pierhead init kubernetes --name echo -- serve echo -l tcp:0.0.0.0:7000 | kubectl apply -f -

Exit codes: 0 printed, 2 usage.
"""


@click.command(epilog=_EPILOG, context_settings={"ignore_unknown_options": True})
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.option(
    "--name",
    default="pierhead",
    show_default=True,
    help="Name of the unit, the image or the deployment. [example: site-dns]",
)
@click.argument("words", metavar="[--] serve …", nargs=-1, required=True)
def init(kind: str, name: str, words: Sequence[str]) -> None:
    """Print a systemd unit, a container file or Kubernetes manifests for a server.

    After -- comes the command line of the server, without its first word.
    """
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) is None:
        raise click.UsageError(
            f"--name is {name!r}, expected lower-case letters, digits and hyphens, 63 at most."
        )
    if words[0] != "serve":
        raise click.UsageError(f"the command line begins with {words[0]!r}, expected serve.")
    if any(not word.isprintable() for word in words):
        raise click.UsageError("a word has a control character, and these files are lines.")
    click.echo(_KINDS[kind](Deployment(name, tuple(words))), nl=False)
