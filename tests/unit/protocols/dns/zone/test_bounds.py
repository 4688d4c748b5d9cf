"""A zone has a bound in octets and in generated records, whatever it is made of."""

from __future__ import annotations

import pytest

from pierhead.errors import ConfigError, Fault, UsageError
from pierhead.protocols.dns.zone.bounds import DEFAULT_BOUNDS, LIMITS, ZoneBounds
from pierhead.protocols.dns.zone.master_file import parse_zone

HEAD = b"@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


def faults(text: bytes, bounds: ZoneBounds, files: dict[str, bytes] | None = None) -> list[Fault]:
    with pytest.raises(ConfigError) as caught:
        parse_zone(HEAD + text, origin="example.", bounds=bounds, include=(files or {}).__getitem__)
    return list(caught.value.faults)


def test_the_defaults_are_those_of_the_table() -> None:
    assert {limit.name: limit.default for limit in LIMITS} == {
        "zone_octets": DEFAULT_BOUNDS.zone_octets,
        "generated_records": DEFAULT_BOUNDS.generated_records,
    }
    with pytest.raises(UsageError, match="zone_octets is 1 octets"):
        ZoneBounds(zone_octets=1)


def test_a_directive_over_the_limit_is_refused_before_it_is_executed() -> None:
    (fault,) = faults(b"$GENERATE 0-2000000 h$ A 1.2.3.4\n", DEFAULT_BOUNDS)
    assert (fault.line, fault.column) == (4, 11)
    assert "produces 2000001 records; at most 1048576 are allowed in a zone" in fault.message
    assert "generated_records" in fault.message


def test_directives_are_counted_together() -> None:
    line = b"$GENERATE 1-6 %c$ 300 A 192.0.2.$\n"
    text = b"".join(line % letter for letter in b"abc")
    found = faults(text, ZoneBounds(generated_records=17))
    assert [(fault.line, fault.column) for fault in found] == [(6, 11)]
    assert "produces 6 records, with the 12 before it 18; at most 17" in found[0].message
    zone = parse_zone(HEAD + text, origin="example.", bounds=ZoneBounds(generated_records=18))
    assert sum(len(rrset.rdatas) for rrset in zone.rrsets()) == 3 + 18


def test_directives_of_included_files_are_counted_as_well() -> None:
    files = {"a": b"$GENERATE 1-6 a$ 300 A 192.0.2.$\n", "b": b"$GENERATE 1-6 b$ 300 A 192.0.2.$\n"}
    (fault,) = faults(b"$INCLUDE a\n$INCLUDE b\n", ZoneBounds(generated_records=11), files)
    assert (fault.file, fault.line) == ("b", 1)


def test_no_directive_is_possible_where_none_is_allowed() -> None:
    (fault,) = faults(b"$GENERATE 1-1 a$ 300 A 192.0.2.$\n", ZoneBounds(generated_records=0))
    assert "at most 0" in fault.message


def test_generated_text_counts_as_text_of_the_zone() -> None:
    (fault,) = faults(b"$GENERATE 1-40 a$ 300 TXT x${0,100}\n", ZoneBounds(zone_octets=2000))
    assert fault.line == 4
    assert "more than 2000 octets of text" in fault.message


def test_included_text_counts_each_time() -> None:
    files = {"a": b";" + b"x" * 600 + b"\n"}
    found = faults(b"$INCLUDE a\n" * 3, ZoneBounds(zone_octets=1500), files)
    assert [fault.line for fault in found] == [6]


def test_a_text_over_the_bound_is_one_fault() -> None:
    (fault,) = faults(b";" * 2000, ZoneBounds(zone_octets=1024))
    assert (fault.line, "zone_octets" in fault.message) == (0, True)
