"""The command that asks a DNS server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from pierhead.cli.query import query
from pierhead.cli.query_text import Answer, Paint, show_json, show_short, show_table
from pierhead.cli.query_words import parse_words
from pierhead.errors import ServiceError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import ReplyCodec
from pierhead.protocols.dns.response import Response, parse_response
from pierhead.protocols.dns.services.zone_service import ZoneService
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.server.server import Server

ZONE = """\
@ 3600 SOA ns hm 1 7200 900 1209600 300
@ 3600 NS ns
ns 300 A 192.0.2.1
www 60 CNAME ns
"""


async def site(query, context):
    if query.rtype == "TXT":
        return query.reply(
            *(dns.TXT("x" * 255) for _ in "1"), *(dns.TXT(f"{n:0250}") for n in range(9))
        )
    return query.reply(dns.A("192.0.2.1"), ttl=60)


def invoke(*words: str) -> Result:
    return CliRunner().invoke(query, list(words))


async def ask(*words: str) -> Result:
    async with Server(dns.serve(site), "127.0.0.1:0") as server:
        place = server.addresses[0].partition(":")[2]
        return await asyncio.to_thread(invoke, f"@{place}", *words)


async def test_an_answer_is_printed_and_the_exit_code_is_0():
    result = await ask("www.example.")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("NOERROR  authoritative, recursion desired")
    assert "\nANSWER\n  www.example.  60  IN  A  192.0.2.1\n" in result.stdout
    assert " octets from udp:127.0.0.1:" in result.stdout


async def test_short_prints_the_data_alone():
    assert (await ask("www.example.", "+short")).stdout == "192.0.2.1\n"
    assert (await ask("www.example.", "--short", "MX")).stdout == ""


async def test_json_has_a_stable_shape():
    shown = json.loads((await ask("www.example.", "+json", "--explain")).stdout)
    assert list(shown) == [
        *("status", "rcode", "id", "opcode", "flags", "question", "answer", "authority"),
        *("additional", "edns", "server", "time_ms", "size", "ignored", "explanation"),
    ]
    assert shown["question"] == {"name": "www.example.", "type": "A", "class": "IN"}
    assert shown["answer"] == [
        {"name": "www.example.", "ttl": 60, "class": "IN", "type": "A", "data": "192.0.2.1"}
    ]
    assert shown["flags"] == ["qr", "aa", "rd"]
    assert shown["time_ms"] > 0


async def test_a_truncated_answer_is_asked_for_over_tcp_unless_ignored():
    whole = await ask("a.", "TXT", "+short")
    assert len(whole.stdout.splitlines()) == 10
    cut = await ask("a.", "TXT", "+ignore")
    assert "truncated" in cut.stdout
    assert "tcp:" in (await ask("a.", "TXT")).stdout


@pytest.mark.rfc("7858", "3.1")
@pytest.mark.rfc("8310", "8.1")
async def test_a_server_is_asked_over_tls_and_verified(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    authority = trustme.CA()
    authority.cert_pem.write_to_path("ca.pem")
    Path("server.pem").touch(0o600)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path("server.pem")
    vias = []

    async def note(query, context):
        vias.append(context.via)
        return query.reply(dns.A("192.0.2.1"), ttl=60)

    async with Server(dns.serve(note), "tls+127.0.0.1:0?cert=server.pem") as server:
        place = server.addresses[0]
        short = place.replace("tcp:", "")
        for address in (f"@{place}?ca=ca.pem", f"@{short}?ca=ca.pem"):
            result = await asyncio.to_thread(invoke, address, "a.", "+short")
            assert (result.stderr, result.stdout) == ("", "192.0.2.1\n")
        assert vias[0].tls.alpn == "dot"
        unknown = await asyncio.to_thread(invoke, f"@{place}", "a.")
        assert unknown.exit_code == 9
        assert "nobody known here vouches for the server's certificate" in unknown.stderr
        assert "write ca=FILE" in unknown.stderr


async def test_a_proxy_header_goes_out_over_datagrams_and_their_tcp():
    listen = "proxy+127.0.0.1:0?proxy.from=127.0.0.1"
    async with Server(dns.serve(site), listen) as server:
        place = server.addresses[0].replace("udp:", "")
        result = await asyncio.to_thread(invoke, f"@{place}", "www.example.", "TXT")
        assert result.exit_code == 0, result.stderr
        assert "truncated" not in result.stdout


def test_tls_has_a_port_of_its_own_and_listening_options_are_refused():
    assert str(parse_words(["@tls+ns1.example", "a."]).server) == "tls+ns1.example:853"
    assert str(parse_words(["@tls+tcp:ns1.example:9", "a."]).server) == "tls+tcp:ns1.example:9"
    refused = invoke("@tcp:127.0.0.1:53?backlog=5", "a.")
    assert refused.exit_code == 1
    assert "backlog is for listening; leave it out" in refused.stderr


async def test_a_transfer_is_printed_a_record_on_each_line():
    zone = dns.parse_zone(b"@ 60 SOA ns h 7 1 1 1 1\n@ 60 NS ns.o.\n", origin="example.")
    served = ZoneService(dns.Zones([zone]))
    layered = dns.standard(served, transfers=dns.transfers(served, allow=["127.0.0.1"]))
    async with Server(dns.serve(layered), "127.0.0.1:0") as server:
        place = f"@{server.addresses[0].partition(':')[2]}"
        whole = await asyncio.to_thread(invoke, place, "example.", "AXFR")
        latest = await asyncio.to_thread(invoke, place, "example.", "ixfr=7")
        refused = await asyncio.to_thread(invoke, place, "other.", "AXFR")
    soa = "example. 60 IN SOA ns.example. h.example. 7 1 1 1 1\n"
    assert whole.stdout == f"{soa}example. 60 IN NS ns.o.\n{soa}"
    assert latest.stdout == soa
    assert (refused.exit_code, refused.stderr) == (9, "error: the transfer was answered NOTAUTH\n")


async def test_a_far_server_is_explained_from_its_answer():
    result = await ask("www.example.", "--explain")
    assert "EXPLANATION\n  answer  it is from the server's own zone" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ((), 1, "no server is named"),
        (("@127.0.0.1", "a..b"), 1, "is not a domain name"),
        (("--zone", "x", "a.", "AXFR"), 1, "give @server instead of --zone"),
        (("@127.0.0.1", "a.", "IXFR"), 1, "write IXFR=SERIAL"),
        (("@127.0.0.1", "a.", "IXFR=x"), 1, "IXFR=x: expected"),
        (("@127.0.0.1:1", "a.", "AXFR"), 9, "Connection refused"),
        (("@tcp:127.0.0.1:1", "a."), 9, "error: tcp:127.0.0.1:1: Connection refused"),
        (("@unix:/nonexistent/dns", "a."), 9, "No such file"),
        (("@127.0.0.1:1", "a.", "-b", "192.0.2.1"), 9, "assign requested address"),
        # ICMP says at once that nothing listens.
        (("@127.0.0.1:1", "a.", "+time=60", "+tries=1"), 9, "127.0.0.1:1: Connection refused"),
        (("@127.0.0.1:1", "a.", "+time=60", "+tries=5"), 9, "127.0.0.1:1: Connection refused"),
        (("@127.0.0.1:1", "a.", "AAA"), 1, "'AAA' is not an RR type; did you mean AAAA"),
        (("@127.0.0.1:1", "AAA", "a.", "b."), 1, "two names"),
        (("@127.0.0.1:1", "-t", "MXX", "a."), 1, "did you mean MX"),
        (("@127.0.0.1:1", "-c", "CHH", "a."), 1, "did you mean CH"),
        (("--zone", "/nonexistent.zone", "a."), 10, "cannot be read"),
    ],
)
def test_the_exit_codes_are_those_of_dig(words: tuple[str, ...], code: int, reason: str):
    result = invoke(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert reason in result.stderr


def test_a_name_that_does_not_resolve_gives_no_reply(monkeypatch: pytest.MonkeyPatch):
    async def fail(*_: object, **__: object) -> None:
        import socket

        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("pierhead.protocols.dns.client.dial_datagram", fail)
    result = invoke("@nowhere.invalid", "a.")
    assert (result.exit_code, result.stderr) == (
        9,
        "error: nowhere.invalid:53: Name or service not known\n",
    )


def test_an_unexpected_error_exits_10(monkeypatch: pytest.MonkeyPatch):
    async def fail(_: object) -> None:
        raise ServiceError("odd")

    monkeypatch.setattr("pierhead.cli.query._answer", fail)
    assert invoke("@127.0.0.1", "a.").exit_code == 10


def test_zone_files_are_asked_without_a_server(tmp_path: Path):
    path = tmp_path / "example.zone"
    path.write_text(ZONE)
    plain = invoke("--zone", str(path), "www.example.", "+noall", "+answer")
    assert plain.stdout.splitlines() == [
        "www.example.   60  IN  CNAME  ns.example.",
        "ns.example.   300  IN  A      192.0.2.1",
    ]
    explained = invoke("--zone", str(path), "--explain", "www.example.")
    assert "www.example. is an alias  [RFC 1034 §4.3.2 step 3a]" in explained.stdout
    assert explained.exit_code == 0


def test_the_layers_in_front_of_zones_are_explained_as_well(tmp_path: Path):
    path = tmp_path / "example.zone"
    path.write_text(ZONE)
    cookie = invoke("--zone", str(path), "--explain", "example.", "SOA", "+cookie")
    assert "  cookies  " in cookie.stdout
    version = invoke("--zone", str(path), "--explain", "example.", "+edns=5")
    assert version.stdout.startswith("BADVERS")


def test_what_zones_never_answer_gives_no_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pierhead.cli.query.Words.flags", 0x8000, raising=False)
    path = tmp_path / "example.zone"
    path.write_text(ZONE)
    result = invoke("--zone", str(path), "example.")
    assert (result.exit_code, result.stdout) == (9, "")
    assert "would not reply" in result.stderr


def test_help_shows_every_word():
    result = CliRunner().invoke(query, ["--help"])
    assert result.exit_code == 0
    assert "+dnssec" in result.stdout
    assert "Exit codes: 0 answered" in " ".join(result.stdout.split())


# What is printed


def response(*records: tuple[str, str, int, bytes], rtype: str = "A", **reply) -> Response:
    asked = build_query(7, from_text("a."), iana.type_number(rtype), edns=dns.Edns(do=True))
    answer = tuple(
        (from_text(owner), RRset(from_text(owner), iana.type_number(kind), ttl, (rdata,)))
        for owner, kind, ttl, rdata in records
    )
    built = dns.Reply(parse_query(asked), answer=answer, **reply)
    return parse_response(ReplyCodec().encode(built), "udp:x")


def table(*words: str, **facts) -> str:
    shown = parse_words(["--zone", "x", *words]).on
    return show_table(Answer(**facts), shown, Paint(False))


def test_columns_are_aligned_and_a_long_name_does_not_push_the_others():
    long = "a" * 50 + ".example."
    text = table(
        "+noall",
        "+answer",
        response=response(
            ("a.", "A", 5, b"\1\2\3\4"),
            ("bbbb.", "AAAA", 86400, bytes(16)),
            (long, "A", 1, bytes(4)),
        ),
    )
    assert text.splitlines() == [
        "a.         5  IN  A     1.2.3.4",
        "bbbb.  86400  IN  AAAA  ::",
        f"{long}      1  IN  A     0.0.0.0",
    ]


def test_nothing_that_was_received_controls_the_terminal():
    evil = b"\x1b]0;owned\x07"
    got = response(
        ("\\027evil.", "TXT", 1, bytes((len(evil),)) + evil),
        options=(
            (iana.OPTION_EXTENDED_ERROR, b"\0\x0f" + evil + "\u202e".encode()),
            (iana.OPTION_NSID, evil),
        ),
    )
    for text in (table(response=got), show_short(Answer(got))):
        assert text.replace("\n", "").isprintable()
    assert r"\027" in table(response=got)
    assert "\x1b" not in show_json(Answer(got))


def test_what_cannot_be_read_is_shown_as_octets():
    got = response(("a.", "AAAA", 1, b"\1\2"))
    assert show_short(Answer(got)) == r"\# 2 0102"


def test_options_flags_and_ignored_messages_are_shown_as_text():
    text = table(
        response=response(
            options=((iana.OPTION_EXTENDED_ERROR, b"\0\x12no"), (65001, b"")),
            rcode=dns.REFUSED,
        ),
        ignored=2,
        time_s=0.0123,
        steps=(),
    )
    assert "REFUSED" in text
    assert "EDE  18 (Prohibited): no" in text
    assert "OPT65001\n" in text
    assert "nothing is known beyond the answer itself" in text
    assert "12.3 ms, " in text
    assert "2 messages were ignored: no answer to this question" in text
    assert "1 message was" in table(response=response(), ignored=1)


def test_another_opcode_is_named():
    frame = bytearray(response().frame)
    frame[2] |= 4 << 3
    assert "opcode NOTIFY" in table(response=parse_response(bytes(frame)))


def test_a_response_without_question_or_edns_is_shown():
    refusal = parse_response(b"\0\1\x80\1" + bytes(8))
    assert table("+nostats", response=refusal) == "FORMERR  id 1"
    assert json.loads(show_json(Answer(refusal)))["question"] is None
    assert json.loads(show_json(Answer(refusal)))["edns"] is None


@pytest.mark.parametrize(
    ("words", "no_color", "colored"),
    [
        (("--color=always",), "1", True),
        (("--color=never",), "", False),
        ((), "", False),  # standard output is no terminal here
    ],
)
def test_colors_are_for_terminals_or_on_demand(
    words: tuple[str, ...],
    no_color: str,
    colored: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("NO_COLOR", no_color)
    path = tmp_path / "example.zone"
    path.write_text(ZONE)
    result = invoke("--zone", str(path), "www.example.", *words)
    assert ("\x1b[" in result.stdout) is colored


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_gets_colors_unless_no_color_is_set(
    no_color: str, colored: bool, monkeypatch: pytest.MonkeyPatch
):
    from pierhead.cli.query import _wants_color

    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert _wants_color("auto") is colored


def test_asking_loads_neither_a_server_nor_a_library_that_is_slow_to_load():
    program = (
        "import sys, pierhead.cli.query\n"
        "slow = {'dns', 'uvloop', 'cryptography', 'pierhead.server'} & set(sys.modules)\n"
        "sys.exit(' '.join(slow) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
