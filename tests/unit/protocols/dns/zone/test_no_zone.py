"""A file that is not a master file gets one fault that says what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.errors import ConfigError
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.no_zone import foreign_kind

ZONE = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("example.zone", ZONE)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("example.zone")
        entry.size = len(ZONE)
        archive.addfile(entry, io.BytesIO(ZONE.encode()))
    return file.getvalue()


FOREIGN = {
    "UTF-16 text": ZONE.encode("utf-16"),
    "UTF-16LE text": ZONE.encode("utf-16-le"),
    "UTF-16BE text": ZONE.encode("utf-16-be"),
    "UTF-32 text": ZONE.encode("utf-32"),
    "gzip data": gzip.compress(ZONE.encode()),
    "bzip2 data": bz2.compress(ZONE.encode()),
    "xz data": lzma.compress(ZONE.encode()),
    "zstd data": b"\x28\xb5\x2f\xfd\x24\x00",
    "a zip archive": zipped(),
    "a tar archive": tarred(),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "a program (ELF)": b"\x7fELF\x02\x01\x01\0\0\0",
    "a picture (PNG)": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "an SQLite database": b"SQLite format 3\0\x10\0",
    "a zone in BIND's raw format": b"\0\0\0\2\0\0\0\1",
    "a key or certificate in PEM form": b"-----BEGIN CERTIFICATE-----\nMII\n",
    "a web page (HTML)": b"\n<!DOCTYPE html>\n<html><head>",
    "JSON": json.dumps({"name": "example.", "rrsets": []}, indent=2).encode(),
    "XML": b'<?xml version="1.0"?>\n<zone/>',
    "a BIND configuration": b'zone "example" IN {\n  type primary;\n};\n',
    "binary data": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_one_fault_that_names_its_format(kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_zone(FOREIGN[kind], origin="example.")
    (fault,) = caught.value.faults
    assert fault.message == f"this is {kind}, expected a master file"
    assert fault.remedy
    assert (fault.line, fault.column) == (0, 0)


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_included_is_one_fault_as_well(kind: str) -> None:
    text = f"{ZONE}$INCLUDE other\n".encode()
    with pytest.raises(ConfigError) as caught:
        parse_zone(text, origin="example.", include=lambda path: FOREIGN[kind])
    (fault,) = caught.value.faults
    assert fault.message == f"cannot include other: it is {kind}"
    assert fault.line == 4


def test_unpacking_as_the_remedy_says_mends_it() -> None:
    with zipfile.ZipFile(io.BytesIO(FOREIGN["a zip archive"])) as archive:
        parse_zone(archive.read("example.zone"), origin="example.")
    with tarfile.open(fileobj=io.BytesIO(FOREIGN["a tar archive"])) as archive:
        entry = archive.extractfile("example.zone")
        assert entry is not None
        parse_zone(entry.read(), origin="example.")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300))
def test_no_text_behind_a_usual_beginning_is_taken_for_something_else(text: str) -> None:
    for beginning in ("$ORIGIN example.\n", "; a comment\n", "@ 300 SOA ", "\n\nns A 192.0.2.1 "):
        assert foreign_kind((beginning + text).encode()) is None


def test_zones_of_the_tests_are_not_taken_for_something_else() -> None:
    found = [path for folder in ("tests", "examples") for path in Path(folder).rglob("*.zone")]
    assert found
    assert [path for path in found if foreign_kind(path.read_bytes())] == []
