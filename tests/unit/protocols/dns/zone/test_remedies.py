"""Every remedy that a zone's fault gives is one: it is applied, and the zone is read again."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pierhead.errors import ConfigError, Fault
from pierhead.protocols.dns.zone import check
from pierhead.protocols.dns.zone.master_file import parse_zone

HEAD = """$TTL 300
@ SOA ns h 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
"""
SIZE = "".join(f"w TXT {'x' * 200}{number}\n" for number in range(400))
HALF = SIZE[: len(SIZE) // 2].rpartition("\n")[0] + "\n"
#: What is wrong, part of what is advised, and the text where that has been done; `HEAD` stands
#: before both, unless they begin with a new zone.
CASES = [
    ("$TTL 5\nw A 192.0.2.1\n", "begin it with: example. 3600 SOA", None),
    ("$TTL 5\n@ SOA a. h 1 2 3 4 5\n", "add at least one, as in: example. 3600 NS ns1.", None),
    ("@ DS 1 8 1 " + "00" * 20, "move it into the parent's zone", ""),
    ("w CNAME ns\nw A 192.0.2.1", "remove the CNAME or the other records", "w CNAME ns"),
    ("w CNAME ns\nw A 192.0.2.1", "remove the CNAME or the other records", "w A 192.0.2.1"),
    ("w DNAME x.test.\nw NS ns", "put the DNAME into the delegated zone", "w NS ns"),
    ("w SOA ns h 1 2 3 4 5", "a zone of its own belongs into its own file", ""),
    ("*.w NS ns", "delegate each name by itself", "a.w NS ns\nb.w NS ns"),
    (SIZE, "spread them over several names", HALF + HALF.replace("w TXT", "v TXT")),
    ("w DNAME x.test.\na.w A 192.0.2.1", "remove the record or the DNAME", "w DNAME x.test."),
    ("w DNAME x.test.\na.w A 192.0.2.1", "remove the record or the DNAME", "a.w A 192.0.2.1"),
    ("w.test. A 192.0.2.1", "take the record out", ""),
    ("w.test. A 192.0.2.1", "take the dot off its end", "w.test A 192.0.2.1"),
    ("w CNAME a.test.\nw CNAME b.test.", "keep the one that is meant", "w CNAME b.test."),
    (
        "w 5 A 192.0.2.1\nw 6 A 192.0.2.2",
        "give all records of a set the same TTL",
        "w 6 A 192.0.2.1\nw 6 A 192.0.2.2",
    ),
    ("w MX 1 mail", "add an A or AAAA record for mail.example.", "w MX 1 mail\nmail AAAA ::1"),
    ("w MX 1 mail", "or take the MX record out", ""),
    ('w NAPTR 1 1 "s" "" "" ns', "add an SRV record for ns.example.", None),
    ("w NS none", "add an A or AAAA record for none.example.", "w NS none\nnone A 192.0.2.2"),
    ("w NS a.w", "add an A or AAAA record for a.w.example.", "w NS a.w\na.w A 192.0.2.2"),
    (
        "w MX 1 al\nal CNAME ns",
        "name the host by the name that has its addresses",
        "w MX 1 ns\nal CNAME ns",
    ),
    (
        "w NS al\nal CNAME ns",
        "name the server by the name that has its addresses",
        "w NS ns\nal CNAME ns",
    ),
    ("w.example A 192.0.2.1", "end the name with a dot", "w.example. A 192.0.2.1"),
    ("w.example A 192.0.2.1", "or write it without that", "w A 192.0.2.1"),
    ("w MX 1 ns.example", "end the name with a dot", "w MX 1 ns.example."),
    ("w MX 1 ns.example", "or write it without that", "w MX 1 ns"),
    ("@ DNSKEY 257 3 13 AA==", "or take its DNSKEY records out", ""),
    ("ns NSEC @ A NSEC", "or take these records out", ""),
    ("w TXT “x”", "type a plain blank or quotation mark", 'w TXT "x"'),
    ("w TXT “x”", "write it in quotes", 'w TXT "“x”"'),
    ("w TXT “x”", "or as \\DDD", "w TXT \\226\\128\\156x\\226\\128\\157"),
    ("w A\N{NO-BREAK SPACE}192.0.2.1", "type a plain blank", "w A 192.0.2.1"),
    ("\ufeff", "as UTF-8 without a byte order mark", None),
    ("w A 192.0.2.1 comment", "put a ; before it if it is a comment", "w A 192.0.2.1 ;comment"),
    (" w A 192.0.2.1", "take it away if 'w' is a name", "w A 192.0.2.1"),
    ("w 4294967295 A 192.0.2.1", "one week is 604800", "w 604800 A 192.0.2.1"),
    ("w TXT ( x", "close it after the record's last field", "w TXT ( x )"),
    ('w TXT "x', "close the string on the line it starts on", 'w TXT "x"'),
]
#: Remedies that another program carries out; tests/interop signs zones and finds nothing.
ELSEWHERE = (
    "sign the zone again",
    "sign with 0 iterations and no salt",
    "sign the zone, or take its DNSKEY records out",
)
#: Applied in functions of their own below.
WHOLE = (
    "give the file as NAME=",
    "begin the file with $TTL",
    "write TTLs out",
    "begin it with the",
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


ROOM = Path(check.__file__).parent
MODULES = ("check", "draft", "signatures", "signed", "targets", "twice", "tokenizer")


def remedies(module: str) -> list[str]:
    """Return the first words of each remedy that a module passes to ``error`` or ``warning``."""
    found = []
    for node in ast.walk(ast.parse((ROOM / f"{module}.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            position = {"error": 2, "warning": 2, "whole": 1}.get(node.func.attr)
            if position is not None and len(node.args) > position:
                remedy = node.args[position]
                parts = remedy.values if isinstance(remedy, ast.JoinedStr) else [remedy]
                if parts and isinstance(parts[0], ast.Constant):
                    found.append(str(parts[0].value))
    return found


def test_no_remedy_is_without_its_case():
    applied = {advice for _, advice, _ in CASES} | {*ELSEWHERE, *WHOLE}
    given = [remedy for module in MODULES for remedy in remedies(module)]
    assert len(given) >= 12
    untested = [
        remedy
        for remedy in given
        if not any(advice in remedy or remedy.rstrip() in advice for advice in applied)
    ]
    assert untested == []
