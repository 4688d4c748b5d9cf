"""Every zone of the repository is valid in the judgement of three other programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.processes import PATIENCE_S, ROOT

#: A zone file is named after its origin.
ZONES = sorted([*(ROOT / "examples").rglob("*.zone"), *Path(__file__).parent.rglob("*.zone")])

CHECKERS = {
    "nsd-checkzone": ("{origin}", "{file}"),
    "kzonecheck": ("-o", "{origin}", "{file}"),
    # Without "local" it would ask the network about names in other zones.
    "named-checkzone": ("-i", "local", "-k", "fail", "{origin}", "{file}"),
}


def test_there_are_zones_to_check() -> None:
    assert {zone.stem for zone in ZONES} >= {"example", "corners.test"}


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.stem)
def test_a_zone_file_is_valid(zone: Path, checker: str, program) -> None:
    path = program(checker)
    arguments = [part.format(origin=zone.stem, file=zone) for part in CHECKERS[checker]]

    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.returncode == 0, done.stdout + done.stderr
