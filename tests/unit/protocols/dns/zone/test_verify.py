"""Signatures that do not match their records are warned of, by every algorithm that is known."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataset
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from pierhead.errors import Fault
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.verify import verify

ORIGIN = dns.name.from_text("example.")
NOW = 1768478400  # 2026-01-15 12:00:00
KEYS = {
    5: lambda: rsa.generate_private_key(65537, 2048),
    7: lambda: rsa.generate_private_key(65537, 2048),
    8: lambda: rsa.generate_private_key(65537, 2048),
    10: lambda: rsa.generate_private_key(65537, 2048),
    13: lambda: ec.generate_private_key(ec.SECP256R1()),
    14: lambda: ec.generate_private_key(ec.SECP384R1()),
    15: ed25519.Ed25519PrivateKey.generate,
    16: ed448.Ed448PrivateKey.generate,
}
#: Sets whose canonical form is not what is written: names in capitals, order, a wildcard.
SETS = {
    "@ NS": ["NS.Example.", "a.test."],
    "@ SOA": ["ns.Example. Host.example. 1 7200 900 1209600 60"],
    "*.w MX": ["20 B.example.", "10 a.Example."],
    "WWW TXT": ['"B"', '"a"', '"ab"'],
    "srv SRV": ["1 2 3 Host.Example."],
    "www NSEC": ["Host.Example. TXT NSEC RRSIG"],
    "naptr NAPTR": ['1 1 "S" "" "" Host.Example.'],
}


class Signer:
    """Signs sets as dnspython does."""

    def __init__(self, algorithm: int) -> None:
        self._private = KEYS[algorithm]()
        self.key = dns.dnssec.make_dnskey(self._private.public_key(), algorithm, flags=257)

    def sign(self, owner: str, rtype: str, texts: list[str], ttl: int = 300) -> str:
        name = dns.name.from_text(owner, ORIGIN)
        rrset = dns.rrset.from_text(name, ttl, "IN", rtype, *texts)
        dates = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        made = dns.dnssec.sign(
            rrset, self._private, ORIGIN, self.key, dates[0], dates[1], policy=_everything()
        )
        return f"{name} {ttl} RRSIG {made}\n"

    def zone(self) -> str:
        lines = []
        for words, texts in {**SETS, "@ DNSKEY": [str(self.key)]}.items():
            owner, rtype = words.split()
            lines += [f"{owner} 300 {rtype} {text}\n" for text in texts]
            lines.append(self.sign(owner, rtype, texts))
        return "".join(sorted(lines, key=lambda line: " SOA " not in line))


def _everything() -> dns.dnssec.Policy:
    class Everything(dns.dnssec.Policy):
        def ok_to_sign(self, key):
            return True

    return Everything()


@pytest.fixture(scope="module", params=list(KEYS))
def signer(request: pytest.FixtureRequest) -> Signer:
    return Signer(request.param)


def complaints(text: str) -> list[Fault]:
    zone = parse_zone(text.encode(), origin="example.", now=NOW, verify=verify)
    return [fault for fault in zone.warnings if fault.code == "signature"]


@pytest.mark.rfc("4034", "3.1.8.1")
@pytest.mark.rfc("4034", "6.2")
def test_what_dnspython_signs_matches(signer: Signer) -> None:
    assert complaints(signer.zone()) == []


@pytest.mark.rfc("4035", "5.3.3")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"ab"', '"ac"'),
        ("10 a.Example.", "11 a.Example."),
        ("1 2 3 Host.Example.", "1 2 3 Host2.Example."),
        ("a.test.\n", "a.test.\n@ 300 NS b.test.\n"),
        ('WWW 300 TXT "a"\n', ""),
    ],
)
def test_a_record_that_was_changed_added_or_removed_is_told(
    signer: Signer, before: str, after: str
) -> None:
    text = signer.zone()
    assert before in text
    (found,) = complaints(text.replace(before, after))
    assert "does not match the records" in found.message
    assert found.remedy == "sign the zone again"
    assert "RRSIG" in found.source


def test_each_octet_of_a_signature_counts(signer: Signer) -> None:
    text = signer.zone()
    start = text.index("WWW.example. 300 RRSIG TXT")
    line = text[start:].partition("\n")[0]
    *fields, digits = line.split(maxsplit=11)
    octets = bytearray(base64.b64decode(digits))
    for place in (0, len(octets) // 2, len(octets) - 1):
        broken = bytearray(octets)
        broken[place] ^= 1
        written = base64.b64encode(broken).decode()
        zone = text.replace(line, f"{' '.join(fields)} {written}")
        assert [fault.message.split(" does ")[0] for fault in complaints(zone)] == [
            "the signature of WWW.example. TXT"
        ]


def test_a_signature_or_a_key_of_another_length_is_no_match() -> None:
    signer = Signer(13)
    rdatas = [b"\x01a"]
    rrsig = dns.rdata.from_text("IN", "RRSIG", signer.sign("x", "TXT", ['"a"']).split(None, 3)[3])
    signature, key, owner = rrsig.to_wire(), signer.key.to_wire(), from_text("x.example.")
    assert verify(signature, key, rdatas, owner, 1) is True
    for other_signature in (signature[:-1], signature[:-64], signature + b"\0"):
        assert verify(other_signature, key, rdatas, owner, 1) is False
    for other_key in (key[:-1], key[:4], key[:4] + bytes(64), key + b"\0"):
        assert verify(signature, other_key, rdatas, owner, 1) is False
    for algorithm in (8, 14, 15, 16):
        for octets in (b"", b"\0", b"\x01", b"\x03\x01\x00\x01", bytes(600)):
            other_key = key[:3] + bytes((algorithm,)) + octets
            assert verify(signature, other_key, rdatas, owner, 1) is False
    for algorithm in (0, 1, 3, 12, 253):
        other_key = key[:3] + bytes((algorithm,)) + key[4:]
        assert verify(signature, other_key, rdatas, owner, 1) is None


def test_of_two_keys_with_one_tag_either_may_have_signed() -> None:
    """The tag is a sum of 16-bit words: swapping two words does not change it."""
    signer = Signer(15)
    key = signer.key.to_wire()
    twin = key[:4] + key[6:8] + key[4:6] + key[8:]
    text = dns.rdata.from_wire("IN", "DNSKEY", twin, 0, len(twin)).to_text()
    zone = f"{signer.zone()}@ 300 DNSKEY {text}\n"
    dnskeys = signer.sign("@", "DNSKEY", [str(signer.key)])
    both = signer.sign("@", "DNSKEY", [str(signer.key), text])
    assert complaints(zone.replace(dnskeys, both)) == []
    (found,) = complaints(zone)
    assert "example. DNSKEY does not match" in found.message


def test_an_algorithm_that_is_not_known_is_named() -> None:
    key = "257 3 12 " + base64.b64encode(bytes(64)).decode()
    tag = dns.dnssec.key_id(dns.rdata.from_text("IN", "DNSKEY", key))
    zone = (
        "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns.test.\n"
        f"@ DNSKEY {key}\n@ RRSIG SOA 12 1 300 20260201000000 20260101000000 {tag} @ AA==\n"
    )
    (found,) = complaints(zone)
    assert "is of algorithm 12, which cannot be verified here" in found.message


def test_other_faults_of_a_signature_are_reported_without_a_second_one() -> None:
    signer = Signer(13)
    old = signer.zone().replace("20260201000000", "20260110000000")
    messages = [fault.message for fault in complaints(old)]
    assert any("expired at 2026-01-10" in message for message in messages)
    assert iana.RRSIG == 46
