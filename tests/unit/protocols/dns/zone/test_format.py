"""Zones as canonical text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.processes import ROOT

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.protocols.dns.zone.format import format_record, format_zone
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zone

ZONES = sorted([*ROOT.glob("examples/zones/*.zone"), *ROOT.glob("tests/interop/zones/*.zone")])


def content(zone: Zone) -> set[tuple[object, ...]]:
    return {
        (rrset.owner, rrset.rtype, rrset.rclass, rrset.ttl, frozenset(rrset.rdatas))
        for rrset in zone.rrsets()
    }


def show(text: bytes, **options: object) -> list[str]:
    return list(format_zone(parse_zone(text, **{"origin": "example.", **options})))


@pytest.mark.parametrize("path", ZONES, ids=lambda path: path.stem)
def test_the_text_of_a_zone_reads_back_as_the_zone(path: Path):
    zone = parse_zone(path.read_bytes(), origin=path.stem)
    lines = list(format_zone(zone))
    # Without being told its name: the SOA record comes first and says it.
    again = parse_zone("\n".join(lines).encode())
    assert content(again) == content(zone)
    assert list(format_zone(again)) == lines


@pytest.mark.rfc("4034", "6.1")
def test_names_are_in_canonical_order_behind_the_soa_record():
    order = ["example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE."]
    order += ["z.example.", r"\001.z.example.", "*.z.example.", r"\200.z.example."]
    written = "\n".join(f"{owner} 60 TXT x" for owner in reversed(order[1:]))
    head = "@ 60 TXT first\n@ 60 NS a\n@ 60 SOA a b 1 2 3 4 5\n"
    lines = show(f"{head}{written}\na 60 A 192.0.2.1".encode())
    assert lines[0].startswith("example.\t60\tIN\tSOA\t")
    owners = list(dict.fromkeys(line.partition("\t")[0] for line in lines))
    assert owners == order


def test_types_come_by_number_and_signatures_behind_what_they_cover():
    signature = "RRSIG {} 13 1 60 20300101000000 20200101000000 1 example. AQID"
    lines = show(
        f"@ 60 SOA a b 1 2 3 4 5\n@ 60 NS c.test.\n@ 60 NS b.test.\n@ 60 {signature.format('NS')}\n"
        f"@ 60 {signature.format('SOA')}\n@ 60 A 192.0.2.9\n".encode()
    )
    types = [line.split("\t")[3:] for line in lines]
    assert [rtype for rtype, _ in types] == ["SOA", "A", "NS", "NS", "RRSIG", "RRSIG"]
    assert [rdata.split()[0] for _, rdata in types[2:]] == ["b.test.", "c.test.", "NS", "SOA"]


@pytest.mark.rfc("3597", "5")
@pytest.mark.parametrize(
    ("rtype", "rdata"),
    [
        ("SSHFP", b"\1\1"),  # no fingerprint: a field cannot be empty
        ("NSEC", b"\0\0\1\x40\0"),  # a bitmap with a zero octet behind it reads back without
        ("A", b"\1\2"),
    ],
)
def test_what_its_own_text_cannot_express_is_written_in_hexadecimal(rtype: str, rdata: bytes):
    line = format_record(RRset(b"\1a\0", iana.type_number(rtype), 60, (rdata,)), rdata)
    assert line.split("\t")[4] == f"\\# {len(rdata)} {rdata.hex()}"


def test_other_classes_keep_theirs():
    lines = show(b"@ 60 CH SOA a b 1 2 3 4 5\n@ 60 CH NS a\na 60 CH TXT x", rclass=iana.CLASS_CH)
    assert all("\tCH\t" in line for line in lines)
