"""RDATA becomes text that reads back as the same octets."""

from __future__ import annotations

import pytest
from tests.unit.protocols.dns.zone.test_rdata_text import SAMPLES, read

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.zone.fields import Fields
from pierhead.protocols.dns.zone.rdata_format import format_rdata, format_unknown
from pierhead.protocols.dns.zone.rdata_text import rdata_reader, read_unknown
from pierhead.protocols.dns.zone.tokenizer import read_entry


def read_back(rtype: int, text: str, rclass: int = 1) -> bytes:
    fields = Fields(read_entry(text.encode(), 0).tokens, origin=name.ROOT)
    if text.startswith("\\#"):
        return read_unknown(fields, rtype, rclass)
    rdata = rdata_reader(rtype, rclass)(fields)
    assert fields.at_end()
    return rdata


@pytest.mark.rfc("1035", "5.1")
@pytest.mark.parametrize(("rtype", "text"), SAMPLES, ids=[f"{t}-{s[:20]}" for t, s in SAMPLES])
def test_every_type_has_a_text_that_reads_back(rtype: str, text: str):
    rdata = read(rtype, text)
    number = iana.type_number(rtype)
    shown = format_rdata(number, rdata)
    assert shown.isascii()
    assert shown.isprintable()
    assert read_back(number, shown) == rdata


@pytest.mark.parametrize(
    ("rtype", "written", "shown"),
    [
        ("MX", "10 mail", "10 mail.example."),
        ("TXT", r'"a\"b" c\;d "\000\255"', r'"a\"b" "c;d" "\000\255"'),
        ("AAAA", "2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("SOA", "ns h 1 2h 1h 1w 5m", "ns.example. h.example. 1 7200 3600 604800 300"),
        (
            "NSEC3",
            "1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A",
            "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
        ),
        ("NSEC", "host TYPE1234 MX A", "host.example. A MX TYPE1234"),
        ("SSHFP", f"4 2 {'ab ' * 32}", f"4 2 {'AB' * 32}"),
        ("ISDN", "1", '"1"'),
        ("DSYNC", "CDS NOTIFY 53 a", "CDS NOTIFY 53 a.example."),
        ("DSYNC", "CDS 2 53 a", "CDS 2 53 a.example."),
        ("CSYNC", "1 0", "1 0"),
        ("LOC", "1 S 2 W -0.5m", "1 0 0.000 S 2 0 0.000 W -0.50m 1.00m 10000.00m 10.00m"),
        ("LOC", "0 S 0 W 1m 0.01m 0m", "0 0 0.000 N 0 0 0.000 E 1.00m 0.01m 0.00m 10.00m"),
        ("GPOS", '"-32.6882" 116.8652 +10.0', "-32.6882 116.8652 +10.0"),
        (
            "APL",
            "1:192.0.2.0/24 !2:2001:DB8::/32",
            "1:192.0.2.0/24 !2:2001:db8::/32",
        ),
        ("IPSECKEY", "10 3 2 gw AAEC", "10 3 2 gw.example. AAEC"),
        ("IPSECKEY", "10 0 0 .", "10 0 0 ."),
        ("HIP", "2 2001ab AAEC rvs", "2 2001AB AAEC rvs.example."),
        ("EUI48", "00-00-5E-00-53-2A", "00-00-5e-00-53-2a"),
        ("AMTRELAY", "10 1 3 relay", "10 1 3 relay.example."),
        ("AMTRELAY", "10 0 0 .", "10 0 0 ."),
        ("AMTRELAY", "10 0 2 2001:DB8::1", "10 0 2 2001:db8::1"),
        ("WKS", "192.0.2.1 TCP smtp HTTP 25", "192.0.2.1 6 25 80"),
        ("WKS", "192.0.2.1 17", "192.0.2.1 17"),
        ("NSAP", "0X47.00.05", "0x470005"),
        ("NXT", "a. MX A", "a. A MX"),
        ("A6", "64 2001:DB8::1 a", "64 ::1 a.example."),
        ("A6", "0 2001:DB8::1", "0 2001:db8::1"),
        ("A6", "128 a", "128 a.example."),
        ("ATMA", "39.24.6F", "39246f"),
        ("ATMA", "+1.555", "+1555"),
        ("SINK", "1 0 0", "1 0 0"),
        ("DOA", "1 2 3 x -", '1 2 3 "x" -'),
    ],
)
def test_there_is_one_way_to_write_it(rtype: str, written: str, shown: str):
    assert format_rdata(iana.type_number(rtype), read(rtype, written)) == shown


@pytest.mark.rfc("3597", "5")
def test_a_type_without_a_mnemonic_is_written_in_hexadecimal():
    assert format_rdata(65280, b"\x0a\x0b") == r"\# 2 0a0b"


@pytest.mark.parametrize(
    ("rtype", "rdata", "standard"),
    [
        ("LOC", b"\1\2", "RFC 1876 §2: no assumptions about other versions"),
        ("AMTRELAY", b"\x0a\4\1\2", "RFC 8777 §4.2.3"),
        ("IPSECKEY", b"\x0a\4\2\1\2", "RFC 4025 §2.3"),
        ("ATMA", b"\2\1", "two formats are defined"),
        ("APL", b"\0\3\x09\1\xab", "RFC 3123 §5: text for IPv4 and IPv6"),
        ("APL", b"\0\1\x18\1\xc0\0\0\0\x82\1\1", "likewise"),
    ],
)
def test_what_is_yet_to_be_defined_is_written_in_hexadecimal(
    rtype: str, rdata: bytes, standard: str
):
    number = iana.type_number(rtype)
    shown = format_rdata(number, rdata)
    assert shown == f"\\# {len(rdata)} {rdata.hex()}", standard
    assert read_back(number, shown) == rdata
    assert format_rdata(number, b"before" + rdata + b"behind", 6, len(rdata)) == shown


@pytest.mark.rfc("9460", "2.1")
@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("0 pool", "0 pool.example."),
        ("1 .", "1 ."),
        ("1 . port=53 alpn=h2,h3", '1 . alpn="h2,h3" port=53'),
        ("1 . alpn=h2 no-default-alpn", '1 . alpn="h2" no-default-alpn'),
        (r'1 . alpn="f\\\\oo\\,bar,h2"', r'1 . alpn="f\\\\oo\\,bar,h2"'),
        ("1 . ipv4hint=192.0.2.1,192.0.2.2", "1 . ipv4hint=192.0.2.1,192.0.2.2"),
        ("1 . ipv6hint=::1,2001:db8::", "1 . ipv6hint=::1,2001:db8::"),
        ("1 . ech=AQID", "1 . ech=AQID"),
        ("1 . mandatory=port,alpn alpn=h2 port=1", '1 . mandatory=alpn,port alpn="h2" port=1'),
        ("1 . mandatory=key667 key667=x", '1 . mandatory=key667 key667="x"'),
        ("1 . dohpath=/q{?dns}", '1 . dohpath="/q{?dns}"'),
        ("1 . ohttp", "1 . ohttp"),
        ("1 . tls-supported-groups=29,23", "1 . tls-supported-groups=29,23"),
        ('1 . key667="a b\\001"', '1 . key667="a b\\001"'),
        ("1 . key667", "1 . key667"),
    ],
)
def test_the_parameters_of_a_service_binding_have_one_text(written: str, shown: str):
    rdata = read("SVCB", written)
    assert format_rdata(iana.SVCB, rdata) == shown
    assert read_back(iana.SVCB, shown) == rdata


@pytest.mark.rfc("9460", "2.1")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, b""),
        (0, b"\0"),
        (0, b"\0\0"),
        (0, b"\0\3\0\1"),
        (1, b""),
        (1, b"\0"),
        (1, b"\5h2"),
        (2, b"x"),
        (3, b"\1"),
        (3, b"\1\2\3\4"),
        (4, b""),
        (4, b"\1"),
        (5, b""),
        (6, b"\1"),
        (7, b"dns"),
        (7, b"/\xffdns"),
        (8, b"x"),
        (9, b"\0\1\0\1"),
    ],
)
def test_a_value_that_breaks_its_own_format_is_shown_as_opaque(key: int, value: bytes):
    rdata = b"\0\1\0" + key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    shown = format_rdata(iana.SVCB, rdata)
    assert shown.startswith(f"1 . key{key}")
    assert shown.isascii()


@pytest.mark.parametrize(
    ("rtype", "rdata", "reason"),
    [
        ("A", b"\1\2\3", "ends early"),
        ("A", b"\1\2\3\4\5", "1 octets too many"),
        ("MX", b"\0\1", "bad label"),
        ("MX", b"\0\1\3ab", "inside a name"),
        ("TXT", b"", "ends early"),
        ("TXT", b"\5ab", "ends early"),
        ("NSEC", b"\0\0\1", "ends early"),
        ("NSEC", b"\0\0\0", "bad type bitmap"),
        ("NSEC", b"\0\1\1\x40\0\1\x40", "bad type bitmap"),
        ("CAA", b"\0\2a b", "property tag"),
        ("TLSA", b"\1\1\1", "ends early"),
        ("LOC", b"\0", "ends early"),
        ("LOC", b"\0\xa0\x16\x13" + b"\x80\0\0\0" * 3, "bad size"),
        ("LOC", b"\0\x1a\x16\x13" + b"\x80\0\0\0" * 3, "bad size"),
        ("LOC", b"\0\x02\x16\x13" + b"\x80\0\0\0" * 3, "bad size"),
        ("LOC", b"\0\x12\x16\x13" + b"\0" * 12, "more than 90 degrees"),
        ("GPOS", b"\1x\1\x31\1\x31", "decimal"),
        ("GPOS", b"\2\x39\x31\1\x31\1\x31", "91 degrees, expected -90 to 90"),
        ("GPOS", b"\1\x31\1\x31", "ends early"),
        ("APL", b"\0\1\x21\1\xc0", "more than 32 bits"),
        ("APL", b"\0\1\x20\5\xc0\0\2\1\1", "more than 32 bits"),
        ("APL", b"\0\1\x20\2\xc0\0", "ends in zero"),
        ("APL", b"\0\1\x20", "ends early"),
        ("IPSECKEY", b"\x0a\0\2", "ends early"),
        ("IPSECKEY", b"\x0a\1\2\xc0\0\2", "ends early"),
        ("AMTRELAY", b"\x0a\x81\xc0\0\2", "ends early"),
        ("AMTRELAY", b"\x0a\0\0", "1 octets too many"),
        ("HIP", b"\0\2\0\1\1", "empty"),
        ("HIP", b"\1\2\0\0\1", "empty"),
        ("HIP", b"\1\2\0\2\1\1", "ends early"),
        ("EUI48", b"\1\2\3\4\5", "ends early"),
        ("EUI64", b"\1" * 9, "too many"),
        ("WKS", b"\1\2\3\4", "ends early"),
        ("WKS", b"\1\2\3\4\6" + b"\xff" * 8193, "8193 octets of ports"),
        ("NSAP", b"", "ends early"),
        ("HHIT", b"", "ends early"),
        ("NXT", b"\0" + b"\x40" * 17, "bad type bitmap"),
        ("NXT", b"\0\x80", "bad type bitmap"),
        ("NXT", b"\0\x40\0", "bad type bitmap"),
        ("EID", b"", "ends early"),
        ("A6", b"\x81\0", "129 bits, expected at most 128"),
        ("A6", b"\x7f\x02\0", "bits of the prefix"),
        ("A6", b"\x40\1\2", "ends early"),
        ("ATMA", b"\0", "ends early"),
        ("ATMA", b"\1x", "only of digits"),
        ("SINK", b"\1\2", "ends early"),
        ("DOA", b"\0" * 9, "ends early"),
        ("KEY", b"\1\0\3\5", "ends early"),
        ("NSEC3", b"\xc8\0\0\0\0\0", "empty hash"),
        ("SVCB", b"\0\1\0\0\1\0\2h", "ends early"),
    ],
)
def test_rdata_that_breaks_its_layout_has_no_text(rtype: str, rdata: bytes, reason: str):
    with pytest.raises(DecodeError, match=reason):
        format_rdata(iana.type_number(rtype), rdata)


@pytest.mark.rfc("1035", "4.1.4")
def test_names_may_point_elsewhere_in_a_message():
    message = b"\7example\0" + b"\0\x0a\4mail\xc0\x00"
    assert format_rdata(iana.MX, message, 9, 9) == "10 mail.example."


def test_a_name_ends_within_its_rdata():
    with pytest.raises(DecodeError, match="inside a name"):
        format_rdata(iana.NS, b"\1a\0\0", 0, 2)


def test_other_classes_have_their_own_layouts():
    rdata = b"\5chaos\0\0\x53"
    shown = format_rdata(iana.A, rdata, rclass=iana.CLASS_CH)
    assert read_back(iana.A, shown, iana.CLASS_CH) == rdata


def test_no_octets_at_all_can_be_written():
    assert format_unknown(b"") == r"\# 0"
