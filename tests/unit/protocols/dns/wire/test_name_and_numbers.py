from __future__ import annotations

import pytest

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana, name

LONGEST = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\x00"


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (".", b"\x00"),
        ("www.Example.", b"\x03www\x07Example\x00"),
        (r"a\.b.", b"\x03a.b\x00"),
        (r"\000\255.", b"\x02\x00\xff\x00"),
        (r"a\\b.", b"\x03a\\b\x00"),
        (b"caf\xc3\xa9.", b"\x05caf\xc3\xa9\x00"),
    ],
)
@pytest.mark.rfc("1035", "5.1")
def test_a_name_reads_from_master_file_text(text, wire):
    assert name.from_text(text) == wire
    assert name.from_text(name.to_text(wire)) == wire


def test_a_relative_name_continues_with_the_origin():
    assert name.from_text("www", b"\x07example\x00") == b"\x03www\x07example\x00"
    assert name.from_text(r"a\.b", b"\x00") == b"\x03a.b\x00"


@pytest.mark.parametrize(
    ("text", "reason", "offset"),
    [
        ("", "empty name", 0),
        ("a..b.", "empty label", 2),
        ("..", "empty label", 0),
        ("ab." + "x" * 64 + ".", "label of 64 octets, expected at most 63", 3),
        ("a\\", "backslash at the end", 1),
        ("a\\25", "bad escape", 1),
        ("a\\256", "bad escape", 1),
        ("a\\2x6", "bad escape", 1),
        ("www", "relative name without origin", 3),
        ("ab\N{LATIN SMALL LETTER E WITH ACUTE}.", "not ASCII", 2),
    ],
)
def test_text_that_is_no_name_is_refused_where_it_goes_wrong(text, reason, offset):
    with pytest.raises(DecodeError) as caught:
        name.from_text(text)
    assert reason in caught.value.reason
    assert caught.value.offset == offset


@pytest.mark.rfc("1035", "2.3.4")
def test_a_name_has_255_octets_at_most():
    assert name.from_text(name.to_text(LONGEST)) == LONGEST
    with pytest.raises(DecodeError, match="256 octets"):
        name.from_text(name.to_text(LONGEST)[:-1] + "a.")
    with pytest.raises(DecodeError, match="257 octets"):
        name.from_text("b", LONGEST)


@pytest.mark.rfc("4343", "3")
def test_the_key_folds_ascii_letters_and_leaves_every_length_and_other_octet_alone():
    for length in range(1, 64):
        assert name.key(bytes([length]) + b"A" * length + b"\x00")[0] == length
    assert name.key(b"\x04\xc0\xdeZ[\x00") == b"\x04\xc0\xdez[\x00"


def test_labels_parent_and_ancestry():
    wire = b"\x01a\x02bc\x00"
    assert name.labels(wire) == (b"a", b"bc")
    assert name.label_count(wire) == 2
    assert name.parent(wire) == b"\x02bc\x00"
    assert name.parent(name.ROOT) == name.ROOT
    assert name.labels(name.ROOT) == ()
    assert name.is_subdomain(wire, b"\x02BC\x00")
    assert name.is_subdomain(wire, wire)
    assert name.is_subdomain(wire, name.ROOT)
    assert not name.is_subdomain(b"\x02bc\x00", wire)
    # The octets of "bc." are the end of this one label, which is no child of "bc.".
    assert not name.is_subdomain(b"\x05aa\x02bc\x00", b"\x02bc\x00")


@pytest.mark.rfc("3597", "5")
def test_numbers_and_mnemonics_of_types_and_classes():
    assert iana.type_number("aaaa") == 28
    assert iana.type_number("TYPE65280") == 65280
    assert iana.type_number("*") == iana.type_number("ANY") == 255
    assert iana.type_text(28) == "AAAA"
    assert iana.type_text(65280) == "TYPE65280"
    assert iana.class_number("in") == 1
    assert iana.class_text(32) == "CLASS32"
    assert iana.class_number("CLASS32") == 32
    for wrong in ("AAAAA", "TYPE", "TYPE65536", "TYPE-1", "", "TYPE\N{SUPERSCRIPT TWO}"):
        with pytest.raises(UsageError, match="is not an RR type"):
            iana.type_number(wrong)


def test_codes_without_a_mnemonic_print_as_numbers():
    assert [iana.rcode_text(n) for n in (0, 3, 16, 23, 99)] == [
        "NOERROR",
        "NXDOMAIN",
        "BADVERS",
        "BADCOOKIE",
        "RCODE99",
    ]
    assert [iana.opcode_text(n) for n in (0, 5, 15)] == ["QUERY", "UPDATE", "OPCODE15"]
    assert [iana.option_text(n) for n in (3, 10, 15, 999)] == ["NSID", "COOKIE", "EDE", "OPT999"]


@pytest.mark.rfc("6895", "3.1")
def test_meta_types_are_distinguished_from_data_types():
    assert [n for n in range(300) if iana.is_meta_type(n)] == [0, 41, *range(128, 256)]
