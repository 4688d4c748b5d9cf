"""Zones are transferred to the clients and the secondaries that others have written."""

from __future__ import annotations

import functools
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import dns.zone
import pytest
from tests.interop.peers import (
    Peer,
    bind_secondary,
    knot_secondary,
    nsd_secondary,
    pierhead_server,
)
from tests.processes import PATIENCE_S, pierhead_command, wait_until

HERE = Path(__file__).parent
ALLOWED = ("--allow-transfer", "127.0.0.0/8")
SECONDARIES = {
    "named": bind_secondary,
    "nsd": nsd_secondary,
    "knotd": knot_secondary,
}
ORIGIN = "example."


@pytest.fixture
def zone_file(tmp_path) -> Path:
    from tests.interop.conftest import ZONES

    path = tmp_path / "example.zone"
    shutil.copy(ZONES[ORIGIN], path)
    return path


@pytest.fixture
def primary(zone_file) -> Iterator[Peer]:
    with pierhead_server(*ALLOWED, zones=[zone_file]) as peer:
        yield peer


def change(path: Path, primary: Peer, serial: int, line: str) -> None:
    """Give the zone another serial number and one more line, and have it read again."""
    text = path.read_text()
    path.write_text(re.sub(r"\b2026\d{6}\b", str(serial), text) + line + "\n")
    primary.running.process.send_signal(signal.SIGHUP)
    wait_until(functools.partial(has_serial, primary, serial), primary.running)


def has_serial(peer: Peer, serial: int) -> bool:
    query = dns.message.make_query(ORIGIN, "SOA")
    try:
        reply = dns.query.udp(query, peer.host, timeout=0.5, port=peer.port)
    except (dns.exception.Timeout, OSError):
        return False
    return any(r.serial == serial for s in reply.answer for r in s if r.rdtype == 6)


def contents(peer: Peer) -> set[str]:
    """Return the records of the zone as dnspython transfers it."""
    zone = dns.zone.from_xfr(
        dns.query.xfr(peer.host, ORIGIN, port=peer.port, relativize=False), relativize=False
    )
    return {f"{name} {ttl} {rdata}".lower() for name, ttl, rdata in zone.iterate_rdatas()}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return done.stdout


@pytest.mark.rfc("5936", "2.2")
@pytest.mark.rfc("1995", "4")
@pytest.mark.parametrize("name", list(SECONDARIES))
def test_a_secondary_of_another_make_follows(name, program, primary, zone_file, tmp_path):
    program(name)
    directory = tmp_path / name
    directory.mkdir()
    with SECONDARIES[name](ORIGIN, primary, directory) as secondary:
        assert contents(secondary) == contents(primary)
        for serial in (2026112205, 2026112206):
            change(zone_file, primary, serial, f"added{serial} 60 IN A 192.0.2.1")
            wait_until(functools.partial(has_serial, secondary, serial), secondary.running)
            copy = contents(secondary)
            assert copy == contents(primary)
            assert any(line.startswith(f"added{serial}.") for line in copy)
        # The other way round: what it transfers to us.
        at = (*pierhead_command(), "query", f"@{secondary.host}:{secondary.port}", ORIGIN)
        assert len(run(*at, "AXFR").splitlines()) == len(copy) + 1
        changes = run(*at, "IXFR=2026112205").splitlines()
        assert [line.split()[3] for line in changes].count("SOA") in (2, 4)
        assert len(run(*at, "IXFR=2026112206").splitlines()) == 1


@pytest.mark.parametrize("client", ["dig", "kdig"])
def test_clients_of_others_read_a_transfer(client, program, primary, zone_file):
    path = program(client)
    at = (path, f"@{primary.host}", "-p", str(primary.port), ORIGIN)
    whole = run(*at, "AXFR")
    assert len(re.findall(r"\sSOA\s", whole)) == 2
    change(zone_file, primary, 2026112207, "added 60 IN A 192.0.2.1")
    changes = run(*at, "IXFR=2026112101")
    assert len(re.findall(r"\sSOA\s", changes)) == 4
    assert len(re.findall(r"^added\.example\.\s", changes, re.MULTILINE)) == 1
    latest = run(*at, "IXFR=2026112207")
    assert len(re.findall(r"\sSOA\s", latest)) == 1
