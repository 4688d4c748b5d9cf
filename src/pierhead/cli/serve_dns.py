"""``pierhead serve dns``: answer authoritatively from zone files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pierhead.address import ListenSpec
from pierhead.address.views import TlsOptions
from pierhead.cli.serving import (
    EXIT_CODES,
    check_one_process,
    listens,
    note_exposure,
    serve_endpoint,
    tell,
)
from pierhead.errors import UsageError
from pierhead.files import read_secret
from pierhead.integrations.click import ListenCommand
from pierhead.server.endpoint import Endpoint

if TYPE_CHECKING:
    from pierhead.protocols.dns.middleware import RateLimit
    from pierhead.protocols.dns.services.zone_service import ZoneService
    from pierhead.protocols.dns.transfer.outgoing import Transfers
    from pierhead.protocols.dns.wire.tsig.key import Key
    from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["serve_dns"]

#: More than 32 digits take, with blanks and line ends between them.
_SECRET_OCTETS = 1024
#: What --allow-transfer has before the name of a key.
_KEY = "key:"
#: RFC 9018 §4.4: the key of SipHash-2-4, 128 bits.
_SECRET_DIGITS = 32

_EPILOG = f"""\b
Examples:
  pierhead serve dns --zone examples/zones
  pierhead serve dns --zone example.org=zones/main.txt -l 127.0.0.1:5300 -l '[::1]:5300'
  pierhead serve dns --zone examples/zones -l 'tls+tcp:127.0.0.1:8530?cert=dns.pem'
  pierhead serve dns --zone examples/zones \\
    -l 'tls+tcp:127.0.0.1:8443?cert=dns.pem&alpn=http/1.1,dot'

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
    from pierhead.protocols import dns

    told = identity is not None or version_text is not None
    if not zones and not forwards:
        raise click.UsageError("Missing option '--zone' (or '--forward').")
    # The journal has one owner, and secondaries are told once.
    check_one_process(journal=journal, notify=notified)
    authority = None
    if zones:
        authority = dns.zones(
            *zones, include_dirs=include_dirs, journal=journal, take=take, notify=notified
        )
    elif journal is not None or notified:
        given = "--journal" if journal is not None else "--notify"
        raise UsageError(f"{given} is for zones; give at least one --zone")
    layered = dns.standard(
        _routed(authority, forwards, allow),
        rate_limit=_rate_limit(rate),
        cookies=dns.cookies(secrets=[_secret(path) for path in secret_files]),
        nsid=nsid,
        chaos=dns.chaos(version=version_text, identity=identity) if told else None,
        query_log=query_log,
        tsig=dns.tsig(_keys(key_files)) if key_files else None,
        transfers=_transfers(authority, secondaries),
    )
    if query_log:
        logging.getLogger("pierhead.dns.query").setLevel(logging.INFO)
    served = [] if authority is None else list(authority.zones)
    for zone in served:
        _announce(zone)
    origin = served[0].origin if served else b"\0"
    endpoint = _over_http(dns.serve(layered), specs)
    serve_endpoint(endpoint, specs, lambda address: _dig_line(address, origin))


def _over_http(endpoint: Endpoint, specs: Sequence[ListenSpec]) -> Endpoint:
    """Return an endpoint that speaks HTTP too, if an address says so (RFC 8484).

    Raises:
        UsageError: an address wants a version that is not spoken here, or httptools is missing.
    """
    offered = {name for spec in specs for name in TlsOptions.of(spec.options).alpn or ()}
    if "h2" in offered:
        raise UsageError(
            "alpn=h2: DNS over HTTP/2 is not served; leave it out: alpn=http/1.1,dot, or put a "
            "proxy in front"
        )
    if "http/1.1" not in offered:
        return endpoint
    from pierhead.protocols import dns, http

    return http.beside(endpoint, "application/dns-message", max_age=dns.max_age)


def _routed(authority: ZoneService | None, forwards: Sequence[str], allow: Sequence[str]) -> Any:
    """Return the service of the zones, with forwarders beside it if there are any."""
    from pierhead.protocols import dns
    from pierhead.protocols.dns.wire.name import to_text

    if not forwards:
        if allow:
            raise UsageError("--allow is for --forward; zones are served to everybody")
        return authority
    site = dns.Router()
    if authority is not None:
        for zone in authority.zones:
            site.mount(to_text(zone.origin), authority)
    by_suffix: dict[str, list[str]] = {}
    for forward in forwards:
        suffix, equals, address = forward.partition("=")
        # An option of an address has an equals sign too: a suffix has neither colon nor slash.
        is_suffix = bool(equals) and not set(":/?@") & set(suffix)
        by_suffix.setdefault(suffix if is_suffix else ".", []).append(
            address if is_suffix else forward
        )
    for suffix, addresses in by_suffix.items():
        site.mount(suffix, dns.forward(*addresses, allow=allow))
    return site


def _transfers(authority: ZoneService | None, secondaries: Sequence[str]) -> Transfers | None:
    from pierhead.protocols import dns

    if not secondaries:
        return None
    if authority is None:
        raise UsageError("--allow-transfer is for zones; give at least one --zone")
    keys = [each.removeprefix(_KEY) for each in secondaries if each.startswith(_KEY)]
    networks = [each for each in secondaries if not each.startswith(_KEY)]
    return dns.transfers(authority, allow=networks, keys=keys)


def _rate_limit(rate: str) -> RateLimit | bool:
    from pierhead.protocols import dns

    if rate == "off":
        return False
    try:
        return dns.rate_limit(float(rate))
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"--rate-limit is {rate!r}, expected a number or 'off'") from None


def _keys(files: Sequence[str]) -> list[Key]:
    from pierhead.protocols.dns.key_file import load_keys

    found: list[Key] = []
    for file in files:
        keys, exposure = load_keys(file)
        note_exposure(file, exposure)
        found += keys
    return found


def _secret(path: Path) -> bytes:
    try:
        octets, exposure = read_secret(path, _SECRET_OCTETS)
        secret = bytes.fromhex(octets.decode("ascii"))
    except OSError as error:
        raise UsageError(f"--cookie-secret {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(
            f"--cookie-secret {path}: no hexadecimal digits; expected {_SECRET_DIGITS} of them"
        ) from None
    if (digits := 2 * len(secret)) != _SECRET_DIGITS:
        raise UsageError(
            f"--cookie-secret {path}: {digits} hexadecimal digits; expected {_SECRET_DIGITS}"
        )
    note_exposure(path, exposure)
    return secret


def _announce(zone: Zone) -> None:
    from pierhead.protocols.dns.wire.name import to_text

    records = sum(len(rrset.rdatas) for rrset in zone.rrsets())
    tell(f"zone {to_text(zone.origin)} {records} records, serial {zone.serial}")
    for warning in zone.warnings:
        tell(f"warning: {warning}")


def _dig_line(address: str, origin: bytes) -> str | None:
    from pierhead.protocols.dns.wire.name import to_text

    scheme, _, target = address.partition(":")
    host, _, port = target.rpartition(":")
    if scheme not in ("udp", "tcp"):
        return None
    reach = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    transport = "+tcp " if scheme == "tcp" else ""
    return f"dig @{reach} -p {port} {transport}{to_text(origin)} SOA"
