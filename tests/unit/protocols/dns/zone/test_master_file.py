from __future__ import annotations

import gc
from typing import Any

import pytest

from pierhead.errors import ConfigError, Fault, UsageError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zone

HEAD = b"""$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns
ns A 192.0.2.53
"""


def zone(text: bytes, **options: object) -> Zone:
    return parse_zone(HEAD + text, origin="example.", **options)  # type: ignore[arg-type]


def faults(text: bytes, **options: object) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        zone(text, **options)
    return caught.value.faults


def records(of: Zone, owner: str, rtype: int) -> tuple[bytes, ...]:
    return of.nodes[name.key(name.from_text(owner))].sets[rtype].rdatas


def ttl(of: Zone, owner: str, rtype: int = iana.A) -> int:
    return of.nodes[name.key(name.from_text(owner))].sets[rtype].ttl


@pytest.mark.rfc("1035", "5.1")
def test_relative_names_continue_with_the_origin_and_absolute_ones_do_not():
    found = zone(b"www A 192.0.2.1\nb.example. MX 1 www\nb MX 2 c.test.\n")
    assert records(found, "www.example.", iana.A) == (b"\xc0\x00\x02\x01",)
    assert records(found, "b.example.", iana.MX) == (
        b"\0\1\3www\7example\0",
        b"\0\2\1c\4test\0",
    )


@pytest.mark.rfc("1035", "5.1")
def test_a_line_that_begins_with_a_blank_repeats_the_owner():
    found = zone(b'www A 192.0.2.1\n  AAAA ::1\n\tTXT "x" ; tokenized\n')
    assert set(found.nodes[b"\3www\7example\0"].sets) == {iana.A, iana.AAAA, iana.TXT}


@pytest.mark.rfc("1035", "5.1")
def test_ttl_and_class_come_in_either_order_or_not_at_all():
    found = zone(
        b"a 60 IN A 192.0.2.1\nb in 61 a 192.0.2.1\nc CLASS1 A 192.0.2.1\n60 A 192.0.2.1\n"
    )
    assert [ttl(found, f"{owner}.example.") for owner in ("a", "b", "c", "60")] == [
        60,
        61,
        300,
        300,
    ]


@pytest.mark.rfc("2308", "4")
def test_ttl_directive_applies_to_what_follows_it():
    found = zone(b"a A 192.0.2.1\n$TTL 1h30m\nb A 192.0.2.1\nc 5 A 192.0.2.1\nd A 192.0.2.1\n")
    assert [ttl(found, f"{owner}.example.") for owner in "abcd"] == [300, 5400, 5, 5400]


@pytest.mark.rfc("1035", "5.1")
def test_without_a_ttl_directive_the_last_ttl_is_repeated():
    text = b"@ 60 SOA ns h 1 2 3 4 5\n@ NS ns.test.\na 7 A 192.0.2.1\nb A 192.0.2.1\n"
    found = parse_zone(text, origin="example.")
    assert (ttl(found, "example.", iana.NS), ttl(found, "b.example.")) == (60, 7)


def test_without_any_ttl_the_minimum_of_the_soa_is_taken_with_a_warning():
    found = parse_zone(b"@ SOA ns h 1 2 3 4 77\n@ NS ns.test.\n", origin="example.")
    assert (found.soa.ttl, ttl(found, "example.", iana.NS)) == (77, 77)
    assert [(w.line, w.code) for w in found.warnings] == [(1, "ttl")]


def test_a_first_record_without_any_ttl_is_refused():
    with pytest.raises(ConfigError) as caught:
        parse_zone(b"@ NS ns.test.\n@ 5 SOA ns h 1 2 3 4 77\n", origin="example.")
    assert "no TTL" in caught.value.faults[0].message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"0", 0), (b"90s", 90), (b"1h30m", 5400), (b"1W2D", 777600), (b"2147483647", 2147483647)],
)
def test_ttls_have_units(text: bytes, seconds: int):
    assert ttl(zone(b"a " + text + b" A 192.0.2.1\n"), "a.example.") == seconds


@pytest.mark.rfc("2181", "8")
def test_a_ttl_above_31_bits_counts_as_zero_and_is_warned_of():
    found = zone(b"a 2147483648 A 192.0.2.1\n")
    assert (ttl(found, "a.example."), found.warnings[0].line) == (0, 5)


@pytest.mark.rfc("2181", "5.2")
def test_differing_ttls_in_a_set_become_the_lowest_with_a_warning():
    found = zone(b"a 60 A 192.0.2.1\na 50 A 192.0.2.2\na 70 A 192.0.2.3\n")
    assert ttl(found, "a.example.") == 50
    assert [(w.line, w.code) for w in found.warnings] == [(6, "ttl"), (7, "ttl")]


@pytest.mark.rfc("2181", "5")
def test_a_record_written_twice_is_one_record():
    found = zone(b"a A 192.0.2.1\nA A 192.0.2.2\na A 192.0.2.1\n")
    assert records(found, "a.example.", iana.A) == (b"\xc0\0\2\1", b"\xc0\0\2\2")


@pytest.mark.rfc("1035", "5.1")
def test_origin_directive_changes_what_relative_names_mean():
    found = zone(
        b"$ORIGIN sub\nwww A 192.0.2.1\n$ORIGIN other.example.\n@ A 192.0.2.2\nwww A 1.2.3.4\n"
    )
    assert {b"\3www\3sub\7example\0", b"\5other\7example\0", b"\3www\5other\7example\0"} <= set(
        found.nodes
    )


@pytest.mark.rfc("1035", "5.1")
def test_escapes_quotes_and_at_signs_in_names():
    found = zone(b'a\\.b A 192.0.2.1\n\\@ A 192.0.2.1\n"q" A 192.0.2.1\n\\065x CNAME @\n')
    assert {b"\3a.b\7example\0", b"\1@\7example\0", b"\1q\7example\0", b"\2ax\7example\0"} <= set(
        found.nodes
    )
    assert records(found, "Ax.example.", iana.CNAME) == (b"\7example\0",)


def test_names_keep_the_letter_case_they_were_written_in():
    found = zone(b"WWW.Sub A 192.0.2.1\n")
    assert found.nodes[b"\3www\3sub\7example\0"].sets[iana.A].owner == b"\3WWW\3Sub\7example\0"


@pytest.mark.rfc("3597", "5")
def test_types_without_a_name_are_written_by_number():
    found = zone(b"a TYPE65280 \\# 2 ab cd\na TYPE1 192.0.2.1\nb A \\# 4 01020304\n")
    assert records(found, "a.example.", 65280) == (b"\xab\xcd",)
    assert records(found, "a.example.", iana.A) == (b"\xc0\0\2\1",)
    assert records(found, "b.example.", iana.A) == (b"\1\2\3\4",)


def test_a_zone_of_another_class():
    text = b"@ 0 CH SOA ns h 1 2 3 4 5\n@ 0 CH NS ns\nversion 0 CH TXT pierhead\n"
    found = parse_zone(text, origin="bind.", rclass=iana.CLASS_CH)
    assert (found.rclass, found.soa.rclass) == (iana.CLASS_CH, iana.CLASS_CH)


def test_the_zone_is_named_by_its_soa_where_nothing_else_names_it():
    text = b"$ORIGIN Example.\n@ 60 SOA ns h 1 2 3 4 5\n@ NS ns.test.\n"
    assert parse_zone(text).origin == b"\7Example\0"


def test_without_a_name_the_soa_must_come_first():
    with pytest.raises(ConfigError) as caught:
        parse_zone(b"example. 60 NS ns.test.\nexample. SOA ns.test. h.test. 1 2 3 4 5\n")
    assert "name of the zone is not known" in caught.value.faults[0].message


def test_without_a_name_a_broken_soa_is_the_only_fault():
    with pytest.raises(ConfigError) as caught:
        parse_zone(b"example. 60 SOA ns.test. h.test. 1 2 3 4\nexample. NS ns.test.\n")
    assert [fault.line for fault in caught.value.faults] == [1]


@pytest.mark.parametrize("text", [b"", b"\n; nothing\n", b"$TTL 5\n"])
def test_an_empty_file_is_no_zone(text: bytes):
    for origin in (None, "example."):
        with pytest.raises(ConfigError) as caught:
            parse_zone(text, origin=origin)
        assert caught.value.faults[0].code == "soa"


def test_an_origin_that_is_no_name_is_the_callers_error():
    with pytest.raises(UsageError, match="not the name of a zone"):
        parse_zone(HEAD, origin="a..b")


def test_all_faults_are_reported_with_line_column_and_caret():
    found = faults(
        b"a A 192.0.2\nb MX 10\n   ; fine\nc TXT ( one\n  two \\999 )\n", file_name="e.zone"
    )
    assert [(f.line, f.column) for f in found] == [(5, 5), (6, 8), (9, 7)]
    assert str(found[0]) == (
        "e.zone:5:5: '192.0.2' is not an IPv4 address\n  a A 192.0.2\n      ^\n  one is 192.0.2.1"
    )


def test_columns_count_characters_not_octets():
    (fault,) = faults("é A x\n".encode())
    assert (fault.line, fault.column, fault.source) == (5, 5, "é A x")


def test_faults_come_in_the_order_of_the_file():
    found = faults(b"w CNAME x\nw A 192.0.2.1\nq A z\n")
    assert [fault.line for fault in found] == [6, 7]


def test_a_flood_of_faults_is_counted_not_listed():
    found = faults(b"a A x\n" * 1000)
    assert len(found) == 101
    assert "900 more" in found[-1].message


class CountingFolder:
    """A file of faults, and how often it was asked for."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.count = 0

    def read(self, path: str) -> bytes:
        self.count += 1
        return self.text


@pytest.mark.parametrize("line", [b"a A x\n", b"a TXT (\n", b"a.test. A 192.0.2.1\n", b"$FOO\n"])
def test_reading_stops_at_ten_thousand_faults(line: bytes):
    folder = CountingFolder(line * 1000)
    found = faults(b"$INCLUDE more\n" * 100, include=folder.read)
    assert folder.count == 10
    assert len(found) == 101
    assert "at least 9900 more faults: reading stopped at 10000" in found[-1].message


def test_a_file_full_of_faults_misses_nothing_that_was_not_reached():
    text = b"a 60 A x\n" * 10_000 + b"@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS a.test.\n"
    with pytest.raises(ConfigError) as caught:
        parse_zone(text, origin="example.")
    assert not [fault for fault in caught.value.faults if "no SOA" in fault.message]


@pytest.mark.parametrize(
    "line",
    [
        b"a \0" + bytes(9999),
        b"a NSEC b TYPE" + b"9" * 9999,
        b"a SVCB 1 . " + b"x" * 9999 + b"=",
        b"$GENERATE 1-2 a$ " + b"x" * 9999,
        b"$INCLUDE " + b"x" * 9999,
    ],
)
def test_a_fault_of_an_endless_word_is_short(line: bytes):
    for fault in faults(line + b"\n", include=Folder().read):
        assert len(fault.message) <= 2001
        assert len(fault.remedy) <= 2001


def test_a_long_name_is_shown_whole():
    owner = ".".join(["\\001" * 60] * 4)
    (fault,) = faults(f"{owner}.test. 1 A 192.0.2.1\n".encode())
    assert owner in fault.message


class CountingLines(bytes):
    """Text that counts how often a line's end was looked for."""

    count = 0

    def find(self, *place: Any) -> int:
        CountingLines.count += 1
        return super().find(*place)


def test_a_run_of_empty_lines_is_passed_over_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(CountingLines, "count", 0)
    text = CountingLines(HEAD + b"\n\r\n  \n\t \n" * 1000 + b"a A 192.0.2.1\n  \n ")
    assert records(parse_zone(text, origin="example."), "a.example.", iana.A)
    assert CountingLines.count < 20


def test_lines_are_counted_in_every_file_of_the_zone():
    folder = Folder(a=b"\nx A x\n$INCLUDE b\n\nx A x\n", b=b"\n\nx A x\n")
    found = faults(b"x A x\n$INCLUDE a\nx A x\n$INCLUDE a\n", include=folder.read)
    assert [(fault.file, fault.line) for fault in found] == [
        ("zone", 5),
        ("zone", 7),
        ("a", 2),
        ("a", 5),
        ("b", 3),
        ("a", 2),
        ("a", 5),
        ("b", 3),
    ]


def test_a_byte_order_mark_is_named():
    mark = b"\xef\xbb\xbf"
    with pytest.raises(ConfigError) as caught:
        parse_zone(mark + HEAD, origin="example.", file_name="e.zone")
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column) == ("e.zone", 1, 1)
    assert "begins with a byte order mark" in fault.message
    assert "without" in fault.remedy
    (fault,) = faults(b"$INCLUDE hosts\n", include=Folder(hosts=mark + b"a A 192.0.2.1\n").read)
    assert (fault.file, fault.line) == ("hosts", 1)


def test_each_parenthesis_without_its_partner_is_a_fault():
    found = faults(b"a TXT ( x\nb ) (\n" * 30 + b"c A x\n")
    assert [(fault.line, fault.column) for fault in found] == [
        (line, 5) for line in (*range(6, 65, 2), 65)
    ]


def test_the_source_of_an_endless_line_is_left_out():
    (fault,) = faults(b"a TXT " + b"x " * 1000 + b"\\999\n")
    assert fault.source == ""


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        (b"  A 192.0.2.1\n", 3, "no name precedes it"),
        (b"www\n", 4, "ends before its type"),
        (b"www IN\n", 7, "ends before its type"),
        (b"www FOO 1\n", 5, "'FOO' is not an RR type"),
        (b"www ANY 1\n", 5, "not a type that zones contain"),
        (b"www OPT 1\n", 5, "not a type that zones contain"),
        (b"www TYPE0 \\# 0\n", 5, "not a type that zones contain"),
        (b"www CH A 192.0.2.1\n", 5, "class CH, but the zone has IN"),
        (b"www 1 2 A 192.0.2.1\n", 7, "second TTL"),
        (b"www IN IN A 192.0.2.1\n", 8, "second class"),
        (b"www 1x A 192.0.2.1\n", 5, "bad TTL"),
        (b"www 4294967296 A 192.0.2.1\n", 5, "bad TTL"),
        (b"www A 192.0.2.1 x\n", 17, "this is an extra field"),
        (b"a..b A 192.0.2.1\n", 3, "empty label"),
        (b"a\\999 A 192.0.2.1\n", 2, "bad escape"),
        (b"x" * 64 + b" A 192.0.2.1\n", 1, "label of 64 octets"),
        (b".".join([b"x" * 60] * 5) + b" A 192.0.2.1\n", 305, "at most 255"),
        (b"a.test. 1 A 192.0.2.1\n", 1, "outside the zone"),
        (b". 1 A 192.0.2.1\n", 1, "outside the zone"),
        (b"$FOO\n", 1, "unknown directive"),
        (b"$TTL\n", 5, "ends too early"),
        (b"$TTL www\n", 6, "bad TTL"),
        (b"$TTL A\n", 6, "bad TTL"),
        (b"$TTL 1 2\n", 8, "this is an extra field"),
        (b"$ORIGIN\n", 8, "ends too early"),
        (b"$GENERATE 1-3 h$ A 192.0.2\n", 1, "generated line: h1 A 192.0.2"),
    ],
)
def test_a_fault_is_reported_at_its_position(text: bytes, column: int, reason: str):
    # A fresh file: "repeat" has nothing to repeat.
    with pytest.raises(ConfigError) as caught:
        parse_zone(text + HEAD.replace(b"$TTL 300\n@", b"@ 300"), origin="example.")
    fault = caught.value.faults[0]
    assert reason in fault.message
    assert (fault.line, fault.column) == (1, column)


def test_what_repeats_a_wrong_owner_does_not_land_elsewhere():
    found = faults(b"good A 192.0.2.1\nb..d A 192.0.2.2\n A 192.0.2.3\n")
    assert [fault.line for fault in found] == [6, 7]


def test_an_agreeing_suffix_inside_a_label_is_not_below_the_zone():
    # The label's octets end in the zone's whole name, length octet included.
    (fault,) = faults(b"x\\007example. A 192.0.2.1\n")
    assert fault.code == "out-of-zone"


def test_generate_makes_many_records():
    found = zone(b'$GENERATE 1-3 h${0,2} 60 IN MX "1$ mail$"\n')
    assert records(found, "h03.example.", iana.MX) == (b"\0\x0d\5mail3\7example\0",)


class Folder:
    """Files by name, and which were asked for."""

    def __init__(self, **files: bytes) -> None:
        self.files = files

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(f"no such file: {path}")
        return self.files[path]


@pytest.mark.rfc("1035", "5.1")
def test_include_reads_a_file_in_its_place_and_gives_back_origin_and_owner():
    folder = Folder(hosts=b"$ORIGIN deep\na A 192.0.2.1\nb A 192.0.2.2\n")
    found = zone(
        b"o A 192.0.2.9\n$INCLUDE hosts sub ; c\n AAAA ::1\nn AAAA ::1\n", include=folder.read
    )
    assert {
        b"\1a\4deep\3sub\7example\0",
        b"\1b\4deep\3sub\7example\0",
        b"\1n\7example\0",
    } <= set(found.nodes)
    assert set(found.nodes[b"\1o\7example\0"].sets) == {iana.A, iana.AAAA}


def test_a_fault_in_an_included_file_names_that_file():
    (fault,) = faults(b"$INCLUDE hosts\n", include=Folder(hosts=b"\na A x\n").read)
    assert (fault.file, fault.line, fault.column) == ("hosts", 2, 5)


@pytest.mark.parametrize("path", [b"/etc/passwd", b"../x", b"a/../../x", b'""', b"a\\000b"])
def test_include_stays_in_the_folder_of_the_zone(path: bytes):
    (fault,) = faults(b"$INCLUDE " + path + b"\n", include=lambda name: b"")
    assert (fault.column, "out of the zone's directory" in fault.message) == (10, True)


def test_include_is_refused_where_there_are_no_files():
    (fault,) = faults(b"$INCLUDE hosts\n")
    assert "not allowed" in fault.message


def test_a_file_that_cannot_be_read_is_a_fault():
    (fault,) = faults(b"$INCLUDE gone\n", include=Folder().read)
    assert "no such file" in fault.message


def test_files_that_include_each_other_end_in_a_fault():
    found = faults(b"$INCLUDE a\n", include=Folder(a=b"$INCLUDE a\n$INCLUDE a\n").read)
    assert "include each other" in found[0].message


def test_include_takes_no_third_word():
    (fault,) = faults(b"$INCLUDE a b c\n", include=Folder(a=b"").read)
    assert (fault.column, "an extra field" in fault.message) == (14, True)


def test_the_garbage_collector_is_left_as_it_was():
    zone(b"")
    assert gc.isenabled()
    gc.disable()
    try:
        zone(b"")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_rdata_has_65535_octets_at_most():
    text = b"a TXT " + b" ".join([b"x" * 255] * 257) + b"\n"
    (fault,) = faults(text)
    assert "at most 65535" in fault.message


def test_a_fault_after_leading_white_space_explains_the_white_space():
    with pytest.raises(ConfigError) as caught:
        parse_zone(b"@ 60 SOA a b 1 2 3 4 5\n www CNAME b\nx www CNAME b\n", origin="example.")
    first, second = (
        fault for fault in caught.value.faults if "'www' is not an RR type" in fault.message
    )
    assert "remove it if 'www' is a name" in first.remedy
    assert second.remedy == ""


@pytest.mark.rfc("9460", "2.1")
def test_the_value_of_a_parameter_follows_without_a_blank():
    head = b"@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a.test.\n"
    parse_zone(head + b'@ 60 HTTPS 1 . alpn="h2" port=1', origin="example.")
    parse_zone(head + b'$GENERATE 1-2 h$ HTTPS 1 . key66$="h2"', origin="example.")
    for line in (b'@ 60 HTTPS 1 . alpn= "h2"', b'@ 60 HTTPS ( 1 . alpn= ; "h2"\n "h2" )'):
        with pytest.raises(
            ConfigError, match="a space between the parameter and its value"
        ) as caught:
            parse_zone(head + line, origin="example.")
        assert caught.value.faults[0].remedy == 'write alpn="h2"'
