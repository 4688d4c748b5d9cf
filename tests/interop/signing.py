"""Signs zones with the tools of BIND and ldns while the tests run.

One zone, signed in each of the ways that a server must serve; every way has an origin of its own,
so that one server can serve them all. And any number of zones, all with one key, which costs a
process for each and no new key.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.processes import PATIENCE_S, find_program

__all__ = ["SIGNINGS", "SOURCE", "Denial", "Key", "Signed", "Signing", "new_key", "sign"]

SOURCE = Path(__file__).parent / "zones" / "signed.test.zone"


@dataclass(frozen=True)
class Signing:
    """A way to sign the zone.

    Attributes:
        origin: what the zone is called when it is signed so.
        algorithm: of the keys (RFC 8624 §3.1).
        tool: ``dnssec-signzone`` or ``ldns-signzone``.
        options: for the tool: the kind of denial.
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
        """The key in the form that BIND's tools expect."""
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


@dataclass(frozen=True)
class Denial:
    """How a zone denies: by NSEC, or by NSEC3 with this salt.

    Attributes:
        salt: in hexadecimal digits, perhaps none; None for NSEC.
    """

    salt: str | None = None
    iterations: int = 0
    opt_out: bool = False

    @property
    def options(self) -> list[str]:
        """The arguments of ``dnssec-signzone``."""
        if self.salt is None:
            return []
        options = ["-3", self.salt or "-", "-H", str(self.iterations)]
        return [*options, "-A"] if self.opt_out else options


@dataclass(frozen=True)
class Key:
    """A key that signs zones of any name.

    Attributes:
        tag: its key tag (RFC 4034 §5.1.1), which the owner has no part in.
        rdata: of its DNSKEY record.
        private: its private half, as BIND writes it.
    """

    tag: str
    rdata: str
    private: str

    def sign(self, origin: str, file: Path, denial: Denial) -> Path:
        """Sign one zone; return the file with the signed one, beside the other."""
        # BIND looks for files without an asterisk in their names.
        stem = f"K{quote(origin)}+{_ECDSA:03}+{self.tag}"
        (file.parent / f"{stem}.key").write_text(f"{origin} IN DNSKEY {self.rdata}\n")
        (file.parent / f"{stem}.private").write_text(self.private)
        signed = file.with_name(f"{file.name}.signed")
        # -z: one key signs everything. -P: what it wrote is not verified, as that takes longer.
        options = ["-S", "-z", "-P", *denial.options, "-o", origin, "-f", str(signed)]
        _run([_signer(), *options, str(file)], file.parent)
        return signed


_ECDSA = 13


def _signer() -> str:
    program = find_program("dnssec-signzone")
    assert program, "dnssec-signzone is not installed"
    return program


def new_key(directory: Path) -> Key:
    """Make a key with BIND's tool, which leaves its files in this directory."""
    program = find_program("dnssec-keygen")
    assert program, "dnssec-keygen is not installed"
    stem = _run([program, "-q", "-a", str(_ECDSA), "-f", "KSK", "key."], directory).strip()
    public, private = ((directory / f"{stem}.{end}").read_text() for end in ("key", "private"))
    rdata = public.partition(" DNSKEY ")[2].strip()
    return Key(stem.rpartition("+")[2], rdata, private)


def _run(command: list[str], directory: Path) -> str:
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
