"""Files that the user names: what is read, and who else can read them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from pierhead.files import RefusedFile, read_file, read_secret

#: Mode and owner of a secret, and who can read or change it but should not.
MODES = [
    (0o600, "somebody", None),
    (0o400, "somebody", None),
    (0o700, "root", None),
    (0o640, "root", None),  # Debian's group ssl-cert
    (0o440, "root", None),
    (0o640, "somebody", "group"),
    (0o660, "root", "group"),  # a user who can write a key can replace it
    (0o620, "somebody", "group"),
    (0o604, "root", "everybody"),
    (0o644, "root", "everybody"),
    (0o602, "somebody", "everybody"),
    (0o777, "somebody", "everybody"),
]


@pytest.mark.parametrize(("mode", "owner", "expected"), MODES, ids=str)
def test_others_who_can_read_a_secret_are_named(
    mode: int, owner: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"shh")
    file.chmod(mode)
    real = os.fstat

    def owned(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[stat.ST_UID], found[stat.ST_GID] = (0 if owner == "root" else 1000), 117
        found[stat.ST_MODE] = stat.S_IFREG | mode
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", owned)
    file.chmod(0o600)  # so that the user running this can read it
    octets, exposure = read_secret(file, 100)
    assert octets == b"shh"
    who = None if exposure is None else exposure.text
    whom = "the group with number 117" if expected == "group" else expected
    assert who == (None if whom is None else f"{whom} (mode {mode:04o})")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o622, 0o777])
def test_the_remedy_works_and_the_secret_can_still_be_read(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "my secret's file"
    file.write_bytes(b"shh")
    file.chmod(mode)
    _, exposure = read_secret(file, 100)
    if exposure is not None:  # root's 0640 is fine
        subprocess.run(exposure.remedy, shell=True, check=True, timeout=20)
    assert read_secret(file, 100) == (b"shh", None)


def test_the_remedy_makes_the_reader_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"shh")
    file.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    _, exposure = read_secret(file, 100)
    assert exposure is not None
    assert exposure.remedy == f"chown 4711 {file} && chmod 600 {file}"


@pytest.mark.parametrize("read", [read_file, read_secret], ids=["file", "secret"])
def test_a_file_has_a_bound(read, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    file.chmod(0o600)
    assert read(file, 100) in (b"x" * 100, (b"x" * 100, None))
    with pytest.raises(RefusedFile, match="at most 99 are read"):
        read(file, 99)
