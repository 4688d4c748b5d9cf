"""Every remedy in a zone fault works: it is applied, and the zone is read again."""

from __future__ import annotations

import ast
import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.errors import ConfigError, Fault
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.zone import check
from pierhead.protocols.dns.zone.master_file import parse_zone

HEAD = """$TTL 300
@ SOA ns h 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
"""
SIZE = "".join(f"w TXT {'x' * 200}{number}\n" for number in range(400))
HALF = SIZE[: len(SIZE) // 2].rpartition("\n")[0] + "\n"
GENERATED = "\n$GENERATE 1-2 w$ A 192.0.2.$"
#: What is wrong, part of what is advised, and the text where that has been done; `HEAD` stands
#: before both, unless they begin with a new zone.
CASES = [
    ("$TTL 5\nw A 192.0.2.1\n", "begin it with: example. 3600 SOA", None),
    ("$TTL 5\n@ SOA a. h 1 2 3 4 5\n", "add at least one, as in: example. 3600 NS ns1.", None),
    ("@ DS 1 8 1 " + "00" * 20, "move it into the parent zone", ""),
    ("w CNAME ns\nw A 192.0.2.1", "remove the CNAME or the other records", "w CNAME ns"),
    ("w CNAME ns\nw A 192.0.2.1", "remove the CNAME or the other records", "w A 192.0.2.1"),
    ("w DNAME x.test.\nw NS ns", "put the DNAME into the delegated zone", "w NS ns"),
    ("w SOA ns h 1 2 3 4 5", "a separate zone belongs in its own file", ""),
    ("*.w NS ns", "delegate each name separately", "a.w NS ns\nb.w NS ns"),
    (SIZE, "distribute them over several names", HALF + HALF.replace("w TXT", "v TXT")),
    ("w DNAME x.test.\na.w A 192.0.2.1", "remove the record or the DNAME", "w DNAME x.test."),
    ("w DNAME x.test.\na.w A 192.0.2.1", "remove the record or the DNAME", "a.w A 192.0.2.1"),
    ("w.test. A 192.0.2.1", "remove the record", ""),
    ("w.test. A 192.0.2.1", "remove the dot at its end", "w.test A 192.0.2.1"),
    ("w CNAME a.test.\nw CNAME b.test.", "keep the intended one", "w CNAME b.test."),
    (
        "w 5 A 192.0.2.1\nw 6 A 192.0.2.2",
        "give all records of a set the same TTL",
        "w 6 A 192.0.2.1\nw 6 A 192.0.2.2",
    ),
    ("w TLSA 3 1 1 ab", "make the digest anew", "w TLSA 3 1 1 " + "ab" * 32),
    ("w MX 1 mail", "add an A or AAAA record for mail.example.", "w MX 1 mail\nmail AAAA ::1"),
    ("w MX 1 mail", "or remove the MX record", ""),
    ('w NAPTR 1 1 "s" "" "" ns', "add an SRV record for ns.example.", None),
    ("w NS none", "add an A or AAAA record for none.example.", "w NS none\nnone A 192.0.2.2"),
    ("w NS a.w", "add an A or AAAA record for a.w.example.", "w NS a.w\na.w A 192.0.2.2"),
    (
        "w MX 1 al\nal CNAME ns",
        "use the name of the host that has its addresses",
        "w MX 1 ns\nal CNAME ns",
    ),
    (
        "w NS al\nal CNAME ns",
        "use the name of the server that has its addresses",
        "w NS ns\nal CNAME ns",
    ),
    ("w.example A 192.0.2.1", "end the name with a dot", "w.example. A 192.0.2.1"),
    ("w.example A 192.0.2.1", "or leave that out", "w A 192.0.2.1"),
    ("w MX 1 ns.example", "end the name with a dot", "w MX 1 ns.example."),
    ("w MX 1 ns.example", "or leave that out", "w MX 1 ns"),
    ("@ DNSKEY 257 3 13 AA==", "or remove its DNSKEY records", ""),
    ("ns NSEC @ A NSEC", "or remove these records", ""),
    ("w TXT “x”", "type a plain quotation mark", 'w TXT "x"'),
    ("w TXT “x”", "write it in quotes", 'w TXT "“x”"'),
    ("w TXT “x”", "or as \\DDD", "w TXT \\226\\128\\156x\\226\\128\\157"),
    ("w A\N{NO-BREAK SPACE}192.0.2.1", "type a plain space", "w A 192.0.2.1"),
    ("w A 192.0.2.1\N{ZERO WIDTH SPACE}", "remove it", "w A 192.0.2.1"),
    ("w\N{ZERO WIDTH SPACE} A 192.0.2.1", "remove it", "w A 192.0.2.1"),
    ("w\N{ZERO WIDTH SPACE} A 192.0.2.1", "write it in quotes", '"w\u200b" A 192.0.2.1'),
    ("w CAA 0 issue \N{LEFT SINGLE QUOTATION MARK}", "type a plain", "w CAA 0 issue '"),
    ("\ufeff", "as UTF-8 without a byte order mark", None),
    ("w A 192.0.2.1 comment", "put a ; before it if it is a comment", "w A 192.0.2.1 ;comment"),
    (" w A 192.0.2.1", "remove it if 'w' is a name", "w A 192.0.2.1"),
    ("w 4294967295 A 192.0.2.1", "one week is 604800", "w 604800 A 192.0.2.1"),
    ("w TXT ( x", "close it after the record's last field", "w TXT ( x )"),
    ('w TXT "x', "close the string on the line it starts on", 'w TXT "x"'),
    ('w TXT "x"y"', 'write a " inside as \\"', r'w TXT "x\"y"'),
    ("w TXT a\0b", "write \\000", r"w TXT a\000b"),
    ("w A 192.0.2", "one is 192.0.2.1", "w A 192.0.2.1"),
    ("w AAAA 1::2::3", "one is 2001:db8::1", "w AAAA 2001:db8::1"),
    (f"w TXT {'x' * 300}", "split it into several", f"w TXT {'x' * 255} {'x' * 45}"),
    ("w OPENPGPKEY AAAAAAF=", "the end is AAE=", "w OPENPGPKEY AAAAAAE="),
    ("w APL 3:ff/8", "with other families as \\#", r"w APL \# 5 00030801ff"),
    ("w NULL x", "write it as \\# length hexadecimal", r"w NULL \# 1 78"),
    ("w 1x A 192.0.2.1", "expected 0 to 2147483647 seconds", "w 2147483647 A 192.0.2.1"),
    ("w 1x A 192.0.2.1", "or units as in 1h30m", "w 1h30m A 192.0.2.1"),
    ("\n$TTL x", "expected seconds", "\n$TTL 5400"),
    ("\n$TTL x", "or units as in 1h30m", "\n$TTL 1h30m"),
    ("\n$FOO x", "expected $ORIGIN, $TTL, $INCLUDE or $GENERATE", "\n$ORIGIN x"),
    ("\n$GENERATE", "expected start-stop", GENERATED),
    ("\n$GENERATE 1..2 w$ A 192.0.2.$", "expected start-stop", GENERATED),
    ("\n$GENERATE 1 w$ A 192.0.2.$", "or start-stop/step", GENERATED.replace("2 w", "2/1 w")),
    ("\n$GENERATE 2-1 w$ A 192.0.2.$", "start <= stop < 2147483648", GENERATED),
    ("\n$GENERATE 1-2/0 w$ A 192.0.2.$", "and step >= 1", GENERATED.replace("2 w", "2/1 w")),
    ("\n$GENERATE 1-2 w$", "expected: range owner [ttl] [class] type data", GENERATED),
    *(
        ("\n$GENERATE 1-2 w${x} A 192.0.2.$", "expected ${offset}, ${offset,width}", good)
        for good in (
            GENERATED.replace("w$", f"w${{{modifiers}}}")
            for modifiers in ("0", "-1", "0,3", *(f"0,3,{base}" for base in "doxXnN"))
        )
    ),
    ("ns HTTPS 1 . foo=1", "expected alpn", "ns HTTPS 1 . alpn=h2"),
    ("ns HTTPS 1 . foo=1", "port", "ns HTTPS 1 . port=1"),
    ("ns HTTPS 1 . foo=1", "ipv4hint", "ns HTTPS 1 . ipv4hint=192.0.2.1"),
    ("ns HTTPS 1 . foo=1", "ipv6hint", "ns HTTPS 1 . ipv6hint=::1"),
    ("ns HTTPS 1 . key99999=1", "or key0 to key65535", "ns HTTPS 1 . key65535=1"),
    ('ns HTTPS 1 . alpn= "h2"', 'write alpn="h2"', 'ns HTTPS 1 . alpn="h2"'),
    ("ns HTTPS 1 . no-default-alpn", "add alpn=", "ns HTTPS 1 . no-default-alpn alpn=h2"),
    ("ns HTTPS 1 . no-default-alpn", "or leave out no-default-alpn", "ns HTTPS 1 ."),
]
#: Remedies that another program carries out; tests/interop signs zones and finds nothing.
ELSEWHERE = (
    "sign the zone again",
    "sign with 0 iterations and no salt",
    "sign the zone, or remove its DNSKEY records",
)
#: Applied in separate functions below.
WHOLE = (
    "give the file as NAME=",
    "begin the file with $TTL",
    "write TTLs out",
    "begin it with the",
    "if nothing else is wrong, the end is",
    "name a file in or below that directory",
    "put $ORIGIN before it",
    "there is ",  # a character that looks like another; what follows has its cases
    "convert it to UTF-8, and name the result: iconv",  # tests/interop/test_files_are_converted
)


def faults(text: str, origin: str | None = "example.") -> list[Fault]:
    """Return what is wrong, errors or else warnings."""
    try:
        return list(parse_zone(text.encode(), origin=origin, file_name="db").warnings)
    except ConfigError as error:
        return list(error.faults)


def mended(text: str, remedy: str) -> str:
    """Return a text in which a remedy is followed to the letter."""
    if remedy.startswith("begin it with: "):
        record = remedy.removeprefix("begin it with: ")
        return f"{record}\n@ 300 NS ns.test.\n{text}"
    if remedy.startswith("add at least one, as in: "):
        return f"{text}{remedy.removeprefix('add at least one, as in: ')}\nns1 A 192.0.2.1\n"
    if remedy.startswith("add an SRV record"):
        name = remedy.removeprefix("add an SRV record for ").partition(",")[0]
        return f"{text}\n{name} SRV 0 0 1 {name}\n"
    assert "byte order mark" in remedy
    return HEAD


@pytest.mark.parametrize(("wrong", "advice", "text"), CASES, ids=range(len(CASES)))
def test_a_remedy_mends(wrong: str, advice: str, text: str | None):
    before = wrong + HEAD if wrong == "\ufeff" else wrong
    before = before if before.startswith(("$", "\ufeff")) else f"{HEAD}{before}\n"
    (found, *more) = faults(before)
    assert advice in found.remedy
    after = mended(before, found.remedy) if text is None else f"{HEAD}{text}\n"
    assert faults(after) == []
    assert all(advice in fault.remedy for fault in more)


def test_a_file_that_names_no_zone_is_mended_in_both_ways():
    (found,) = faults(HEAD, origin=None)
    assert "NAME=db" in found.remedy
    assert "a dot at its end" in found.remedy
    assert faults(HEAD, origin="example.org") == []
    assert faults(HEAD.replace("@ SOA", "example.org. SOA"), origin=None) == []


@pytest.mark.parametrize("head", ["@ SOA ns h 1 2 3 4 5\n", "@ 7 SOA ns h 1 2 3 4 5\n"])
def test_a_ttl_at_the_top_mends_what_inherits_one(head: str):
    text = f"{head}@ NS ns\nns A 192.0.2.1\n"
    (found,) = faults(text)
    _, _, directive = found.remedy.partition("begin the file with ")
    assert faults(f"{directive}\n{text}") == []


def test_a_ttl_written_out_mends_it_too():
    text = "@ 7 SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
    assert faults(text)[0].remedy.startswith("write TTLs out")
    assert faults(text.replace("@ NS", "@ 7 NS").replace("ns A", "ns 7 A")) == []


def test_an_empty_file_is_mended_by_its_soa_record():
    (found,) = faults("$TTL 5\n; nothing\n", origin=None)
    assert found.remedy == "begin it with the SOA record"
    assert faults(HEAD.replace("@ SOA", "example. SOA"), origin=None) == []


@pytest.mark.parametrize(
    "line",
    [
        f"w HINFO {'x' * 300} x",
        f"w NAPTR 1 1 {'x' * 300} x x .",
        f"w X25 {'1' * 300}",
        f"w ISDN {'1' * 300}",
        f"w GPOS {'1' * 300} 1 1",
    ],
)
def test_splitting_a_string_is_suggested_only_where_several_are_allowed(line: str):
    (found,) = faults(f"{HEAD}{line}\n")
    assert "string of 300 octets" in found.message
    assert found.remedy == ""


@pytest.mark.parametrize(
    "line",
    [
        "bob\N{RIGHT SINGLE QUOTATION MARK}s A 192.0.2",
        "\N{LEFT DOUBLE QUOTATION MARK}w\N{RIGHT DOUBLE QUOTATION MARK} A 192.0.2",
        "w A 192.0.2\N{ZERO WIDTH SPACE}",
    ],
)
def test_a_quotation_mark_is_not_blamed_for_what_is_wrong_without_it(line: str):
    (found,) = faults(f"{HEAD}{line}\n")
    assert "is not an IPv4 address" in found.message
    assert found.remedy == "one is 192.0.2.1"


@pytest.mark.parametrize("line", [" w x A 192.0.2.1", " w A 192.0.2", " hello world"])
def test_removing_a_space_is_suggested_only_where_that_is_enough(line: str):
    (found,) = faults(f"{HEAD}{line}\n")
    assert "remove it" not in found.remedy


def included(text: str, *, confined: bool, content: bytes = b"w A 192.0.2.1\n") -> list[Fault]:
    """Return what is wrong with a zone whose $INCLUDE directives give this content."""
    try:
        read = {"origin": None, "include": lambda path: content, "confined": confined}
        return list(parse_zone(text.encode(), **read).warnings)
    except ConfigError as error:
        return list(error.faults)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x"])
def test_an_include_is_mended_by_a_name_inside_or_by_leave_to_go_outside(path: str):
    zone = HEAD.replace("@ SOA", "example. SOA")
    (found,) = included(f"{zone}$INCLUDE {path}\n", confined=True)
    assert "name a file in or below that directory" in found.remedy
    assert "allow its directory with --include-dir DIR" in found.remedy
    assert included(f"{zone}$INCLUDE a/x\n", confined=True) == []
    assert included(f"{zone}$INCLUDE {path}\n", confined=False) == []


def test_an_origin_before_it_gives_an_at_sign_its_meaning():
    include = f"$INCLUDE x @\n{HEAD.replace('@', 'example.')}"
    (found,) = included(include, confined=True, content=b"")
    assert found.remedy == "put $ORIGIN before it"
    assert included(f"$ORIGIN example.\n{include}", confined=True, content=b"") == []


@shares(told=0.1, other=0.0)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 255), st.sampled_from("AEIMQgw/+="))
def test_the_end_that_is_given_for_base_64_is_the_one_that_is_taken(octets, cut, digit):
    digits = base64.b64encode(octets).decode()
    place = max(len(digits.rstrip("=")) - 1 - cut % 2, 0)
    broken = digits[:place] + digit + digits[place + 1 :]
    for found in faults(f"{HEAD}w OPENPGPKEY {broken}\n"):
        _, is_told, end = found.remedy.partition("if nothing else is wrong, the end is ")
        met("told" if is_told else "other")
        if is_told:
            assert faults(f"{HEAD}w OPENPGPKEY {broken[: -len(end)]}{end}\n") == []


def test_types_without_a_text_form_are_told_to_use_the_generic_one():
    told = []
    for number in (*range(300), 32768, 32769, 65280, 65534):
        if iana.is_meta_type(number):
            continue
        text = iana.type_text(number)
        found = [one for one in faults(f"{HEAD}w {text} x\n") if "RFC 3597" in one.remedy]
        if found:
            told.append(text)
            assert faults(rf"{HEAD}w {text} \# 2 abcd" + "\n") == []
    assert len(told) > 90


ROOM = Path(check.__file__).parent
#: Where each call has its remedy.
POSITIONS = {"error": 2, "warning": 2, "whole": 1, "wrong": 1, "FieldError": 2, "EntryError": 1}


def first_words(node: ast.expr) -> list[str]:
    """Return the first words of each text that an expression can be."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=[first, *_]):
            return first_words(first)
        case ast.IfExp():
            return [*first_words(node.body), *first_words(node.orelse)]
        case ast.Tuple(elts=[_, second]):
            return first_words(second)
    return []


def remedies(module: Path) -> list[str]:
    """Return the first words of each remedy that a module gives, or prepares."""
    found = []
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=called)) | ast.Call(func=ast.Name(id=called)):
                position = POSITIONS.get(called)
                if position is not None and len(node.args) > position:
                    found += first_words(node.args[position])
            case ast.Assign(targets=[ast.Name(id="remedy")]):
                found += first_words(node.value)
            case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id="remedy")])]):
                found += first_words(node.value)
    return [remedy for remedy in found if remedy.strip()]


def test_no_remedy_is_without_its_case():
    applied = {advice for _, advice, _ in CASES} | {*ELSEWHERE, *WHOLE}
    given = [remedy for module in sorted(ROOM.glob("*.py")) for remedy in remedies(module)]
    assert len(given) >= 45
    untested = [
        remedy
        for remedy in given
        if not any(advice in remedy or remedy.rstrip() in advice for advice in applied)
    ]
    assert untested == []
