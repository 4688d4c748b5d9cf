"""Signs zones with the tools of BIND and ldns while the tests run.

One zone, signed in each of the ways that a server must serve; every way has an origin of its own,
so that one server can serve them all.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.processes import PATIENCE_S

__all__ = ["SIGNINGS", "SOURCE", "Signed", "Signing", "sign"]

SOURCE = Path(__file__).parent / "zones" / "signed.test.zone"


@dataclass(frozen=True)
class Signing:
    """A way to sign the zone.

    Attributes:
        origin: what the zone is called when it is signed so.
        algorithm: of the keys (RFC 8624 §3.1).
        tool: ``dnssec-signzone`` or ``ldns-signzone``.
        options: what the tool is told: the kind of denial.
    """

    origin: str
    algorithm: int
    tool: str
    options: tuple[str, ...] = ()


SIGNINGS = (
    Signing("nsec.bind.", 13, "dnssec-signzone"),
    Signing("nsec3.bind.", 8, "dnssec-signzone", ("-3", "-")),
    Signing("optout.bind.", 15, "dnssec-signzone", ("-3", "abcd", "-H", "5", "-A")),
    Signing("nsec.ldns.", 15, "ldns-signzone"),
    Signing("nsec3.ldns.", 13, "ldns-signzone", ("-n", "-t", "0")),
    Signing("optout.ldns.", 8, "ldns-signzone", ("-n", "-p", "-s", "0123", "-t", "1")),
)


@dataclass(frozen=True)
class Signed:
    """A signed zone.

    Attributes:
        file: the zone, signed.
        key: its DNSKEY record as one line, what trust starts from.
    """

    signing: Signing
    file: Path
    key: str

    @property
    def anchor(self) -> str:
        """The key as BIND's tools want to be told of it."""
        flags, protocol, algorithm, *key = self.key.partition(" DNSKEY ")[2].split()
        origin = self.signing.origin
        return (
            f'trust-anchors {{ "{origin}" static-key {flags} {protocol} {algorithm} '
            f'"{"".join(key)}"; }};\n'
        )


def sign(signing: Signing, directory: Path, program: Callable[[str], str]) -> Signed:
    """Sign the zone in this directory; ``program`` finds the tools."""
    directory.mkdir()
    origin = signing.origin
    # RFC 8624 §3.1 wants 2,048 bits of RSA; only 8 takes a size.
    size = ["-b", "2048"] if signing.algorithm == 8 else []
    keygen = [program("dnssec-keygen"), "-q", "-a", str(signing.algorithm), *size, "-f", "KSK"]
    key = _run([*keygen, origin], directory).strip()
    file = directory / "zone"
    tool = [program(signing.tool), *signing.options, "-o", origin, "-f", str(file)]
    if signing.tool == "dnssec-signzone":
        # -z: one key signs everything.
        tool += ["-z", "-S"]
        keys: list[str] = []
    else:
        keys = [key]
    _run([*tool, str(SOURCE), *keys], directory)
    lines = (directory / f"{key}.key").read_text().splitlines()
    return Signed(signing, file, next(line for line in lines if not line.startswith(";")))


def _run(command: list[str], directory: Path) -> str:
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
