"""A file that is not a master file gets a command that converts it: the command is run."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.processes import PATIENCE_S

from pierhead.errors import ConfigError
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.no_zone import foreign_kind

ZONE = b"@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


def squeezed(text: bytes) -> bytes:
    """Return a text as compress(1) writes it, each octet a code of nine bits."""
    bits = sum(octet << 9 * place for place, octet in enumerate(text))
    return b"\x1f\x9d\x90" + bits.to_bytes((9 * len(text) + 7) // 8, "little")


def from_program(*command: str) -> bytes:
    done = subprocess.run(command, input=ZONE, capture_output=True, check=True, timeout=PATIENCE_S)
    return done.stdout


#: What a file is, the program that the remedy needs, and the file.
FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip data": ("gunzip", lambda: gzip.compress(ZONE)),
    "bzip2 data": ("bunzip2", lambda: bz2.compress(ZONE)),
    "xz data": ("xz", lambda: lzma.compress(ZONE)),
    "zstd data": ("zstd", lambda: from_program("zstd", "-c")),
    "compress data": ("uncompress", lambda: squeezed(ZONE)),
    "a zone in BIND's raw format": (
        "named-compilezone",
        lambda: from_program(
            *("named-compilezone", "-q", "-i", "none", "-F", "raw", "-o", "-"),
            *("example.", "/dev/stdin"),
        ),
    ),
    "UTF-16 text": ("iconv", lambda: ZONE.decode().encode("utf-16")),
    "UTF-16LE text": ("iconv", lambda: ZONE.decode().encode("utf-16-le")),
    "UTF-16BE text": ("iconv", lambda: ZONE.decode().encode("utf-16-be")),
    "UTF-32 text": ("iconv", lambda: ZONE.decode().encode("utf-32")),
}


def run(remedy: str, file: Path, text: Path) -> None:
    """Run the command after the colon of a remedy."""
    words = {"FILE": str(file), "TEXT": str(text), "NAME": "example."}
    command = remedy.partition(": ")[2].split()
    line = " ".join(
        word if word in "<>" else shlex.quote(words.get(word, word)) for word in command
    )
    subprocess.run(line, shell=True, check=True, capture_output=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("kind", FILES)
def test_the_command_of_a_remedy_makes_a_zone(kind: str, program, tmp_path: Path) -> None:
    needed, make = FILES[kind]
    program(needed)
    file, text = tmp_path / "a file", tmp_path / "text"
    file.write_bytes(make())
    with pytest.raises(ConfigError) as caught:
        parse_zone(file.read_bytes(), origin="example.")
    (found,) = caught.value.faults
    assert kind in found.message

    run(found.remedy, file, text)

    assert parse_zone(text.read_bytes(), origin="example.").warnings == ()


@pytest.mark.parametrize("kind", FILES)
def test_the_same_helps_where_a_zone_includes_the_file(kind: str, program, tmp_path: Path) -> None:
    needed, make = FILES[kind]
    program(needed)
    foreign = foreign_kind(make())
    assert foreign is not None
    file, text = tmp_path / "a file", tmp_path / "text"
    file.write_bytes(make())

    run(foreign[1], file, text)

    records = text.read_bytes()
    zone = parse_zone(b"$INCLUDE text\n", origin="example.", include=lambda path: records)
    assert zone.warnings == ()
