"""Laws of RDATA as people write it: any text is a record or a fault with its place."""

from __future__ import annotations

import base64
import itertools
import struct

import dns.exception
import dns.rdata
import dns.rdataclass
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares
from tests.unit.protocols.dns.zone.test_rdata_text import OLDER, ORIGIN, SAMPLES

from pierhead.errors import ConfigError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.zone.fields import FieldError, Fields
from pierhead.protocols.dns.zone.format import format_zone
from pierhead.protocols.dns.zone.known_values import value_problem
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.rdata_format import format_rdata, layout_problem
from pierhead.protocols.dns.zone.rdata_text import rdata_reader, read_unknown
from pierhead.protocols.dns.zone.tokenizer import EntryError, read_entry

APL, LOC = iana.APL, iana.type_number("LOC")
HIP, RELAY = iana.type_number("HIP"), iana.type_number("AMTRELAY")

#: Text of every type that has one.
ALL = [*SAMPLES, *((rtype, text) for rtype, text, _ in OLDER)]
#: What a slip of the finger, or malice, puts into a field.
ESCAPES = [rb"\256", rb"\999", rb"\25", rb"\2x", rb"\000", rb"\255", rb"\.", rb"\"", rb"\,", rb"\\"]
MISHAPS = [*ESCAPES, b"\xff", b"\xc3\xa9", b"-1", b"1e5", b"1_0", b"+1", b"nan", b"", b'"', b":"]


def read_or_fault(rtype: int, tokens: list[bytes]) -> bytes | None:
    """Return RDATA, None for a fault that has its place; anything else is a failure."""
    fields = Fields(tokens, origin=ORIGIN)
    try:
        rdata = rdata_reader(rtype)(fields)
    except FieldError as error:
        found = error
    else:
        met("read" if fields.at_end() else "fault")
        return rdata if fields.at_end() else None
    met("fault")
    assert found.message
    assert 0 <= found.index <= len(tokens)
    if found.index < len(tokens):
        assert 0 <= found.offset <= len(tokens[found.index])
    return None


@shares(read=0.1, fault=0.1)
@settings(max_examples=250, deadline=None)
@given(
    sample=st.sampled_from(ALL),
    data=st.data(),
)
def test_escapes_and_mishaps_in_any_field_give_a_record_or_a_fault(sample, data):
    rtype, text = sample
    tokens = read_entry(text.encode()).tokens
    if tokens:
        index = data.draw(st.integers(0, len(tokens) - 1))
        token = tokens[index]
        at = data.draw(st.integers(0, len(token)))
        cut = data.draw(st.integers(at, len(token)))
        mishap = data.draw(st.one_of(st.sampled_from(MISHAPS), st.binary(max_size=4)))
        try:
            tokens[index : index + 1] = read_entry(token[:at] + mishap + token[cut:]).tokens
        except EntryError:
            met("fault")
            return
    read_or_fault(iana.type_number(rtype), tokens)


@pytest.mark.parametrize("rtype", sorted({rtype for rtype, _ in ALL}))
def test_an_escape_in_place_of_each_field_gives_a_record_or_a_fault(rtype: str):
    samples = [text for known, text in ALL if known == rtype]
    for sample, escape in itertools.product(samples, ESCAPES):
        tokens = read_entry(sample.encode()).tokens
        for index, token in enumerate(tokens):
            for written in (escape, token + escape, escape + token, b'"' + escape + b'"'):
                changed = [*tokens[:index], written, *tokens[index + 1 :]]
                read_or_fault(iana.type_number(rtype), changed)


@shares(read=0.02, fault=0.1)
@settings(max_examples=300, deadline=None)
@given(
    rtype=st.sampled_from(sorted({rtype for rtype, _ in ALL})),
    line=st.text(st.sampled_from('019afz-_+.:/!=,\\"() \t;*@\x0c\x00é'), max_size=40),
)
@example(rtype="CAA", line=r"0 \256 a")
@example(rtype="APL", line="")
@example(rtype="SVCB", line=r"1 . alpn=\256")
def test_any_line_gives_a_record_or_a_fault(rtype: str, line: str):
    try:
        tokens = read_entry(line.encode()).tokens
    except EntryError:
        met("fault")
        return
    read_or_fault(iana.type_number(rtype), tokens)


#: Types that end in Base 64, with what stands before it.
BASE_64 = [
    ("DNSKEY", "256 3 8"),
    ("RRSIG", "A 5 3 1 1 1 1 @"),
    ("OPENPGPKEY", ""),
    ("KEY", "0 3 8"),
]


@pytest.mark.rfc("4648", "3.5")
@shares(read=0.05, fault=0.1)
@settings(deadline=None)
@given(
    kind=st.sampled_from(BASE_64),
    data=st.binary(min_size=1, max_size=8),
    slip=st.text("ABQgw/+=", max_size=4),
    cut=st.integers(0, 4),
)
def test_base_64_that_is_accepted_is_what_would_be_written(kind, data, slip, cut):
    rtype, before = kind
    right = base64.b64encode(data).decode()
    written = right[: max(len(right) - cut, 0)] + slip
    tokens = f"{before} {written}".encode().split()
    rdata = read_or_fault(iana.type_number(rtype), tokens)
    if written == right:
        assert rdata is not None
    if rdata is not None and written:
        assert rdata.endswith(found := base64.b64decode(written))
        assert base64.b64encode(found).decode() == written


@pytest.mark.rfc("5155", "3.3")
@shares(read=0.1, fault=0.1)
@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=8), last=st.text("0124GV=", max_size=2))
def test_a_hash_that_is_accepted_is_what_would_be_written(data, last):
    right = base64.b32hexencode(data).decode().rstrip("=")
    written = right[: len(right) - len(last)] + last
    rdata = read_or_fault(iana.type_number("NSEC3"), f"200 0 0 - {written}".encode().split())
    if written == right:
        assert rdata == b"\xc8\0\0\0\0" + bytes((len(data),)) + data
    elif rdata is not None:
        assert base64.b32hexencode(rdata[6:]).decode().rstrip("=") == written


@pytest.mark.rfc("1876", "3")
@shares(read=1.0)
@settings(deadline=None)
@given(
    latitude=st.integers(-324_000_000, 324_000_000),
    longitude=st.integers(-648_000_000, 648_000_000),
    altitude=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=3, max_size=3),
)
def test_a_location_is_written_and_read_to_the_centimetre(latitude, longitude, altitude, sizes):
    numbers = (2**31 + latitude, 2**31 + longitude, altitude)
    rdata = bytes((0, *(base << 4 | exponent for base, exponent in sizes)))
    rdata += b"".join(number.to_bytes(4, "big") for number in numbers)
    text = format_rdata(LOC, rdata)
    assert read_or_fault(LOC, text.encode().split()) == rdata


@pytest.mark.rfc("3123", "5")
@shares(read=1.0)
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(
                st.tuples(st.just(1), st.integers(0, 32), st.binary(max_size=4)),
                st.tuples(st.just(2), st.integers(0, 128), st.binary(max_size=16)),
            ),
        )
    )
)
def test_prefixes_are_written_and_read_alike(prefixes):
    rdata = b""
    for negated, (family, bits, octets) in prefixes:
        address = octets.rstrip(b"\0")
        rdata += family.to_bytes(2, "big") + bytes((bits, negated << 7 | len(address))) + address
    assert read_or_fault(APL, format_rdata(APL, rdata).encode().split()) == rdata


@pytest.mark.rfc("1035", "3.4.2")
@shares(read=1.0)
@settings(deadline=None)
@given(
    address=st.binary(min_size=4, max_size=4),
    protocol=st.integers(0, 255),
    ports=st.sets(st.integers(0, 65535), max_size=9),
)
def test_well_known_services_are_written_and_read_alike(address, protocol, ports):
    dotted = ".".join(map(str, address))
    text = " ".join(map(str, (dotted, protocol, *sorted(ports))))
    rdata = read_or_fault(iana.WKS, text.encode().split())
    assert rdata is not None
    assert format_rdata(iana.WKS, rdata) == text
    assert len(rdata) == 5 + (max(ports) // 8 + 1 if ports else 0)


@pytest.mark.rfc("1706", "6")
@shares(read=1.0)
@settings(deadline=None)
@given(octets=st.binary(min_size=1, max_size=20), stops=st.sets(st.integers(0, 40), max_size=5))
def test_nsap_addresses_are_written_and_read_alike(octets, stops):
    text = format_rdata(iana.NSAP, octets)
    assert read_or_fault(iana.NSAP, [text.encode()]) == octets
    dotted = "".join(f".{c}" if n in stops else c for n, c in enumerate(octets.hex().upper()))
    assert read_or_fault(iana.NSAP, [f"0X{dotted}".encode()]) == octets


#: A gateway or a relay by its type: nothing, an address, a name.
TARGETS = st.one_of(
    st.just((0, b"")),
    st.tuples(st.just(1), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(2), st.binary(min_size=16, max_size=16)),
    st.tuples(
        st.just(3),
        st.lists(st.binary(min_size=1, max_size=9), max_size=3).map(
            lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
        ),
    ),
)


@pytest.mark.rfc("8777", "4.3")
@pytest.mark.rfc("4025", "3.1")
@shares(read=1.0)
@settings(deadline=None)
@given(target=TARGETS, numbers=st.tuples(st.integers(0, 255), st.integers(0, 255)), key=st.binary())
def test_relays_and_gateways_are_written_and_read_alike(target, numbers, key):
    kind, octets = target
    first, second = numbers
    relay = bytes((first, (second & 1) << 7 | kind)) + octets
    key = key if second == 0 else key + b"k"
    gateway = bytes((first, kind, second)) + octets + key
    for rtype, rdata in ((RELAY, relay), (iana.IPSECKEY, gateway)):
        tokens = read_entry(format_rdata(rtype, rdata).encode()).tokens
        assert read_or_fault(rtype, tokens) == rdata


@pytest.mark.rfc("8005", "6")
@shares(read=1.0)
@settings(deadline=None)
@given(
    algorithm=st.integers(0, 255),
    tag=st.binary(min_size=1, max_size=255),
    key=st.binary(min_size=1, max_size=300),
    servers=st.integers(0, 3),
)
def test_host_identities_are_written_and_read_alike(algorithm, tag, key, servers):
    head = bytes((len(tag), algorithm)) + len(key).to_bytes(2, "big")
    rdata = head + tag + key + b"\3rvs\0" * servers
    assert read_or_fault(HIP, format_rdata(HIP, rdata).encode().split()) == rdata


@pytest.mark.rfc("3597", "5")
@shares(read=0.1, fault=0.0)
@settings(max_examples=250, deadline=None)
@given(sample=st.sampled_from(ALL), data=st.data())
def test_what_can_be_written_as_text_can_be_written_in_hexadecimal(sample, data):
    rtype = iana.type_number(sample[0])
    tokens = read_entry(sample[1].encode()).tokens
    if tokens:  # another number, address or digest in its place, if that is one
        index = data.draw(st.integers(0, len(tokens) - 1))
        tokens[index] = data.draw(st.sampled_from([*CHANGES, tokens[index]]))
    rdata = read_or_fault(rtype, tokens)
    if rdata is not None:
        written = [b"\\#", b"%d" % len(rdata), *([rdata.hex().encode()] if rdata else [])]
        assert read_unknown(Fields(written), rtype) == rdata


@pytest.mark.rfc("3597", "5")
@shares(read=0.5, fault=0.1)
@settings(max_examples=250, deadline=None)
@given(sample=st.sampled_from(ALL), data=st.data())
def test_what_is_taken_in_hexadecimal_is_shown_as_text_that_reads_back(sample, data):
    rtype = iana.type_number(sample[0])
    rdata = changed(read_or_fault(rtype, read_entry(sample[1].encode()).tokens), data)
    if layout_problem(rtype, rdata) or value_problem(rtype, rdata):
        met("fault")
        return
    text = format_rdata(rtype, rdata)
    if rtype == iana.WKS:
        rdata = rdata[:5] + rdata[5:].rstrip(b"\0")  # a map may be longer than it has to be
    if text.startswith("\\#"):
        assert sample[0] in LENIENT or rtype in (iana.ATMA, iana.APL)
    else:
        assert read_or_fault(rtype, read_entry(text.encode()).tokens) == rdata


def changed(rdata: bytes | None, data: st.DataObject) -> bytes:
    """Return octets with some of them removed or replaced."""
    assert rdata is not None
    at = data.draw(st.integers(0, len(rdata)))
    cut = data.draw(st.integers(0, 3))
    return rdata[:at] + data.draw(st.binary(max_size=3)) + rdata[at + cut :]


CHANGES = [b"0", b"1", b"2", b"200", b"255", b"65535", b".", b"@", b"AA==", b"abcd", b'""', b"::1"]
#: Where RDATA in hexadecimal is taken that dnspython refuses, and what is in it.
LENIENT = {
    "AMTRELAY": "a relay of a type yet to be defined",
    "IPSECKEY": "a gateway of a type yet to be defined",
    "LOC": "another version",
    "SVCB": "a value is opaque under its number; parameters beside an alias are ignored",
    "HTTPS": "likewise",
    "URI": "an empty target, as BIND, NSD and Knot have it",
    "ISDN": "an empty subaddress",
    "TLSA": "a digest that matches no certificate, as BIND, NSD, Knot and ldns have it",
    "SMIMEA": "likewise",
    "ZONEMD": "a private scheme",
}
#: Where it is refused, though dnspython takes it: none of this can be written as text.
STRICT = {
    "BRID": "empty",
    "CERT": "no certificate",
    "CDNSKEY": "no key",
    "DHCID": "empty",
    "DNSKEY": "no key",
    "HHIT": "empty",
    "HIP": "an empty tag or key",
    "IPSECKEY": "an algorithm without key",
    "KEY": "no key, though the flags say that there is one",
    "NSAP": "empty",
    "NSEC3": "an empty hash",
    "OPENPGPKEY": "empty",
    "RRSIG": "no signature",
    "SIG": "no signature",
    "SMIMEA": "no certificate",
    "SSHFP": "no fingerprint",
    "TLSA": "no certificate",
    "DS": "no digest; the length of those of types 5 and 6",
    "CDS": "no digest, or one of type 0",
    "DLV": "no digest",
    "WKS": "more ports than there are",
}


@pytest.mark.rfc("3597", "5")
@shares(read=0.2, fault=0.0)
@settings(max_examples=700, deadline=None)
@given(sample=st.sampled_from(SAMPLES), data=st.data())
def test_layouts_are_checked_as_dnspython_checks_them(sample, data):
    text, written = sample
    rtype = iana.type_number(text)
    rdata = changed(read_or_fault(rtype, read_entry(written.encode()).tokens), data)
    fields = Fields([b"\\#", b"%d" % len(rdata), *([rdata.hex().encode()] if rdata else [])])
    try:
        read_unknown(fields, rtype)
    except FieldError:
        is_ours = False
    else:
        is_ours = True
    is_theirs = dnspython_reads(rtype, rdata)
    if is_ours and not is_theirs:
        assert text in LENIENT, rdata.hex()
    if is_theirs and not is_ours:
        assert text in STRICT, (rdata.hex(), layout_problem(rtype, rdata))


def dnspython_reads(rtype: int, rdata: bytes) -> bool:
    """Tell whether dnspython reads these octets, and writes them the same way."""
    try:
        record = dns.rdata.from_wire(dns.rdataclass.IN, rtype, rdata, 0, len(rdata))
        return record.to_wire() == rdata
    except (dns.exception.DNSException, ValueError, struct.error):
        return False


HEAD = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


def zone_or_faults(line: str) -> list[object]:
    """Return the records that a line gives below some others, or what is said of it."""
    text = HEAD + line
    try:
        found = parse_zone(text.encode(), origin="example.")
    except ConfigError as error:
        met("fault")
        return [fault.message for fault in error.faults]
    met("read")
    return list(format_zone(found))


@pytest.mark.rfc("1035", "5.1")
@shares(read=0.01, fault=0.1)
@settings(deadline=None, max_examples=300)
@given(
    start=st.text("w \t\f\v\x01\x1c\x1f\x7f", max_size=3),
    words=st.lists(
        st.sampled_from(
            ["300", "IN", "A", "TXT", "192.0.2.2", "w", "a\fb", "\f", "\v", "\x01", "\x1c", "\x85"]
        ),
        min_size=1,
        max_size=4,
    ),
)
@example(start="\f", words=["w", "300", "A", "192.0.2.2"])
@example(start="\x01", words=["300", "A", "192.0.2.2"])
@example(start="\x1f\x1e", words=["300", "300", "\x01", "\x01"])
def test_a_line_is_read_alike_with_a_comment_parentheses_and_tabs(start, words):
    rest = " ".join(words)
    line = f"{start} {rest}"
    plain = zone_or_faults(line)
    assert zone_or_faults(line + " ;") == plain
    assert zone_or_faults(line + " ; comment\n") == plain
    assert zone_or_faults(line + "\r\n") == plain
    assert zone_or_faults(line + " ( )") == plain
    assert zone_or_faults(line.replace(" ", "\t")) == plain
    assert zone_or_faults(f"{start} (\n{rest} )") == plain


@pytest.mark.rfc("1035", "5.1")
@shares(read=0.1, fault=0.1)
@settings(deadline=None, max_examples=300)
@given(
    lines=st.lists(
        st.sampled_from(
            [
                "w 300 A 192.0.2.2",
                " 300 TXT a",
                'v 300 TXT "\t" ; c',
                "x 300 A (",
                "  192.0.2.3 )",
                "",
                "y 300 TXT \\",
                "z A 1",
                "; c",
                "w 300 TXT \x0b",
            ]
        ),
        max_size=5,
    ),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\r\r", "\r\r\n"]), min_size=5, max_size=5),
)
@example(lines=["w 300 A 192.0.2.2", "; c", "v 300 A 192.0.2.3"], ends=["\r"] * 5)
def test_lines_end_in_line_feed_carriage_return_or_both(lines, ends):
    # A comment goes on to the next LF, as BIND and NSD have it.
    ends = [end if ";" not in line else "\n" for line, end in zip(lines, ends, strict=False)]
    unix = zone_or_faults("".join(f"{line}\n" for line in lines))
    other = zone_or_faults("".join(line + end for line, end in zip(lines, ends, strict=True)))
    assert other == unix


@pytest.mark.parametrize(
    "text", ["w\0w A 1", "\0", "w TXT a\\\0", "w TXT ( \0 )", " \0 A 192.0.2.1"]
)
def test_a_nul_octet_is_refused_where_it_stands(text: str):
    with pytest.raises(ConfigError) as caught:
        parse_zone(HEAD.encode() + text.encode(), origin="example.")
    fault = caught.value.faults[0]
    assert "a NUL octet" in fault.message
    assert fault.column - 1 in (text.index("\0"), text.index("\0") - 1)


@pytest.mark.parametrize("octet", ["\f", "\v", "\x01", "\x7f"])
def test_a_control_character_is_part_of_its_field(octet: str):
    shown = f"\\{ord(octet):03d}"
    assert f"{shown}w.example.\t300\tIN\tA\t192.0.2.2" in zone_or_faults(
        f"{octet}w 300 A 192.0.2.2"
    )
    assert f'w.example.\t300\tIN\tTXT\t"a{shown}b"' in zone_or_faults(f"w 300 TXT a{octet}b")
    assert len(zone_or_faults(f"w{octet}A 192.0.2.2")) == 1


#: Characters of all widths on a terminal, and octets that are none.
BEFORE = [
    *(b"w", b"\x01", b"\x1b[2J", b"\v", b"\f", b"\x7f", b"\x1c", b"\xc2\x85", b"\xe2\x80\x8b"),
    *(b"\xff", b"\xe2\x82", "é".encode(), "e\u0301".encode(), "日本".encode(), "🌍".encode()),
]


@settings(deadline=None, max_examples=300)
@given(
    before=st.lists(st.sampled_from(BEFORE), min_size=1, max_size=6),
    line=st.sampled_from(
        [
            ("% A 192.0.2", "192.0.2"),
            ("w TXT % \\256", "\\256"),
            ('"%" A 1', "1"),
            ("w A ( 1.2.3.4 ) x ; %", "x ;"),
        ]
    ),
)
@example(before=[b"\x01", b"\x02"], line=("% A 192.0.2", "192.0.2"))
@example(before=["e\u0301".encode()], line=("% A 192.0.2", "192.0.2"))
@example(before=["日本".encode()], line=("w TXT % \\256", "\\256"))
def test_the_caret_stands_below_what_it_blames(before: list[bytes], line: tuple[str, str]):
    text, blamed = line
    written = text.encode().replace(b"%", b"".join(before))
    with pytest.raises(ConfigError) as caught:
        parse_zone(HEAD.encode() + written, origin="example.")
    shown, caret = str(caught.value.faults[0]).splitlines()[1:3]
    assert caret.strip() == "^"
    assert columns(shown[: shown.rindex(blamed)]) == caret.index("^")


def columns(text: str) -> int:
    """Return how wide a terminal shows a text of the characters above."""
    wide = sum(char in "日本🌍" for char in text)
    return len(text) + wide - text.count("\u0301")
