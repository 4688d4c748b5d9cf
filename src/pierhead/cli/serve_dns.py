"""``pierhead serve dns``: answer authoritatively from zone files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from pierhead.address import ListenSpec
from pierhead.cli.serving import EXIT_CODES, check_one_process, listens, serve_one
from pierhead.config.configuration import Dns
from pierhead.errors import UsageError
from pierhead.integrations.click import ListenCommand

__all__ = ["serve_dns"]

_EPILOG = f"""\b
Examples:
  pierhead serve dns --zone examples/zones
  pierhead serve dns --zone example.org=zones/main.txt -l 127.0.0.1:5300 -l '[::1]:5300'
  pierhead serve dns --zone examples/zones -l 'tls+tcp:127.0.0.1:8530?cert=dns.pem'
  pierhead serve dns --zone zones -l 'tls+tcp:127.0.0.1:8443?cert=dns.pem&alpn=http/1.1,dot'

{EXIT_CODES}, 4 a zone is invalid.
"""


@click.command("dns", cls=ListenCommand, epilog=_EPILOG)
@click.option(
    "--zone",
    "zones",
    metavar="[NAME=]PATH",
    multiple=True,
    help="Zone to serve: a master file, named after the file without '.zone' unless NAME= is "
    "given; or a directory, which serves every *.zone file in it; - is standard input. May be "
    "repeated. "
    "[example: example.org=zones/main.txt]",
)
@click.option(
    "--forward",
    "forwards",
    metavar="[SUFFIX=]ADDR",
    multiple=True,
    help="Server to ask for names below the suffix, or for all names that are in no zone; may be "
    "repeated: of several for one suffix the fastest is asked. "
    "[example: corp.example.=192.0.2.1:53]",
)
@click.option(
    "--allow",
    metavar="NETWORK",
    multiple=True,
    help="Network whose queries are forwarded; may be repeated. "
    "[default: this machine alone; example: 192.0.2.0/24]",
)
@click.option(
    "--include-dir",
    "include_dirs",
    metavar="DIR",
    multiple=True,
    help="Directory that $INCLUDE may read from, besides the zone's own; may be repeated. "
    "[default: none; example: /etc/zones/common]",
)
@click.option(
    "--allow-transfer",
    "secondaries",
    metavar="NETWORK|key:NAME",
    multiple=True,
    help="Network whose servers may transfer zones, by AXFR and IXFR, or key with which they sign; "
    "may be repeated. [default: none; example: 192.0.2.0/24]",
)
@click.option(
    "--notify",
    "notified",
    metavar="ADDR",
    multiple=True,
    help="Secondary that is told when a zone has changed (NOTIFY); may be repeated. "
    "[default: none; example: 192.0.2.54]",
)
@click.option(
    "--journal",
    metavar="DIR",
    help="Directory for the journal of changes, from which zones are restored. "
    "[default: none; example: /var/lib/pierhead]",
)
@click.option(
    "--take",
    type=click.Choice(["file", "journal"]),
    help="Version to serve of a zone that was changed in both its file and the journal. "
    "[default: the journal's, with a warning]",
)
@listens("127.0.0.1:5300", example="127.0.0.1:5300 (UDP and TCP)")
@click.option(
    "--rate-limit",
    "rate",
    default="200",
    show_default=True,
    metavar="N",
    help="Similar answers per second to one network over UDP, excluding this machine; 'off' for "
    "no limit. [responses/s; example: 50]",
)
@click.option(
    "--cookie-secret",
    "secret_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File with a DNS cookie secret as 32 hexadecimal digits; the first creates cookies, "
    "all verify them. [default: random at startup; example: /etc/pierhead/cookie]",
)
@click.option(
    "--key",
    "key_files",
    metavar="FILE",
    multiple=True,
    help="File with TSIG keys (RFC 8945), as 'pierhead key generate' writes it or one "
    "algorithm:name:secret a line; questions that are signed by one get signed answers. May be "
    "repeated. [default: none; example: /etc/pierhead/north.key]",
)
@click.option(
    "--nsid", help="Name server identifier, sent on request (RFC 5001). [example: north-2]"
)
@click.option("--identity", help="Answer to id.server in class CH. [default: refused]")
@click.option("--version-text", help="Answer to version.bind in class CH. [default: refused]")
@click.option("--query-log", is_flag=True, help="Log each query to standard error.")
def serve_dns(
    zones: Sequence[str],
    specs: Sequence[ListenSpec],
    *,
    forwards: Sequence[str],
    allow: Sequence[str],
    include_dirs: Sequence[str],
    secondaries: Sequence[str],
    notified: Sequence[str],
    journal: str | None,
    take: Literal["file", "journal"] | None,
    rate: str,
    secret_files: Sequence[Path],
    key_files: Sequence[str],
    nsid: str | None,
    identity: str | None,
    version_text: str | None,
    query_log: bool,
) -> None:
    """Answer authoritatively from zone files, or forward, over UDP and TCP."""
    if not zones and not forwards:
        raise click.UsageError("Missing option '--zone' (or '--forward').")
    # The journal has one owner, and secondaries are told once.
    check_one_process(journal=journal, notify=notified)
    if allow and not forwards:
        raise UsageError("--allow is for --forward; zones are served to everybody")
    if secondaries and not zones:
        raise UsageError("--allow-transfer is for zones; give at least one --zone")
    if not zones and (journal is not None or notified):
        given = "--journal" if journal is not None else "--notify"
        raise UsageError(f"{given} is for zones; give at least one --zone")
    serve_one(
        Dns(
            listen=tuple(specs),
            zones=tuple(zones),
            include_dirs=tuple(include_dirs),
            forward=tuple(forwards),
            allow=tuple(allow),
            allow_transfer=tuple(secondaries),
            notify=tuple(notified),
            journal=journal,
            take=take,
            rate_limit=_rate_limit(rate),
            cookie_secrets=tuple(map(str, secret_files)),
            keys=tuple(key_files),
            nsid=nsid,
            identity=identity,
            version_text=version_text,
            query_log=query_log,
        )
    )


def _rate_limit(rate: str) -> float | str:
    if rate == "off":
        return rate
    try:
        number = float(rate)
    except ValueError:
        raise UsageError(f"--rate-limit is {rate!r}, expected a number or 'off'") from None
    return int(number) if number.is_integer() else number
