"""Semantic checks bind known values only: registries grow, and have private ranges."""

from __future__ import annotations

import pytest
from tests.unit.protocols.dns.zone.test_rdata_text import ORIGIN, read

from pierhead.errors import ConfigError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.zone.fields import FieldError, Fields
from pierhead.protocols.dns.zone.known_values import value_problem
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.rdata_text import read_unknown

HASH = "2t7b4g4vsa5smi47k61mv5bv1a22bojr"
#: Text, and what is wrong with it: nothing where the value that would bind it is not known.
TABLE = {
    "DS CDS DLV TA": [
        ("1 8 1 " + "ab" * 20, ""),
        ("1 8 1 " + "ab" * 19, "digest of 19 octets, expected 20 for type 1"),
        ("1 8 2 " + "ab" * 32, ""),
        ("1 8 2 " + "ab" * 33, "expected 32"),
        ("1 8 3 ab", "expected 32"),
        ("1 8 4 " + "ab" * 48, ""),
        ("1 8 4 ab", "expected 48"),
        ("1 8 5 " + "ab" * 31, "expected 32"),
        ("1 8 6 " + "ab" * 32, ""),
        ("1 8 6 " + "ab" * 20, "expected 32"),
        ("1 8 7 ab", ""),
        ("1 8 128 ab", ""),
        ("1 8 255 " + "ab" * 200, ""),
        ("1 8 0 ab", "digest type 0 is reserved"),
        ("0 0 0 00", ""),
        # Whatever signs, digests are as long as their type says.
        ("1 200 2 ab", "expected 32"),
        ("1 PRIVATEOID 2 " + "ab" * 32, ""),
    ],
    "SSHFP": [
        ("4 1 " + "ab" * 20, ""),
        ("4 1 " + "ab" * 21, "fingerprint of 21 octets, expected 20 for type 1"),
        ("4 2 " + "ab" * 32, ""),
        ("4 2 ab", "expected 32"),
        ("99 2 ab", "expected 32"),
        ("4 0 ab", ""),
        ("4 3 ab", ""),
        ("255 255 ab", ""),
    ],
    "TLSA SMIMEA": [
        ("3 1 0 ab", ""),
        ("3 1 1 " + "ab" * 32, ""),
        # No client can match it, and every server loads it: see the warning below.
        ("3 1 1 ab", ""),
        ("255 255 2 ab", ""),
        ("3 1 3 ab", ""),
        ("255 255 255 ab", ""),
    ],
    "NSEC3": [
        (f"1 0 0 - {HASH} A", ""),
        (f"1 0 0 - {HASH[:-8]} A", "hash of 15 octets, expected 20 for algorithm 1"),
        (f"1 255 0 aabb {HASH} A", ""),
        (f"2 0 0 - {HASH[:-8]} A", ""),
        ("255 0 65535 - 04 A", ""),
    ],
    "NSEC3PARAM": [
        ("1 0 0 -", ""),
        ("1 0 0 ab", ""),
        ("1 255 65535 ab", ""),
        ("200 0 0 " + "ab" * 255, ""),
    ],
    "ZONEMD": [
        ("1 1 1 " + "ab" * 48, ""),
        ("1 1 1 " + "ab" * 47, "digest of 47 octets, expected 48"),
        ("1 1 2 " + "ab" * 64, ""),
        ("1 1 2 " + "ab" * 48, "expected 64"),
        ("1 1 3 " + "ab" * 12, ""),
        ("1 1 240 " + "ab" * 13, ""),
        ("1 240 1 " + "ab" * 13, ""),
        ("1 240 1 " + "ab" * 11, "expected 12 or more"),
    ],
    "SVCB HTTPS": [
        ("1 . alpn=h2 no-default-alpn", ""),
        ("1 . no-default-alpn", "no-default-alpn without alpn"),
        ("1 . mandatory=port port=1", ""),
        ("1 . mandatory=port", "port is mandatory but not given"),
        ("1 . mandatory=key667", "key667 is mandatory but not given"),
        ("1 . key65280=x", ""),
        ("1 . key65534", ""),
        ("1 . key65535=x", ""),
    ],
    # A key is as long as its algorithm requires; validators find out.
    "DNSKEY CDNSKEY RKEY": [
        ("257 3 13 AAAA", ""),
        ("257 3 15 AAAA", ""),
        ("257 3 253 AA==", ""),
        ("65535 255 200 AA==", ""),
    ],
    "KEY": [("512 3 200 AA==", ""), ("49152 3 200", "")],
    "CERT": [("PKIX 0 0 AA==", ""), ("0 0 0 AA==", ""), ("65280 0 200 AA==", "")],
    "IPSECKEY": [
        ("10 0 2 . AAEC", ""),
        ("10 1 255 192.0.2.1 AA==", ""),
        ("255 3 200 gw AA==", ""),
    ],
    "CAA": [
        ('0 issue "ca.test"', ""),
        ('255 issue ";"', ""),
        ('0 issue "a b c; %"', ""),
        ('0 iodef "?"', ""),
        ('1 unheard ""', ""),
    ],
    "HIP": [("200 20 AAEC", "")],
    "DSYNC": [("CDS 255 53 a", ""), ("TYPE65280 NOTIFY 0 .", "")],
    "CSYNC": [("1 65535 A", "")],
    "RRSIG": [("TYPE65280 200 3 1 1 1 1 @ AA==", "")],
    "URI": [('1 1 ""', "")],
}
ROWS = [
    (rtype, text, problem)
    for rtypes, rows in TABLE.items()
    for text, problem in rows
    for rtype in rtypes.split()
]


@pytest.mark.rfc("4034", "5.1.4")
@pytest.mark.rfc("6594", "4")
@pytest.mark.rfc("6698", "2.1.3")
@pytest.mark.parametrize(("rtype", "text", "problem"), ROWS)
def test_semantic_checks_bind_known_values_only(rtype: str, text: str, problem: str):
    if problem:
        with pytest.raises(FieldError) as caught:
            read(rtype, text)
        assert problem in caught.value.message
    else:
        rdata = read(rtype, text)
        number = iana.type_number(rtype)
        assert value_problem(number, rdata) == ""
        assert in_hexadecimal(number, rdata) == rdata


@pytest.mark.rfc("3597", "5")
@pytest.mark.parametrize(
    ("rtype", "rdata", "problem"),
    [
        ("DS", "0001 08 01" + "ab" * 19, "digest of 19 octets, expected 20 for type 1"),
        ("CDS", "0000 00 00 01", "digest type 0 is reserved"),
        ("CDS", "0000 00 00 00", ""),
        ("DS", "0001 08 80 ab", ""),
        ("SSHFP", "01 02 ab", "fingerprint of 1 octets, expected 32 for type 2"),
        ("SSHFP", "01 63 ab", ""),
        ("SMIMEA", "03 01 09 ab", ""),
        ("NSEC3", "01 00 0000 00 01 aa", "hash of 1 octets, expected 20"),
        ("NSEC3", "02 00 0000 02 aaaa 01 aa", ""),
        ("ZONEMD", "00000001 01 01" + "ab" * 12, "expected 48"),
        ("ZONEMD", "00000001 01 f0" + "ab" * 12, ""),
        ("SVCB", "0001 00 0002 0000", "no-default-alpn without alpn"),
        ("SVCB", "0001 00 ff00 0000", ""),
        ("HTTPS", "0001 01610162 00 0000 0002 029b", "key667 is mandatory but not given"),
        # Text has these not at all; they may be defined one day.
        ("IPSECKEY", "0a 04 02", ""),
        ("IPSECKEY", "0a ff 00 aabbcc", ""),
        ("AMTRELAY", "0a 04", ""),
        ("AMTRELAY", "0a ff aabb", ""),
        ("LOC", "01", ""),
        ("APL", "ffff ff 01 aa", ""),
    ],
)
def test_rdata_in_hexadecimal_is_bound_likewise(rtype: str, rdata: str, problem: str):
    octets = bytes.fromhex(rdata)
    if problem:
        with pytest.raises(FieldError) as caught:
            in_hexadecimal(iana.type_number(rtype), octets)
        assert problem in caught.value.message
    else:
        assert in_hexadecimal(iana.type_number(rtype), octets) == octets


def in_hexadecimal(rtype: int, rdata: bytes) -> bytes:
    written = [b"\\#", b"%d" % len(rdata), rdata.hex().encode()]
    return read_unknown(Fields(written, origin=ORIGIN), rtype)


@pytest.mark.parametrize("owner", ["@", "a"])
@pytest.mark.parametrize(
    "record",
    [
        "NSEC3PARAM 200 255 65535 ab",
        "NSEC3PARAM 1 254 9 ab",
        "ZONEMD 1 240 240 " + "ab" * 12,
        "DNSKEY 65535 255 253 AA==",
        "CDS 1 253 250 ab",
        "CDNSKEY 1 2 254 AA==",
        "CSYNC 1 65535 TYPE65280",
        "DSYNC TYPE65280 255 0 .",
        "CAA 255 unheard x",
    ],
)
def test_no_check_of_the_zone_binds_private_values(owner: str, record: str):
    head = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
    parse_zone(f"{head}{owner} 300 {record}\n".encode(), origin="example.")


def test_a_hash_of_an_unknown_algorithm_may_be_an_owner():
    head = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
    zone = parse_zone(f"{head}04 300 NSEC3 200 0 0 - 04 A\n".encode(), origin="example.")
    assert not [fault for fault in zone.warnings if "is not a hash" in fault.message]
    with pytest.raises(ConfigError, match="hash of 1 octets"):
        parse_zone(f"{head}04 300 NSEC3 1 0 0 - 04 A\n".encode(), origin="example.")


@pytest.mark.rfc("6698", "2.1.3")
@pytest.mark.parametrize("rtype", ["TLSA", "SMIMEA"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("3 1 1 ab", "digest of 1 octets, expected 32 for type 1"),
        ("3 1 2 " + "ab" * 32, "digest of 32 octets, expected 64 for type 2"),
        ("3 1 1 " + "ab" * 32, None),
        ("3 1 0 ab", None),
        ("3 1 255 ab", None),
    ],
)
def test_a_digest_that_matches_no_certificate_is_a_warning(rtype, data, expected) -> None:
    head = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
    zone = parse_zone(f"{head}_443._tcp.ns 300 {rtype} {data}\n".encode(), origin="example.")
    warnings = [str(warning) for warning in zone.warnings]
    assert len(warnings) == (expected is not None)
    assert all(str(expected) in warning for warning in warnings)
