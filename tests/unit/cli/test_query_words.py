"""The words of the query command."""

from __future__ import annotations

import pytest

from pierhead.cli.query_words import PLUS_WORDS, Words, parse_words
from pierhead.errors import UsageError
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import AA, AD, CD, RD


def parse(text: str) -> Words:
    return parse_words(["@192.0.2.1", *text.split()])


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("@192.0.2.1", "192.0.2.1:53"),
        ("@192.0.2.1:5300", "192.0.2.1:5300"),
        ("@192.0.2.1 -p 5300", "192.0.2.1:5300"),
        ("-p5300", "127.0.0.1:5300"),
        ("@::1", "[::1]:53"),
        ("@[::1]", "[::1]:53"),
        ("@[2001:db8::1]:853", "[2001:db8::1]:853"),
        ("@ns1.example", "ns1.example:53"),
        ("@ns1.example:5300", "ns1.example:5300"),
        ("@tcp:192.0.2.1", "tcp:192.0.2.1:53"),
        ("@udp:[::1]:5300", "udp:[::1]:5300"),
        ("@192.0.2.1 +tcp", "tcp:192.0.2.1:53"),
        ("@udp:192.0.2.1 +vc", "tcp:192.0.2.1:53"),
        ("@unix:/run/dns.sock +tcp", "unix:/run/dns.sock"),
        ("@memgram:b", "memgram:b"),
    ],
)
def test_a_server_is_an_address_or_a_host(words: str, address: str) -> None:
    assert str(parse_words(words.split()).server) == address


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ("", (".", "NS", "IN")),
        ("www.example.", ("www.example.", "A", "IN")),
        ("www.example. aaaa", ("www.example.", "aaaa", "IN")),
        ("AAAA www.example. CH", ("www.example.", "AAAA", "CH")),
        ("mx", (".", "mx", "IN")),
        ("-q mx -t TXT -c ch", ("mx", "TXT", "ch")),
        ("-tTYPE65280 a.", ("a.", "TYPE65280", "IN")),
        ("-x 192.0.2.1", ("1.2.0.192.in-addr.arpa.", "PTR", "IN")),
        ("-x 192.0.2.1 ANY", ("1.2.0.192.in-addr.arpa.", "ANY", "IN")),
        ("-x ::1", ("1." + "0." * 31 + "ip6.arpa.", "PTR", "IN")),
    ],
)
def test_name_type_and_class_are_told_apart_as_in_dig(
    words: str, question: tuple[str, ...]
) -> None:
    found = parse(words)
    assert (found.name, found.rtype, found.rclass) == question


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("", RD | AD),
        ("+norec +noad", 0),
        ("+norecurse", AD),
        ("+cd +aaonly", RD | AD | CD | AA),
        ("+opcode=notify", 4 << 11 | RD | AD),
        ("+opcode=15 +noad", 15 << 11 | RD),
    ],
)
def test_flags_and_opcode_make_the_second_word_of_the_header(words: str, flags: int) -> None:
    assert parse(words).flags == flags


@pytest.mark.parametrize(
    ("words", "edns"),
    [
        ("", Edns()),
        ("+noedns", None),
        ("+dnssec", Edns(do=True)),
        ("+noedns +do", Edns(do=True)),
        ("+bufsize=4096 +edns=1", Edns(4096, version=1)),
        ("+noedns +edns", Edns()),
        ("+nsid", Edns(options=((3, b""),))),
        ("+nsid +nonsid", Edns()),
        ("+cookie=0011223344556677", Edns(options=((10, bytes.fromhex("0011223344556677")),))),
        ("+subnet=192.0.2.77/24", Edns(options=((8, bytes.fromhex("00011800c00002")),))),
        ("+subnet=2001:db8::/33", Edns(options=((8, bytes.fromhex("0002210020010db800")),))),
        ("+subnet=0", Edns(options=((8, bytes.fromhex("00010000")),))),
        ("+subnet=0 +nosubnet", Edns()),
        ("+expire +keepalive", Edns(options=((9, b""), (11, b"")))),
        ("+padding=3", Edns(options=((12, bytes(3)),))),
        ("+noedns +ednsopt=65001:0a0b", Edns(options=((65001, b"\x0a\x0b"),))),
        ("+ednsopt=65001", Edns(options=((65001, b""),))),
    ],
)
def test_words_make_the_opt_record(words: str, edns: Edns | None) -> None:
    assert parse(words).edns == edns


def test_a_cookie_is_random_unless_given() -> None:
    first, second = parse("+cookie").options[10], parse("+cookie").options[10]
    assert len(first) == 8
    assert first != second


def test_times_and_attempts_are_those_of_dig() -> None:
    assert (parse("").attempts, parse("").timeout_s) == (3, 5.0)
    assert (parse("+tries=1 +time=2").attempts, parse("+timeout=2").timeout_s) == (1, 2.0)
    assert parse("+retry=0").attempts == 1


def test_output_words_switch_sections() -> None:
    assert parse("+noall +answer").on & {"comments", "stats", "question", "answer"} == {"answer"}
    assert {"comments", "authority"} <= parse("+noall +all").on
    assert {"json", "short"} <= parse("--json --short").on
    assert "json" in parse("+json").on


def test_words_may_be_cut_short_where_they_stay_clear() -> None:
    assert "dnssec" in parse("+dnss").on
    assert "comments" not in parse("+nocomm").on
    assert parse("+ti=9").timeout_s == 9.0
    with pytest.raises(UsageError, match=r"may mean \+answer, \+authority|may mean \+a"):
        parse("+a")


def test_options_with_two_dashes() -> None:
    found = parse_words(["--zone", "a.zone", "--zone=x=b.zone", "--explain", "--color", "never"])
    assert (found.zones, found.explain, found.color) == (("a.zone", "x=b.zone"), True, "never")
    assert (found.server, parse("--color=always").color) == (None, "always")


def test_where_a_query_comes_from() -> None:
    assert parse("").source is None
    assert parse("-4").source == "0.0.0.0:0"
    assert parse("-6").source == "[::]:0"
    assert parse("-b 192.0.2.9#54 -4").source == "192.0.2.9:54"
    assert parse("-b ::1").source == "[::1]:0"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("example.", "no server is named; name one with @, as in: pierhead query @127.0.0.1:5300"),
        ("@192.0.2.1:5300 -p 53", "two ports"),
        ("@192.0.2.1:99999", "is not a server"),
        ("@", "no server is named"),
        ("@a:b:c", "is not a server; expected a host"),
        ("@192.0.2.1 -p 0", "-p 0: expected a number, 1 to 65535"),
        ("@192.0.2.1 -p", "is the last word"),
        ("@192.0.2.1 -t FOO", "'FOO' is not an RR type"),
        ("@192.0.2.1 -c FOO", "'FOO' is not a class"),
        ("@192.0.2.1 -x 192.0.2", "expected an IPv4 or IPv6 address"),
        ("@192.0.2.1 -z", "'-z' is not an option; known options: -4"),
        ("@192.0.2.1 a. b.", "two names, 'a.' and 'b.'"),
        ("@192.0.2.1 +dnsec", r"did you mean \+dnssec\?; known: \+dnssec"),
        ("@192.0.2.1 +xyzzy", r"'\+xyzzy' is unknown; known: "),
        ("@192.0.2.1 +", "is unknown"),
        ("@192.0.2.1 +no", "is unknown"),
        ("@192.0.2.1 +dnssec=1", r"\+dnssec takes no value"),
        ("@192.0.2.1 +nobufsize=1", r"\+nobufsize takes no value"),
        ("@192.0.2.1 +bufsize", r"expected a value, \+bufsize=N"),
        ("@192.0.2.1 +bufsize=65536", "expected a number, 0 to 65535"),
        ("@192.0.2.1 +bufsize=x", "expected a number"),
        ("@192.0.2.1 +tries=0", "expected a number, 1 to 15"),
        ("@192.0.2.1 +cookie=abc", "even number of hexadecimal digits"),
        ("@192.0.2.1 +subnet=192.0.2.0/33", "192.0.2.0/33"),
        ("@192.0.2.1 +opcode=fly", "expected a number, 0 to 15"),
        ("@192.0.2.1 --explian", "did you mean --explain"),
        ("@192.0.2.1 --json=1", "'--json=1' is not an option"),
        ("@192.0.2.1 --color=blue", "expected auto, always or never"),
        ("@192.0.2.1 --zone a.zone", "answers without a server"),
    ],
)
def test_an_invalid_word_of_a_query_is_refused_with_a_remedy(words: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_words(words.split())


def test_every_word_is_explained() -> None:
    assert all(meaning for _, _, meaning in PLUS_WORDS.values())
