from __future__ import annotations

import pkgutil
import re

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY
import dns.rdtypes.IN
import pytest

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.zone.fields import FieldError, Fields
from pierhead.protocols.dns.zone.rdata_format import format_rdata
from pierhead.protocols.dns.zone.rdata_text import rdata_reader, read_unknown
from pierhead.protocols.dns.zone.tokenizer import read_entry

ORIGIN = name.from_text("example.")
DIGEST_32 = "aa" * 32

#: Text as a zone file has it, for every type that dnspython knows.
SAMPLES = [
    ("A", "192.0.2.1"),
    ("AAAA", "2001:db8::1"),
    ("AAAA", "::"),
    ("AAAA", "1:2:3:4:5:6:7::"),
    ("AAAA", "::ffff:192.0.2.1"),
    ("AFSDB", "1 afs"),
    ("AMTRELAY", "10 0 1 203.0.113.15"),
    ("APL", "2:2001:db8::/32 !2:2001:db8:1::/48 1:0.0.0.0/0"),
    ("APL", "1:192.168.32.0/21 !1:192.168.38.0/28"),
    ("AVC", '"app-name:WOLFGANG" x'),
    ("BRID", "AAEC"),
    ("CAA", '0 issue "ca.example; account=1"'),
    ("CAA", "128 tbs Unknown"),
    ("CDNSKEY", "257 3 13 AQIDBA=="),
    ("CDNSKEY", "0 3 0 AA=="),
    ("CDS", f"1 8 2 {DIGEST_32}"),
    ("CDS", "0 0 0 00"),
    ("CERT", "PKIX 1 RSASHA256 AQID BA=="),
    ("CERT", "65534 65535 254 AQIDBA=="),
    ("CNAME", "@"),
    ("CSYNC", "66 3 A NS AAAA"),
    ("DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
    ("DLV", f"1 RSASHA256 2 {DIGEST_32}"),
    ("DNAME", "target.other."),
    ("DNSKEY", "256 3 ED25519 AQID BAUG"),
    ("DS", f"60485 5 1 {'2b' * 10} {'2b' * 10}"),
    ("DS", f"1 8 4 {'00' * 48}"),
    ("DSYNC", "CDS NOTIFY 5359 cds-scanner"),
    ("EUI48", "00-00-5e-00-53-2a"),
    ("EUI64", "00-00-5e-ef-10-00-00-2a"),
    ("GPOS", "-32.6882 116.8652 10.0"),
    ("HHIT", "AAEC"),
    ("HINFO", '"PC Intel" "NetBSD 1.4"'),
    ("HIP", "2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc rvs.example.com."),
    ("HTTPS", '1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1,192.0.2.2'),
    ("IPSECKEY", "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    ("ISDN", "150862028003217"),
    ("ISDN", "150862028003217 004"),
    ("KEY", "512 3 8 AQIDBA=="),
    ("KX", "10 kx"),
    ("L32", "10 10.1.2.0"),
    ("L64", "10 2001:0db8:1140:1000"),
    ("LOC", "60 9 0.000 N 24 39 0.000 E 10.00m 20m 2000m 20m"),
    ("LOC", "1 2 3.5 S 4 W -24.5m"),
    ("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
    ("LP", "10 l64-subnet1"),
    ("MX", "10 mail.other."),
    ("NAPTR", '100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.gatech'),
    ("NID", "10 0014:4fff:ff20:ee64"),
    ("NINFO", '"a" "b"'),
    ("NS", "a.b.c"),
    ("NSAP", "0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00"),
    ("NSAP-PTR", "foo"),
    ("NSEC", "host A MX RRSIG NSEC TYPE1234"),
    ("NSEC", "host A"),
    ("NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG"),
    ("NSEC3", "1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR"),
    ("NSEC3PARAM", "1 0 12 aabbccdd"),
    ("NSEC3PARAM", "1 0 0 -"),
    ("OPENPGPKEY", "AQID BAUG"),
    ("PTR", "host"),
    ("PX", "10 map822 mapx400"),
    ("RESINFO", "qnamemin exterr=15,16,17"),
    ("RP", "mbox txt"),
    ("RRSIG", "A 5 3 86400 20300322173103 20260220173103 2642 example.com. oJB1 W6Wn"),
    ("RRSIG", "TYPE65280 ED25519 3 1d 1900000000 20260220173103 2642 @ oJB1"),
    ("RT", "0 relay"),
    ("SIG", "NXT 1 3 3600 20300102030405 20260102030405 2143 foo.nil. AQIDBA=="),
    ("SMIMEA", "3 0 0 aabb ccdd"),
    ("SOA", "ns hostmaster 2026112101 7200 3600 1209600 300"),
    ("SPF", '"v=spf1 -all"'),
    ("SRV", "0 5 5060 sip"),
    ("SSHFP", "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789"),
    ("SVCB", "0 pool"),
    ("TLSA", f"3 1 1 {DIGEST_32[:20]} {DIGEST_32[20:]}"),
    ("TXT", r'"a\"b" c\;d "\000\255"'),
    ("TXT", '""'),
    ("URI", '10 1 "ftp://ftp1.example/public"'),
    ("WALLET", "BTC bc1example"),
    ("WKS", "192.0.2.1 6 0 25 80"),
    ("X25", "311061700956"),
    ("ZONEMD", f"2018031500 1 1 {'fe' * 48}"),
]

#: Text and RDATA of the types that it does not know.
OLDER = [
    ("MD", "a", "0161076578616d706c6500"),
    ("MF", "a.", "016100"),
    ("MB", "a.", "016100"),
    ("MG", "a.", "016100"),
    ("MR", "a.", "016100"),
    ("MINFO", "a. b.", "016100016200"),
    ("NXT", "a. A NS MX", "016100" + "6001"),
    ("NXT", "a. TYPE127", "016100" + "00" * 15 + "01"),
    ("NXT", ".", "00"),
    ("EID", "e32c 6F78", "e32c6f78"),
    ("NIMLOC", "32251A03", "32251a03"),
    ("ATMA", "+358.40", "013335383430"),
    ("ATMA", "39.246f.00", "0039246f00"),
    ("A6", "0 2001:db8::1", "0020010db8000000000000000000000001"),
    ("A6", "128 a.", "80016100"),
    ("A6", "64 ::1 a.", "400000000000000001016100"),
    ("A6", "61 2001:db8:0:f::1 a.", "3d07" + "0000000000000001" + "016100"),
    ("SINK", "1 2 255 AAEC", "0102ff000102"),
    ("SINK", "64 1 0", "400100"),
    ("RKEY", "0 0 1 AAEC", "00000001000102"),
    ("TALINK", "a. b.", "016100016200"),
    ("NINFO", "a b", "01610162"),
    (
        "DOA",
        '0 4294967295 2 "text/plain" AA EC',
        "00000000ffffffff020a" + b"text/plain".hex() + "0001" + "02",
    ),
    ("DOA", "1 2 3 x -", "000000010000000203" + "0178"),
    ("CLA", "a b", "01610162"),
    ("TA", "1 200 200 ab", "0001c8c8ab"),
]
#: Types that are written only in hexadecimal: no text form is defined for them.
WITHOUT_TEXT = {"NULL", "UINFO", "UID", "GID", "UNSPEC", "IPN"}


def read(rtype: str, text: str) -> bytes:
    fields = Fields(read_entry(text.encode(), 0).tokens, origin=ORIGIN)
    rdata = rdata_reader(iana.type_number(rtype))(fields)
    assert fields.at_end()
    return rdata


@pytest.mark.rfc("7553", "4.2")
@pytest.mark.rfc("1035", "5.1")
@pytest.mark.parametrize(("rtype", "text"), SAMPLES, ids=[f"{t}-{s[:20]}" for t, s in SAMPLES])
def test_text_becomes_the_octets_that_dnspython_makes_of_it(rtype: str, text: str):
    expected = dns.rdata.from_text("IN", rtype, text, dns.name.from_text("example."), False)
    assert read(rtype, text) == expected.to_wire()


@pytest.mark.parametrize(("rtype", "text", "rdata"), OLDER)
def test_text_of_older_types_becomes_octets_and_text_again(rtype: str, text: str, rdata: str):
    number = iana.type_number(rtype)
    octets = read(rtype, text)
    assert octets.hex() == rdata
    assert read(rtype, format_rdata(number, octets)) == octets
    assert unknown(rb"\# %d %s" % (len(octets), rdata.encode()), number) == octets


def test_every_type_of_the_registry_has_a_sample_or_no_text():
    registry = {
        text
        for number in range(1, 65536)
        if not iana.is_meta_type(number) and not (text := iana.type_text(number)).startswith("TYPE")
    }
    samples = {rtype for rtype, *_ in (*SAMPLES, *OLDER)}
    assert registry - samples == WITHOUT_TEXT
    for rtype in WITHOUT_TEXT:
        with pytest.raises(FieldError, match="no text form"):
            read(rtype, "aa")


def test_the_samples_cover_every_type_that_dnspython_knows():
    modules = [
        module.name.replace("_", "-")
        for folder in (dns.rdtypes.ANY, dns.rdtypes.IN)
        for module in pkgutil.iter_modules(folder.__path__)
    ]
    assert set(modules) - {"OPT", "TKEY", "TSIG"} <= {rtype for rtype, _ in SAMPLES}


@pytest.mark.parametrize(
    ("rtype", "text", "blamed", "reason"),
    [
        ("A", "192.0.2", 0, "not an IPv4 address"),
        ("A", "192.0.2.01", 0, "not an IPv4 address"),
        ("A", "192.0.2.256", 0, "not an IPv4 address"),
        ("AAAA", "1::2::3", 0, "not an IPv6 address"),
        ("AAAA", "1:2:3:4:5:6:7:8::", 0, "not an IPv6 address"),
        ("AAAA", "12345::", 0, "not an IPv6 address"),
        ("AAAA", "::g", 0, "not an IPv6 address"),
        ("MX", "70000 mail", 0, "expected 0 to 65535"),
        ("MX", "ten mail", 0, "not a number"),
        ("MX", "10", 1, "ends too early"),
        ("MX", "10 a..b", 1, "empty label"),
        ("TXT", "", 0, "ends too early"),
        ("TXT", "x" * 256, 0, "at most 255"),
        ("TXT", r"\256", 0, "bad escape"),
        ("TXT", r"\25", 0, "bad escape"),
        ("SOA", "ns h 1 2 3 4 soon", 6, "span of time"),
        ("SOA", "ns h 1 2 3 4 9999999999", 6, "too long"),
        ("DNSKEY", "256 3 8 AAA", 3, "Base 64"),
        ("TLSA", "3 1 1 abc", 3, "hexadecimal"),
        ("DS", "1 8 2 aabb", 3, "expected 32"),
        ("CDS", "1 8 0 aa", 3, "reserved"),
        ("ZONEMD", "1 1 1 aabb", 3, "expected 48"),
        ("RRSIG", "A 5 3 1 20301332173103 1 1 @ AA==", 4, "date and time"),
        ("RRSIG", "A 5 3 1 soon 1 1 @ AA==", 4, "not a time"),
        ("RRSIG", "FOO 5 3 1 1 1 1 @ AA==", 0, "not an RR type"),
        ("NSEC3", "1 0 0 xyz 2t7b4g4v A", 3, "bad salt"),
        ("NSEC3", "1 0 0 - !!!! A", 4, "not a hash"),
        ("NSEC3", "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22boj A", 4, "not a hash"),
        ("NSEC3", "1 0 0 - 2t7b4g4v A", 4, "hash of 5 octets, expected 20 for algorithm 1"),
        ("NSEC3", "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr2t7b4g4v", 4, "hash of 25 octets"),
        ("NSEC3", "200 0 0 - 2t7b4g4v==== A", 4, "not a hash"),
        ("NSEC3", "200 0 0 - 04====== A", 4, "not a hash"),
        ("NSEC3", "200 0 0 - 01 A", 4, "not a hash"),
        ("CAA", '0 "is sue" x', 1, "property tag"),
        ("L64", "10 1:2:3", 1, "four groups"),
        ("L64", "10 1:2:3:g", 1, "four groups"),
        ("EUI48", "zz", 0, "bad EUI48"),
        ("LOC", "", 0, "ends too early"),
        ("NULL", "aa", 0, "no text form"),
    ],
)
def test_a_wrong_field_is_named(rtype: str, text: str, blamed: int, reason: str):
    with pytest.raises(FieldError) as caught:
        read(rtype, text)
    assert reason in caught.value.message
    assert caught.value.index == blamed


@pytest.mark.rfc("4648", "3.5")
@pytest.mark.parametrize(
    "digits", ["AB==", "AAF=", "AA", "AAA", "AA=", "AA===", "AAAA=", "AAAA===="]
)
def test_base_64_that_is_not_canonical_is_refused(digits: str):
    for rtype, text in [
        ("DNSKEY", "256 3 8"),
        ("RRSIG", "A 5 3 1 1 1 1 @"),
        ("OPENPGPKEY", ""),
        ("CERT", "1 1 8"),
    ]:
        with pytest.raises(FieldError, match="Base 64"):
            read(rtype, f"{text} {digits}")


@pytest.mark.rfc("5155", "3.3")
def test_a_hash_of_an_unknown_algorithm_has_any_length():
    assert read("NSEC3", "200 0 0 - 04") == b"\xc8\0\0\0\0\1\1"


@pytest.mark.parametrize(
    ("scheme", "algorithm", "size"),
    [(240, 1, 20), (254, 2, 12), (2, 1, 12), (1, 240, 12), (0, 0, 99)],
)
def test_a_zone_digest_of_a_private_scheme_or_algorithm_has_any_length_from_12(
    scheme: int, algorithm: int, size: int
):
    rdata = bytes((0, 0, 0, 1, scheme, algorithm)) + bytes(size)
    assert read("ZONEMD", f"1 {scheme} {algorithm} {'00' * size}") == rdata
    assert unknown(rb"\# %d %s" % (len(rdata), rdata.hex().encode()), 63) == rdata
    with pytest.raises(FieldError, match="digest of 11 octets, expected 12 or more"):
        read("ZONEMD", f"1 {scheme} {algorithm} {'00' * 11}")


@pytest.mark.rfc("3123", "5")
def test_an_apl_record_may_be_empty():
    assert read("APL", "") == b""
    assert format_rdata(iana.type_number("APL"), b"") == ""


@pytest.mark.rfc("8005", "5")
@pytest.mark.parametrize("size", [1, 127, 128, 255])
def test_a_host_identity_tag_has_up_to_255_octets(size: int):
    rdata = read("HIP", f"2 {'ab' * size} AAEC")
    assert rdata == bytes((size, 2, 0, 3)) + b"\xab" * size + b"\0\1\2"


@pytest.mark.rfc("4025", "2.4")
@pytest.mark.parametrize(
    ("text", "rdata"),
    [
        ("10 0 0 .", "0a0000"),
        ("10 1 0 192.0.2.38", "0a0100c0000226"),
        ("10 2 0 2001:db8::1", "0a020020010db8000000000000000000000001"),
        ("10 3 0 gw.example.", "0a0300026777076578616d706c6500"),
        ("10 0 2 . AAEC", "0a0002000102"),
    ],
)
def test_an_ipseckey_record_of_algorithm_0_has_no_key(text: str, rdata: str):
    assert read("IPSECKEY", text).hex() == rdata
    assert read("IPSECKEY", format_rdata(iana.type_number("IPSECKEY"), bytes.fromhex(rdata))) == (
        bytes.fromhex(rdata)
    )


@pytest.mark.rfc("1876", "3")
@pytest.mark.parametrize(
    ("altitude", "centimetres"),
    [
        ("0m", 0),
        ("-0.00m", 0),
        ("1.15m", 115),
        ("0.29m", 29),
        ("-0.29", -29),
        ("8.2m", 820),
        ("4.35m", 435),
        ("1001.13m", 100113),
        ("-100000.00m", -10_000_000),
        ("42849672.95m", 4_284_967_295),
    ],
)
def test_the_altitude_of_a_location_is_exact(altitude: str, centimetres: int):
    rdata = read("LOC", f"90 N 180 w {altitude}")
    assert int.from_bytes(rdata[12:], "big") - 10_000_000 == centimetres
    assert rdata[:12] == bytes((0, 0x12, 0x16, 0x13)) + b"".join(
        number.to_bytes(4, "big") for number in (2**31 + 324_000_000, 2**31 - 648_000_000)
    )


@pytest.mark.rfc("1035", "3.4.2")
@pytest.mark.parametrize(
    ("text", "rdata"),
    [
        ("192.0.2.1 6 25 80", "c000020106 00000040000000000000 80"),
        ("192.0.2.1 TCP smtp Http", "c000020106 00000040000000000000 80"),
        ("192.0.2.1 udp DOMAIN", "c000020111 00000000000004"),
        ("192.0.2.1 50 0 0", "c000020132 80"),
        ("192.0.2.1 tcp", "c000020106"),
        ("192.0.2.1 tcp tftp", "c000020106 000000000000000004"),
        ("192.0.2.1 255 65535", "c0000201ff" + "00" * 8191 + "01"),
    ],
)
def test_well_known_services_are_a_map_of_ports(text: str, rdata: str):
    assert read("WKS", text) == bytes.fromhex(rdata)


@pytest.mark.parametrize(
    ("words", "protocol", "ports"),
    [
        ("icmp", 1, []),
        ("egp ftp-data FTP telnet", 8, [20, 21, 23]),
        ("tcp smtp mail time nameserver", 6, [25, 37, 42]),
        ("UDP domain bootps tftp", 17, [53, 67, 69]),
        ("ospf finger sunrpc auth nntp", 89, [79, 111, 113, 119]),
    ],
)
def test_the_words_of_wks_records_are_assigned_numbers(words: str, protocol: int, ports: list[int]):
    rdata = read("WKS", f"192.0.2.1 {words}")
    assert (rdata[4], _ports(rdata[5:])) == (protocol, ports)


def _ports(bitmap: bytes) -> list[int]:
    return [n for n in range(8 * len(bitmap)) if bitmap[n // 8] & 0x80 >> n % 8]


@pytest.mark.rfc("1706", "6")
@pytest.mark.parametrize(
    "text", ["0x470005", "0X470005", "0x47.0005", "0x.4.7..0005.", "0x4700.05"]
)
def test_full_stops_stand_anywhere_in_an_nsap_address(text: str):
    assert read("NSAP", text) == b"\x47\0\5"


@pytest.mark.rfc("8777", "4.3")
@pytest.mark.parametrize(
    ("text", "rdata"),
    [
        ("10 0 0 .", "0a00"),
        ("10 1 0 .", "0a80"),
        ("10 0 1 203.0.113.15", "0a01cb00710f"),
        ("10 0 2 2001:db8::15", "0a02" + "20010db8000000000000000000000015"),
        ("128 1 3 amtrelays.", "8083" + "09616d7472656c61797300"),
    ],
)
def test_a_relay_is_nothing_an_address_or_a_name(text: str, rdata: str):
    assert read("AMTRELAY", text).hex() == rdata


@pytest.mark.rfc("6742", "2.1.2")
def test_the_groups_of_a_node_identifier_need_no_leading_zeros():
    assert read("NID", "10 14:4fff:0:1") == b"\0\x0a\0\x14\x4f\xff\0\0\0\1"


@pytest.mark.rfc("2535", "3.1.2")
def test_a_key_record_may_say_that_there_is_no_key():
    assert read("KEY", "49152 3 0") == b"\xc0\x00\x03\x00"


def test_other_classes_have_their_own_address_records():
    fields = Fields([b"chaos.", b"123"], origin=ORIGIN)
    assert rdata_reader(iana.A, iana.CLASS_CH)(fields) == b"\x05chaos\x00\x00\x53"


def unknown(text: bytes, rtype: int) -> bytes:
    return read_unknown(Fields(text.split(), origin=ORIGIN), rtype)


@pytest.mark.rfc("3597", "5")
@pytest.mark.parametrize(
    ("text", "rtype", "rdata"),
    [
        (rb"\# 0", 65280, b""),
        (rb"\# 4 C0000201", iana.A, b"\xc0\x00\x02\x01"),
        (rb"\# 4 c00 002 01", 65280, b"\xc0\x00\x02\x01"),
        (rb"\# 4 01610000", 65280, b"\x01a\x00\x00"),
        (rb"\# 3 016100", iana.CNAME, b"\x01a\x00"),
        (rb"\# 3 016100", iana.MB, b"\x01a\x00"),
        (rb"\# 4 00016100", iana.MINFO, b"\x00\x01a\x00"),
    ],
)
def test_any_rdata_can_be_written_in_hexadecimal(text: bytes, rtype: int, rdata: bytes):
    assert unknown(text, rtype) == rdata


@pytest.mark.rfc("3597", "5")
@pytest.mark.parametrize(
    ("text", "rtype", "reason"),
    [
        (rb"\# 3 aabb", 65280, "of 2 octets, announced as 3"),
        (rb"\# 0 aa", 65280, "of 1 octets, announced as 0"),
        (rb"\# 2 aabbc", 65280, "even number"),
        (rb"\# 2", 65280, "ends too early"),
        (rb"\# x aa", 65280, "not the length"),
        (rb"\# 3 c00002", iana.A, "not RDATA of type A"),
        (rb"\# 2 0161", iana.CNAME, "not RDATA of type CNAME"),
        (rb"\# 2 0161", 63, "ends early"),
        (rb"\# 8 0000000101010000", 63, "digest of 2 octets, expected 48"),
        (rb"\# 2 c000", iana.CNAME, "not RDATA of type CNAME"),
        (rb"\# 2 c000", iana.MB, "a label of 192 octets"),
        (rb"\# 2 0161", iana.MG, "cut off"),
        (rb"\# 1 00", iana.MINFO, "cut off"),
        (rb"\# 2 0000", iana.MR, "1 octets too many"),
        (rb"\# 8 0161000161c00000", iana.MINFO, "a label of 192 octets"),
        (rb"\# 5 0001 0801 ab", iana.DS, "expected 20 for type 1"),
        (rb"\# 7 0001 00 0002 0000", iana.SVCB, "no-default-alpn without alpn"),
        (rb"\# 9 0001 00 0000 0002 0003", iana.SVCB, "port is mandatory but not given"),
        (rb"\# 11 0001 00 0011 0000 0010 0000", iana.HTTPS, "out of order"),
        (rb"\# 11 0001 00 0011 0000 0011 0000", iana.HTTPS, "out of order"),
        (rb"\# 257 " + b"0161" * 128 + b"00", iana.MD, "a name of 257 octets"),
    ],
)
def test_hexadecimal_rdata_must_fit_its_length_and_its_type(text: bytes, rtype: int, reason: str):
    with pytest.raises(FieldError) as caught:
        unknown(text, rtype)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("WKS 192.0.2.1 " + "9" * 5000 + " 25", "is not a protocol, expected 0 to 255"),
        ("WKS 192.0.2.1 6 " + "9" * 5000, "expected 0 to 65535"),
        ("WKS 192.0.2.1 6 0-5", "is not a port or the name of a service"),
        ("WKS 192.0.2.1 \u0661 25", "is not a protocol"),
        ("WKS 192.0.2 6 25", "not an IPv4 address"),
        ("WKS 192.0.2.1", "ends too early, expected a protocol"),
        ("NSAP 0x", "bad NSAP address"),
        ("NSAP 0x.", "bad NSAP address"),
        ("NSAP 0xabc", "bad NSAP address"),
        ("NSAP 47", "bad NSAP address"),
        ("NSAP 0x1_0", "bad NSAP address"),
        ("NSAP", "ends too early"),
        ("NXT a. TYPE128", "type 128 is not allowed here, expected 1 to 127"),
        ("NXT a. TYPE0", "type 0 is not allowed here"),
        ("EID abc", "hexadecimal"),
        ("NIMLOC 0xab", "hexadecimal"),
        ("A6 129 a.", "not the length of a prefix, expected 0 to 128"),
        ("A6 64 a. a.", "not an IPv6 address"),
        ("A6 64 ::1", "ends too early, expected a domain name"),
        ("ATMA +", "bad ATM address"),
        ("ATMA +1x", "bad ATM address"),
        ("ATMA abc", "bad ATM address"),
        ("ATMA 39.", "bad ATM address"),
        ("ATMA +1..2", "bad ATM address"),
        ("SINK 1 2", "ends too early"),
        ("SINK 1 2 3 AB==", "Base 64"),
        ("DOA 1 2 3 x", "ends too early, expected Base 64 data"),
        ("DOA 1 2 256 x -", "expected 0 to 255"),
        ("AMTRELAY 10 2 0 .", "expected 0 to 1"),
        ("AMTRELAY 1e1 0 0 .", "expected 0 to 255"),
        ("AMTRELAY 10 0 4 .", "is not a type of relay, expected 0 to 3"),
        ("AMTRELAY 10 0 0 x", "the relay of type 0 is empty, expected ."),
        ("AMTRELAY 10 0 0", "ends too early, expected the relay"),
        ("AMTRELAY 10 0 1 1.2.3", "not an IPv4 address"),
        ("LOC " + "9" * 5000 + " N 1 E 1m", "not a number of degrees of latitude"),
        ("LOC 1 N 1 E infm", "not an altitude"),
        ("LOC 1 N 1 E nanm", "not an altitude"),
        ("LOC 1 N 1 E 1e5m", "not an altitude"),
        ("LOC 1 N 1 E 1_0m", "not an altitude"),
        ("LOC 1 N 1 E 1.001m", "at most two decimals"),
        ("LOC 1 N 1 E 42849672.96m", "expected -100000.00m to 42849672.95m"),
        ("LOC 1 N 1 E -100000.01m", "expected -100000.00m to 42849672.95m"),
        ("LOC 1 N 1 E 1m 1e999m", "not a size"),
        ("LOC 1 N 1 E 1m 90000000.01m", "expected 0.00m to 90000000.00m"),
        ("LOC 1 N 1 E xm", "not an altitude"),
        ("LOC 1_0 N 1 E 1m", "degrees of latitude"),
        ("LOC 1 6_0 N 1 E 1m", "bad latitude"),
        ("LOC 1 60 N 1 E 1m", "minutes"),
        ("LOC 1 2 60 N 1 E 1m", "seconds"),
        ("LOC 91 N 1 E 1m", "degrees of latitude, expected 0 to 90"),
        ("LOC 90 0 0.001 N 1 E 1m", "a latitude of more than 90 degrees"),
        ("LOC 1 N 180 1 W 1m", "a longitude of more than 180 degrees"),
        ("LOC 1 E 1 E 1m", "bad latitude, expected degrees, minutes, seconds, and N or S"),
        ("GPOS 1e5 1 1", "not a latitude"),
        ("GPOS 1_0 1 1", "not a latitude"),
        ("GPOS 1 nan 1", "not a longitude"),
        ("GPOS 90.1 1 1", "expected -90 to 90"),
        ("GPOS 1 -181 1", "expected -180 to 180"),
        ("APL x:192.0.2.0/24", "not a prefix"),
        ("APL 1_0:192.0.2.0/24", "not a prefix"),
        ("APL 1:192.0.2.0/2_4", "not a prefix"),
        ("APL 1:192.0.2.0/33", "33 bits, expected at most 32"),
        ("APL 1:192.0.2/24", "not an address of family 1"),
        ("APL 65536:aa/1", "family 65536, expected 1 or 2"),
        ("APL 3:aa/1", "family 3, expected 1 or 2"),
        ("LOC 1 N 1 E 1M", "not an altitude"),
        ("HIP 2 " + "aa" * 256 + " AAEC", "expected 1 to 255 pairs"),
        ("IPSECKEY 10 4 0 .", "not a type of gateway"),
        ("IPSECKEY 10 0 2 .", "ends too early"),
        ("IPSECKEY 10 0 0 gw", "expected ."),
        ("IPSECKEY 10 1 0 gw", "not an IPv4 address"),
        ("IPSECKEY 10 0 2 . AB==", "Base 64"),
        ("HIP 2 xx AAEC", "host identity tag"),
        ("HIP 2 20 AB==", "Base 64"),
        ("HIP 2 20", "ends too early"),
        ("EUI48 00-00-5e-00-53", "bad EUI48"),
        ("EUI64 00-00-5e-00-53-2a", "bad EUI64"),
        ("BRID AB==", "Base 64"),
    ],
)
def test_what_python_says_of_numbers_is_said_in_our_words(text: str, reason: str):
    rtype, _, rdata = text.partition(" ")
    with pytest.raises(FieldError) as caught:
        read(rtype, rdata)
    assert reason in caught.value.message
    assert not re.search("integer string|literal|convert|argument", caught.value.message)
