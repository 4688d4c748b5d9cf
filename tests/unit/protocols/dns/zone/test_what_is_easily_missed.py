"""What people do not see in their files: names without a zone, characters, TTLs, parentheses."""

from __future__ import annotations

import pytest

from pierhead.errors import ConfigError, Fault
from pierhead.protocols.dns.zone.master_file import parse_zone

HEAD = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


def warnings(text: str | bytes, head: str = HEAD) -> list[tuple[int, int, str]]:
    octets = text if isinstance(text, bytes) else text.encode()
    found = parse_zone(head.encode() + octets + b"\n", origin="example.").warnings
    return [(fault.line, fault.column, fault.message) for fault in found]


def faults(text: str | bytes, origin: str | None = "example.") -> list[Fault]:
    octets = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigError) as caught:
        parse_zone(octets, origin=origin, file_name="db.example")
    return list(caught.value.faults)


# Which zone it is


def test_an_absolute_owner_of_the_soa_record_is_the_origin_of_all_that_follows():
    text = HEAD.replace("@ 300 SOA", "Example.Org. 300 SOA")
    found = parse_zone(text.encode())
    assert found.key == b"\7example\3org\0"
    assert b"\2ns\7example\3org\0" in found.nodes


def test_an_origin_in_the_file_is_stronger():
    text = "$ORIGIN test.\nexample 300 SOA ns h 1 2 3 4 5\nexample 300 NS ns.test.\n"
    found = parse_zone(text.encode())
    assert found.key == b"\7example\4test\0"
    assert found.soa.rdatas[0].startswith(b"\2ns\4test\0")


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD.replace("@", "example.org"),
        "www.example.org. 300 A 192.0.2.1\n" + HEAD,
        "$ORIGIN example\n" + HEAD,
        "$TTL 300\n@ SOA ns h 1 2 3 4 5\n" * 50,
    ],
)
def test_a_file_that_names_no_zone_has_one_fault_and_the_way_out(text: str):
    (found,) = faults(text, origin=None)
    assert found.message == "the name of the zone is not known"
    assert "give the file as NAME=db.example" in found.remedy
    assert "$ORIGIN" not in found.remedy


def test_a_wrong_soa_record_is_the_only_fault_where_it_would_name_the_zone():
    assert len(faults("example. 300 SOA ns h 1 2 3 4\n@ 300 NS ns\n", origin=None)) == 1
    assert len(faults("example. 300 SOA ns h ( 1 2 3 4 5\n@ 300 NS ns\n", origin=None)) == 1
    assert len(faults("@ 300 SOA ns h ( 1 2 3 4 5\n@ 300 NS ns\n", origin=None)) == 1


# Entries without an end


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("1 2 3 4 5", "( 1 2 3 4 5"),
        HEAD.replace("1 2 3 4 5", "(\n 1 2\n 3 4 5 ; end"),
        HEAD.replace("1 2 3 4 5", '1 2 3 4 5 "'),
        HEAD.replace("1 2 3 4 5", "1 2 3 4 5)"),
        HEAD.replace("1 2 3 4 5", "1 2 3 4 5\\"),
        HEAD.replace("SOA ns", "IN SOA( ns"),
        HEAD.replace("NS ns", "NS (ns"),
        HEAD.replace("@ 300 NS ns", " 300 NS ( ns"),
    ],
)
def test_a_record_that_has_no_end_is_not_also_missing(text: str):
    (found,) = faults(text)
    assert found.code == "syntax"


# Characters


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("w 300 TXT “hello”", 11, "a curly quotation mark (U+201C)"),
        ("w 300 TXT ’x", 11, "a curly quotation mark (U+2019)"),
        ("w\N{NO-BREAK SPACE}x 300 A 192.0.2.1", 2, "a no-break space (U+00A0)"),
        ("w 300 TXT a\N{ZERO WIDTH SPACE}b", 12, "a zero width space (U+200B)"),
        (b"w 300 TXT \x93hello\x94", 11, "a curly quotation mark (U+201C)"),
        (b"w\xa0x 300 TXT x", 2, "a no-break space (U+00A0)"),
        ("w 300 TXT ( ”\n )", 13, "a curly quotation mark (U+201D)"),
        ('w 300 TXT "it’s" ’', 18, "a curly quotation mark (U+2019)"),
    ],
)
def test_a_character_that_looks_like_another_is_shown(text: str | bytes, column: int, what: str):
    ((line, at, message),) = warnings(text)
    assert (line, at, message) == (4, column, f"{what} is part of this field")


@pytest.mark.parametrize(
    "text",
    [
        'w 300 TXT "“hello” it’s"',
        "w 300 A 192.0.2.1 ; “here” it’s",
        "wà 300 TXT déjà",
        'w 300 TXT "a\\"’" ; it’s "',
        "w 300 TXT \\226\\128\\156",
        b"w 300 TXT \xe4\xf6\xfc",
    ],
)
def test_in_quotes_and_comments_and_letters_it_is_what_it_looks_like(text: str | bytes):
    assert warnings(text) == []


@pytest.mark.parametrize(
    "text", ["w 300\N{NO-BREAK SPACE}A 192.0.2.1", "w 300 A\N{NO-BREAK SPACE}192.0.2.1"]
)
def test_where_it_is_an_error_the_remedy_names_the_character(text: str):
    (found,) = faults(HEAD + text + "\n")
    assert "there is a no-break space (U+00A0) in" in found.remedy


# TTLs


@pytest.mark.rfc("1035", "5.1")
def test_a_ttl_of_a_line_before_is_warned_of_once():
    ((line, column, message),) = warnings("a A 192.0.2.1\nb A 192.0.2.2\nc 5 A 192.0.2.3")
    assert (line, column) == (4, 1)
    assert message.startswith("no TTL is given; 300, that of a line before, is used here")


@pytest.mark.rfc("2308", "4")
def test_a_ttl_directive_is_not_inherited_from_a_line_before():
    assert warnings("$TTL 60\na A 192.0.2.1") == []


def test_where_the_soa_record_gives_the_ttl_that_is_said_and_nothing_else():
    head = HEAD.replace(" 300 ", " ")
    ((line, _, message),) = warnings("", head)
    assert (line, "the last number of the SOA record" in message) == (1, True)
