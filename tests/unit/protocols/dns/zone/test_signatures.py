"""Signatures that cannot be valid are warned of; no cryptography is done."""

from __future__ import annotations

import base64

import dns.dnssec
import dns.rdata
import pytest

from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.signatures import key_tag

KEY = "257 3 13 " + base64.b64encode(bytes(range(64))).decode()
TAG = dns.dnssec.key_id(dns.rdata.from_text("IN", "DNSKEY", KEY))
ZONE = f"""$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns.test.
@ DNSKEY {KEY}
*.w A 192.0.2.1
"""
#: The first of January 2026, for a month.
SIGNATURE = "RRSIG A 13 2 300 20260201000000 20260101000000 {tag} @ AA=="
NOON = 1768478400  # 2026-01-15 12:00:00
GOOD = SIGNATURE.format(tag=TAG)


def complaints(text: str, now: int | None = NOON, zone: str = ZONE) -> list[tuple[int, str]]:
    found = parse_zone(f"{zone}{text}\n".encode(), origin="example.", now=now)
    return [(fault.line, fault.message) for fault in found.warnings if fault.code == "signature"]


@pytest.mark.rfc("4034", "B")
@pytest.mark.parametrize(
    "key", [KEY, "256 3 8 AQPSKmynfzW4kyBv015MUG2DeIQ3", "256 3 1 AQPSKmynfzW4kyBv015MUG2DeIQ3"]
)
def test_a_key_tag_is_the_one_that_others_compute(key: str):
    rdata = dns.rdata.from_text("IN", "DNSKEY", key)
    assert key_tag(rdata.to_wire()) == dns.dnssec.key_id(rdata)


def test_a_signature_that_may_be_valid_is_no_matter():
    assert complaints(f"*.w {GOOD}") == []
    assert complaints(f"*.w {GOOD}", now=None) == []


@pytest.mark.rfc("4035", "5.3.1")
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (f" {TAG} @", f" {TAG ^ 1} @", f"was made by key {TAG ^ 1} of algorithm 13"),
        ("A 13 2", "A 8 2", f"was made by key {TAG} of algorithm 8, which the zone lacks"),
        ("A 13 2", "A 13 3", "counts 3 labels, expected 2 (RFC 4034 §3.1.3)"),
        (" @ AA", " test. AA", "names a signer other than example."),
        (" 300 ", " 299 ", "was made for a TTL of 299, but the records have 300"),
        ("RRSIG A", "RRSIG AAAA", "covers nothing: there is no such record"),
        ("20260201", "20251201", "ends before it begins"),
        ("20260201", "20260110", "expired at 2026-01-10 00:00:00 UTC"),
        ("20260101", "20260120", "is not valid before 2026-01-20 00:00:00 UTC"),
    ],
)
def test_a_signature_that_resolvers_reject_is_a_warning_in_its_line(
    before: str, after: str, message: str
):
    other = GOOD.replace(before, after, 1)
    assert other != GOOD
    ((line, found),) = complaints(f"*.w {GOOD}\n*.w {other}")
    assert (line, message in found) == (7, True), found


def test_expiry_needs_a_clock():
    assert complaints(f"*.w {GOOD.replace('20260201', '20260110')}", now=None) == []


@pytest.mark.rfc("4034", "3.1.5")
def test_times_are_compared_as_serial_numbers_are():
    late = 2**32 + 1000
    text = f"*.w RRSIG A 13 2 300 2000 {2**32 - 1000} {TAG} @ AA=="
    assert complaints(text, now=late) == []
    ((_, message),) = complaints(text, now=late + 5000)
    assert "expired at 2106-02-07" in message


@pytest.mark.parametrize("head", ["0 3 13", "257 2 13", "257 3 8"])
def test_only_keys_that_may_sign_a_zone_count(head: str):
    zone = ZONE.replace("257 3 13", head)
    ((_, message),) = complaints(f"*.w {GOOD}", zone=zone)
    assert "which the zone lacks" in message


def test_a_fault_shared_by_many_signatures_is_reported_once():
    old = GOOD.replace("20260201", "20260110").replace("13 2", "13 3")
    names = [f"a{number}.w" for number in range(200)]
    text = "".join(f"{name} A 192.0.2.1\n{name} {old}\n" for name in names)
    ((line, message),) = complaints(text.rstrip())
    assert (line, message.endswith("UTC; the same is wrong with 199 more")) == (7, True)
    assert message.startswith("the signature of a0.w.example. A expired at")


def test_a_zone_without_keys_is_not_looked_at():
    zone = ZONE.replace(f"@ DNSKEY {KEY}\n", "")
    assert complaints(f"*.w {GOOD}", now=NOON * 2, zone=zone) == []
