"""``pierhead key``: make keys for signed DNS messages."""

from __future__ import annotations

import os
import secrets

import click

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire.tsig.key import ALGORITHMS, Key
from pierhead.protocols.dns.wire.tsig.key_text import bind_text

__all__ = ["key"]

_EPILOG = """\b
Examples:
  pierhead key generate north.example
  pierhead key generate north.example --algorithm hmac-sha512 -o north.key
  pierhead serve dns --zone examples/zones --key north.key

Exit codes: 0 ok, 1 the file cannot be written, 2 usage.
"""


@click.group()
def key() -> None:
    """Make keys for signed DNS messages."""


@key.command(epilog=_EPILOG, short_help="Make a key for signed DNS messages.")
@click.argument("key_name", metavar="NAME")
@click.option(
    "--algorithm",
    "-a",
    default="hmac-sha256",
    show_default=True,
    metavar="NAME",
    help=f"{', '.join(ALGORITHMS)}; with -BITS after it if MACs are to be truncated. "
    "[example: hmac-sha512]",
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="New file to write the key to, readable by its owner alone. [default: standard output; "
    "example: north.key]",
)
def generate(key_name: str, algorithm: str, output: str | None) -> None:
    """Make a TSIG key (RFC 8945) with a random secret, as BIND, NSD and Knot read it.

    Both sides need the same name, algorithm and secret.
    """
    # As long as what the hash gives: longer adds nothing (RFC 2104 §3).
    octets = Key(key_name, b"any", algorithm=algorithm).algorithm.octets
    text = bind_text(Key(key_name, secrets.token_bytes(octets), algorithm=algorithm))
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{output} exists already; name a new file, or remove it") from None
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(text)
