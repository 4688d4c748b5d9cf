"""``pierhead serve forward``: pass on connections and datagrams to other addresses."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pierhead.address import ListenSpec
from pierhead.cli.serving import EXIT_CODES, listens, serve_one
from pierhead.config.configuration import Forward
from pierhead.integrations.click import ListenCommand

__all__ = ["serve_forward"]

_EPILOG = f"""\b
Examples:
  pierhead serve forward -l tcp:127.0.0.1:7000 --to unix:/run/a.sock --to unix:/run/b.sock
  pierhead serve forward -l udp:127.0.0.1:5140 --to udp:192.0.2.1:514
  pierhead serve forward -l 'tls+tcp::443?cert=server.pem' --to proxy+tcp:127.0.0.1:8080 --check

{EXIT_CODES}.
"""


@click.command("forward", cls=ListenCommand, epilog=_EPILOG)
@listens(example="tcp:127.0.0.1:7000")
@click.option(
    "--to",
    "upstreams",
    metavar="ADDR",
    multiple=True,
    required=True,
    help="Address to pass on to; may be repeated. Connections go to streams, datagrams to "
    "addresses of datagrams; 'proxy+' tells the upstream who the client is (PROXY protocol, "
    "version 2). [example: unix:/run/a.sock]",
)
@click.option(
    "--policy",
    type=click.Choice(["round-robin", "least-busy", "fastest", "rendezvous"]),
    default="round-robin",
    show_default=True,
    help="Which upstream gets the next connection; 'rendezvous' keeps a client at one.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Connect to each upstream now and then, so that one that is away is found early.",
)
def serve_forward(
    specs: Sequence[ListenSpec], *, upstreams: Sequence[str], policy: str, check: bool
) -> None:
    """Pass on connections and datagrams to other addresses, octet for octet."""
    serve_one(Forward(listen=tuple(specs), to=tuple(upstreams), policy=policy, check=check))
