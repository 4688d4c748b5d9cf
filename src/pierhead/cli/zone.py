"""``pierhead zone``: check zone files, compare them, and write them in canonical form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import click

from pierhead.errors import ConfigError, Fault, UsageError
from pierhead.extra import missing_extra
from pierhead.protocols.dns.services.zones import ZoneFile, find_zone_files
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.format import format_zone
from pierhead.protocols.dns.zone.signatures import Verify
from pierhead.protocols.dns.zone.targets import Reference, inspect_references
from pierhead.protocols.dns.zone.zone import Zone, Zones

__all__ = ["zone"]

_INVALID = 4
_UNFORMATTED = 1
_DIFFERENT = 1

_CHECK_EPILOG = """\b
Examples:
  pierhead zone check examples/zones
  pierhead zone check --json example.org=zones/main.txt
  gunzip -c example.org.gz | pierhead zone check example.org=-

Exit codes: 0 valid, 2 usage, 4 a zone is invalid.
"""
_DIFF_EPILOG = """\b
Examples:
  pierhead zone diff old/example.zone new/example.zone
  pierhead zone diff example.=before.txt example.=after.txt

Exit codes: 0 the same, 1 different, 2 usage, 4 a zone is invalid.
"""

_FORMAT_EPILOG = """\b
Examples:
  pierhead zone format examples/zones/example.zone
  diff <(pierhead zone format old.zone) <(pierhead zone format new.zone)

Exit codes: 0 ok, 1 --check found one that is not canonical, 2 usage, 4 a zone is invalid.
"""


@click.group()
def zone() -> None:
    """Check, compare and format zone files."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The result of reading one file: a zone or its errors.

    ``is_unverified`` tells that there are signatures which were not verified.
    """

    file: str
    zone: Zone | None
    faults: tuple[Fault, ...]
    references: tuple[Reference, ...] = ()
    is_unverified: bool = False


@zone.command("check", epilog=_CHECK_EPILOG)
@click.argument("paths", metavar="[NAME=]FILE...", nargs=-1, required=True)
@click.option(
    "--include-dir",
    "include_dirs",
    metavar="DIR",
    multiple=True,
    help="Directory that $INCLUDE may read from, besides the zone's own; may be repeated. "
    "[default: none; example: /etc/zones/common]",
)
@click.option(
    "--verify/--no-verify",
    "verify",
    default=None,
    help="Verify signatures against the records; needs the extra 'dnssec'. "
    "[default: if it is installed]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON. [default: text]")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors. [default: off]")
@click.pass_context
def check_zones(
    ctx: click.Context,
    paths: Sequence[str],
    *,
    include_dirs: Sequence[str],
    verify: bool | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Report everything wrong with each zone at once: where, why, and how to fix it.

    [NAME=]FILE is a master file. The zone is named after the file without '.zone', unless NAME=
    names it. A directory stands for its *.zone files, - for standard input.
    """
    verdicts = _judge(paths, include_dirs, _verify(verify))
    if as_json:
        click.echo(json.dumps([_as_json(verdict) for verdict in verdicts], indent=2))
    else:
        for verdict in verdicts:
            _report(verdict, quiet)
    if any(verdict.zone is None for verdict in verdicts):
        ctx.exit(_INVALID)


@zone.command("format", epilog=_FORMAT_EPILOG)
@click.argument("paths", metavar="[NAME=]FILE...", nargs=-1, required=True)
@click.option(
    "--include-dir",
    "include_dirs",
    metavar="DIR",
    multiple=True,
    help="Directory that $INCLUDE may read from, besides the zone's own; may be repeated. "
    "[default: none; example: /etc/zones/common]",
)
@click.option("--check", is_flag=True, help="Print only the names of files that are not canonical.")
@click.pass_context
def format_zones(
    ctx: click.Context, paths: Sequence[str], include_dirs: Sequence[str], check: bool
) -> None:
    """Print a zone as canonical text: one record per line, SOA first, names in order.

    Comments and directives are dropped; the contents stay the same. Two zones with the same
    contents are printed the same.
    """
    files = [file for path in paths for file in find_zone_files(path, include_dirs=include_dirs)]
    if check:
        changed = [file for file in files if _canonical(file) != file.read()]
        for file in changed:
            click.echo(f"not canonical: {file.name}")
        ctx.exit(_UNFORMATTED if changed else 0)
    if len(files) > 1:
        raise UsageError(f"{len(files)} zones; print one at a time, or examine all with --check")
    click.echo(_canonical(files[0]), nl=False)


@zone.command("diff", epilog=_DIFF_EPILOG)
@click.argument("old", metavar="[NAME=]OLD")
@click.argument("new", metavar="[NAME=]NEW")
@click.pass_context
def diff_zones(ctx: click.Context, old: str, new: str) -> None:
    """Print what makes one version of a zone the other: records deleted (-) and added (+).

    Records are compared in canonical form: their order, the letter case of names and comments make
    no difference.
    """
    difference = Difference.between(_one(old), _one(new))
    if difference:
        click.echo(str(difference))
    ctx.exit(_DIFFERENT if difference else 0)


def _one(path: str) -> Zone:
    files = list(find_zone_files(path))
    if len(files) > 1:
        raise UsageError(f"{path} has {len(files)} zones; compare one at a time")
    return files[0].load()


def _canonical(file: ZoneFile) -> bytes:
    return "".join(f"{line}\n" for line in format_zone(file.load())).encode("ascii")


def _verify(wanted: bool | None) -> Verify | None:
    """Return the function that verifies signatures; None to skip verification."""
    if wanted is False:
        return None
    try:
        from pierhead.protocols.dns.zone.verify import verify
    except ModuleNotFoundError as error:
        missing = missing_extra("dnssec", error)
        if wanted:
            raise missing from None
        return None
    return verify


def _judge(
    paths: Sequence[str], include_dirs: Sequence[str], verify: Verify | None
) -> list[_Verdict]:
    """Read every file; then check the zones' references to each other."""
    verdicts = list(_read(paths, include_dirs, verify))
    # If two files define one zone, the first one answers.
    zones = {each.zone.key: each.zone for each in reversed(verdicts) if each.zone is not None}
    together = Zones(zones.values())
    return [
        replace(each, faults=(*each.faults, *inspect_references(together, each.references)))
        for each in verdicts
    ]


def _read(
    paths: Sequence[str], include_dirs: Sequence[str], verify: Verify | None
) -> Iterator[_Verdict]:
    for path in paths:
        try:
            files = list(find_zone_files(path, include_dirs=include_dirs))
        except ConfigError as error:
            yield _Verdict(path, None, error.faults)
            continue
        for file in files:
            references: list[Reference] = []
            try:
                found = file.load(references, verify)
            except ConfigError as error:
                yield _Verdict(file.name, None, error.faults)
            else:
                is_open = found.is_signed and verify is None
                yield _Verdict(file.name, found, found.warnings, tuple(references), is_open)


def _report(verdict: _Verdict, quiet: bool) -> None:
    if verdict.zone is None:
        for fault in verdict.faults:
            click.echo(f"error: {fault}", err=True)
        count = len(verdict.faults)
        click.echo(f"{verdict.file}: {count} {'error' if count == 1 else 'errors'}", err=True)
        return
    if quiet:
        return
    for fault in verdict.faults:
        click.echo(f"warning: {fault}", err=True)
    click.echo(_summary(verdict.zone, len(verdict.faults), verdict.is_unverified))


def _summary(found: Zone, warnings: int, is_unverified: bool) -> str:
    records = _count(found)
    parts = [f"{records} records", f"serial {found.serial}"]
    if found.is_signed:
        parts.append("signed (not verified)" if is_unverified else "signed")
    if warnings:
        parts.append(f"{warnings} {'warning' if warnings == 1 else 'warnings'}")
    return f"zone {name.to_text(found.origin)}: {', '.join(parts)}"


def _count(found: Zone) -> int:
    return sum(len(rrset.rdatas) for rrset in found.rrsets())


def _as_json(verdict: _Verdict) -> dict[str, object]:
    found = verdict.zone
    faults = [asdict(fault) for fault in verdict.faults]
    return {
        "file": verdict.file,
        "valid": found is not None,
        "zone": found and name.to_text(found.origin),
        "class": found and iana.class_text(found.rclass),
        "serial": found and found.serial,
        "records": found and _count(found),
        "signed": found and found.is_signed,
        "verified": found and found.is_signed and not verdict.is_unverified,
        "errors": [] if found else faults,
        "warnings": faults if found else [],
    }
