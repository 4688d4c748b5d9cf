"""Names that lead nowhere are the same to named-checkzone and to us, whatever the zone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from random import Random

import pytest
from tests.interop.random_zones import random_world, write
from tests.interop.test_zones_are_valid import ZONES
from tests.processes import PATIENCE_S

from pierhead.protocols.dns.services.zones import ZoneFile

WORLDS = 60
#: (owner, type, target, whether it lacks an address rather than being an alias)
Lead = tuple[str, str, str, bool]

_TYPES = {"name server": "NS", "mail exchange": "MX", "SRV target": "SRV"}
_OURS = re.compile(rf"the ({'|'.join(_TYPES)}) (\S+)\. of (\S+)\. (has no address|is an alias)")
_THEIRS = re.compile(
    r"zone (\S+)/IN: (?:(\S+)/)?(NS|MX|SRV) '(\S+)' "
    r"(has no (?:REQUIRED GLUE )?address|is a CNAME|is below a DNAME)"
)


def our_leads(zone: Path, origin: str) -> set[Lead]:
    """Return what we warn of; any other warning but that of a TTL would be a false one."""
    found = set()
    for warning in ZoneFile(zone, origin).load().warnings:
        match = _OURS.match(warning.message)
        assert match or warning.code == "ttl", str(warning)
        if match:
            what, target, owner, wrong = match.groups()
            leads = (owner.lower(), _TYPES[what], target.lower(), "no address" in wrong)
            found.add(leads)
    return found


def their_leads(program: str, zone: Path, origin: str) -> set[Lead] | None:
    """Return what named-checkzone warns of; None where it stops before it has seen all."""
    command = [program, "-i", "local", "-k", "ignore", "-r", "ignore", "-W", "ignore"]
    done = subprocess.run(
        [*command, origin, str(zone)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    if done.returncode:
        return None
    found = set()
    for match in _THEIRS.finditer(done.stdout + done.stderr):
        apex, owner, rtype, target, wrong = match.groups()
        found.add(((owner or apex).lower(), rtype, target.lower(), "address" in wrong))
    return found


@pytest.mark.slow
def test_targets_are_warned_of_where_named_warns_and_nowhere_else(program, tmp_path: Path) -> None:
    checker = program("named-checkzone")
    zones = [(path, f"{path.stem}.") for path in ZONES]
    for number in range(WORLDS):
        world = random_world(Random(f"targets/{number}"))
        files = write(world, f"w{number}.test.", tmp_path)
        zones += [(path, origin) for origin, path in files.items()]
    differ, compared, warned = [], 0, 0
    for path, origin in zones:
        theirs = their_leads(checker, path, origin)
        if theirs is None:
            continue
        ours = our_leads(path, origin)
        compared += 1
        warned += len(ours)
        differ += [f"{origin}: {'we' if lead in ours else 'it'}: {lead}" for lead in ours ^ theirs]
    assert differ == []
    assert compared > WORLDS // 2
    assert warned > WORLDS // 2
