"""A zone that we accept is accepted by other programs, and one that we refuse is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.interop.test_zones_are_valid import ZONES
from tests.interop.zone_texts import CASES, Case
from tests.processes import PATIENCE_S

from pierhead.errors import ConfigError
from pierhead.protocols.dns.services.zones import ZoneFile
from pierhead.protocols.dns.zone.format import format_zone

ORIGIN = "example."
#: By the letter that the table calls them by: how each is called, and whether it agreed.
CHECKERS = {
    # Without "local" it would ask the network about names in other zones.
    "B": ("named-checkzone", "-i", "local", ORIGIN, "{file}"),
    "N": ("nsd-checkzone", ORIGIN, "{file}"),
    "K": ("kzonecheck", "-o", ORIGIN, "{file}"),
    "L": ("ldns-read-zone", "{file}"),
}
DAEMONS = frozenset("BNK")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("zones")
    written = {case.title: folder / f"{number}.txt" for number, case in enumerate(CASES)}
    for case in CASES:
        written[case.title].write_bytes(case.text.encode())
    return written


@pytest.mark.rfc("1035", "5")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_text_is_a_zone_or_not(case: Case, files: dict[str, Path]) -> None:
    file = ZoneFile(files[case.title], ORIGIN)
    if case.accepted:
        file.load()
        return
    with pytest.raises(ConfigError) as caught:
        file.load()
    assert all(fault.message for fault in caught.value.faults)


@pytest.mark.slow
@pytest.mark.parametrize("letter", CHECKERS, ids=lambda letter: CHECKERS[letter][0])
def test_others_agree_where_the_table_does_not_say_otherwise(
    letter: str, files: dict[str, Path], program
) -> None:
    path, *arguments = CHECKERS[letter]
    path = program(path)
    unexpected = []
    for case in CASES:
        if letter in case.unlike:
            continue  # another version may have come round to our side
        command = [path, *(part.format(file=files[case.title]) for part in arguments)]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S)
        if (done.returncode == 0) is not case.accepted:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
            unexpected.append(
                f"{case.title}: we {_word(case.accepted)}, it does not: {said[-200:]}"
            )
    assert unexpected == []


def test_we_never_stand_alone_against_the_three_servers() -> None:
    assert [case.title for case in CASES if set(case.unlike) >= DAEMONS] == []


def test_every_difference_from_a_server_has_its_reason() -> None:
    assert [case.title for case in CASES if DAEMONS & set(case.unlike) and not case.why] == []
    assert len({case.title for case in CASES}) == len(CASES) >= 300


def _word(is_accepted: bool) -> str:
    return "accept" if is_accepted else "refuse"


@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.stem)
def test_canonical_text_means_the_same_to_named(zone: Path, program, tmp_path: Path) -> None:
    formatted = tmp_path / zone.name
    lines = format_zone(ZoneFile(zone, zone.stem).load())
    formatted.write_text("".join(f"{line}\n" for line in lines))

    compiled = [_compile(program("named-compilezone"), path) for path in (zone, formatted)]

    assert compiled[0] == compiled[1]


def _compile(path: str, zone: Path) -> list[str]:
    command = [path, "-i", "local", "-k", "ignore", "-s", "full", "-o", "-", zone.stem, str(zone)]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
    return done.stdout.decode().splitlines()
