"""The eighteen checks of RFC 8906 §8, asked by dig, of ``pierhead serve dns`` as it comes.

Each is one query of section 8.1 (without EDNS) or 8.2 (with it) and what the section expects. The
section's own words are kept short here; its numbers are the tests' names.
"""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.interop.peers import Peer, pierhead_server
from tests.processes import PATIENCE_S, ROOT

ZONE = ROOT / "examples" / "zones" / "example.zone"

#: A key set that does not fit 512 octets (§8.2.7); it is not used for validation.
_KEY = base64.b64encode(b"\x03\x01\x00\x01" + bytes(range(256)) * 2).decode()
SIGNED = f"""\
$TTL 300
@ SOA ns host 1 7200 3600 86400 60
@ NS ns
@ DNSKEY 257 3 8 {_KEY}
ns A 192.0.2.53
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    signed = tmp_path_factory.mktemp("rfc8906") / "signed.test.zone"
    signed.write_text(SIGNED)
    with pierhead_server(zones=[ZONE, signed]) as peer:
        yield peer


@dataclass(frozen=True)
class Message:
    """What dig prints of one message.

    Attributes:
        status, opcode: the RCODE and the opcode.
        flags: of the header, in lower case.
        counts: questions, answers, authorities, additionals.
        edns: the version in the OPT record; None without one.
        edns_flags: its flags.
        text: all of it.
    """

    status: str
    opcode: str
    flags: frozenset[str]
    counts: tuple[int, ...]
    edns: int | None
    edns_flags: frozenset[str]
    text: str

    @property
    def has_soa(self) -> bool:
        """Tell whether the answer section has the SOA record."""
        answer = re.search(r"ANSWER SECTION:\n(.*?)\n\n", self.text, re.DOTALL)
        return bool(answer and re.search(r"^example\.\s+\d+\s+IN\s+SOA\s", answer[1]))


@pytest.fixture
def dig(program, server: Peer):
    """Query with dig; return what it prints."""

    def ask(*arguments: str) -> Message:
        # +qr off: only the reply is printed. One try, so that silence is an error.
        command = [program("dig"), f"@{server.host}", "-p", str(server.port), "+norec", "+noad"]
        done = subprocess.run(
            [*command, "+tries=1", "+timeout=5", *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"{done.args}\n{done.stdout}{done.stderr}"
        assert "malformed" not in done.stdout, done.stdout
        return parsed(done.stdout)

    return ask


def parsed(text: str) -> Message:
    head = re.search(r"opcode: (\S+), status: (\w+), id", text)
    flags = re.search(r"^;; flags:([ a-z]*)(.*?); QUERY", text, re.MULTILINE | re.IGNORECASE)
    counts = re.search(r"QUERY: (\d+), ANSWER: (\d+), AUTHORITY: (\d+), ADDITIONAL: (\d+)", text)
    assert head, text
    assert flags, text
    assert counts, text
    opt = re.search(r"; EDNS: version: (\d+), flags:([ a-z]*);(.*)", text)
    words = (flags[1] + flags[2]).replace(";", " ").lower().split()
    edns_words = opt[2].split() + (["mbz"] if "MBZ" in opt[3] else []) if opt else []
    return Message(
        status=head[2],
        opcode=head[1],
        flags=frozenset(words),
        counts=tuple(map(int, counts.groups())),
        edns=int(opt[1]) if opt else None,
        edns_flags=frozenset(edns_words),
        text=text,
    )


def expect_soa(message: Message, *, flags: set[str] = frozenset({"qr", "aa"})) -> None:
    """What most checks expect: the SOA record, with authority, and no other flag."""
    assert message.status == "NOERROR", message.text
    assert message.has_soa, message.text
    assert message.flags == flags, message.text


# -- 8.1: without EDNS -------------------------------------------------------------------------


@pytest.mark.rfc("8906", "8.1.1")
def test_8_1_1_a_plain_query_is_answered(dig) -> None:
    message = dig("+noedns", "SOA", "example")
    expect_soa(message)
    assert message.edns is None


@pytest.mark.rfc("8906", "8.1.2")
def test_8_1_2_an_unknown_type_is_no_data(dig) -> None:
    message = dig("+noedns", "TYPE1000", "example")
    assert (message.status, message.counts[1]) == ("NOERROR", 0)
    assert message.flags == {"qr", "aa"}
    assert message.edns is None


@pytest.mark.rfc("8906", "8.1.3.1")
def test_8_1_3_1_cd_is_no_obstacle(dig) -> None:
    message = dig("+noedns", "+cd", "SOA", "example")
    expect_soa(message)
    assert message.edns is None


@pytest.mark.rfc("8906", "8.1.3.2")
def test_8_1_3_2_ad_is_no_obstacle(dig) -> None:
    message = dig("+noedns", "+ad", "SOA", "example")
    expect_soa(message)
    assert message.edns is None


@pytest.mark.rfc("8906", "8.1.3.3")
def test_8_1_3_3_the_reserved_bit_does_not_come_back(dig) -> None:
    message = dig("+noedns", "+zflag", "SOA", "example")
    expect_soa(message)
    assert "MBZ" not in message.text
    assert message.edns is None


@pytest.mark.rfc("8906", "8.1.3.4")
def test_8_1_3_4_recursion_is_not_offered(dig) -> None:
    message = dig("+noedns", "+rec", "SOA", "example")
    expect_soa(message, flags={"qr", "aa", "rd"})
    assert message.edns is None


@pytest.mark.rfc("8906", "8.1.4")
@pytest.mark.parametrize("question", [("+header-only",), ("SOA", "example")])
def test_8_1_4_an_unknown_opcode_is_not_implemented(dig, question: tuple[str, ...]) -> None:
    message = dig("+noedns", "+opcode=15", *question)
    assert (message.status, message.opcode) == ("NOTIMP", "RESERVED15")
    assert message.counts == (0, 0, 0, 0)
    assert message.flags == {"qr"}
    assert message.edns is None


@pytest.mark.rfc("8906", "8.1.5")
def test_8_1_5_tcp_is_answered(dig) -> None:
    message = dig("+noedns", "+tcp", "SOA", "example")
    expect_soa(message)
    assert message.edns is None
    assert "(TCP)" in message.text


# -- 8.2: with EDNS ----------------------------------------------------------------------------


def expect_badvers(message: Message) -> None:
    """What every query of another EDNS version gets: that code, and version 0."""
    assert message.status == "BADVERS", message.text
    assert not message.has_soa
    assert message.edns == 0
    assert not message.flags & {"aa", "ad"}


ANOTHER_VERSION = ("+edns=1", "+noednsneg", "+nocookie")


@pytest.mark.rfc("8906", "8.2.1")
def test_8_2_1_edns_is_answered_with_edns(dig) -> None:
    message = dig("+edns=0", "+nocookie", "SOA", "example")
    expect_soa(message)
    assert message.edns == 0


@pytest.mark.rfc("8906", "8.2.2")
def test_8_2_2_another_version_is_refused(dig) -> None:
    expect_badvers(dig(*ANOTHER_VERSION, "SOA", "example"))


@pytest.mark.rfc("8906", "8.2.3")
def test_8_2_3_an_unknown_option_is_ignored(dig) -> None:
    message = dig("+edns=0", "+nocookie", "+ednsopt=100", "SOA", "example")
    expect_soa(message)
    assert message.edns == 0
    assert "OPT=100" not in message.text


@pytest.mark.rfc("8906", "8.2.4")
def test_8_2_4_an_unknown_flag_is_ignored(dig) -> None:
    message = dig("+edns=0", "+nocookie", "+ednsflags=0x40", "SOA", "example")
    expect_soa(message)
    assert message.edns == 0
    assert "MBZ" not in message.text


@pytest.mark.rfc("8906", "8.2.5")
def test_8_2_5_another_version_with_an_unknown_flag(dig) -> None:
    message = dig(*ANOTHER_VERSION, "+ednsflags=0x40", "SOA", "example")
    expect_badvers(message)
    assert "MBZ" not in message.text


@pytest.mark.rfc("8906", "8.2.6")
def test_8_2_6_another_version_with_an_unknown_option(dig) -> None:
    message = dig(*ANOTHER_VERSION, "+ednsopt=100", "SOA", "example")
    expect_badvers(message)
    assert "OPT=100" not in message.text


@pytest.mark.rfc("8906", "8.2.7")
def test_8_2_7_what_does_not_fit_is_truncated_and_keeps_its_opt_record(dig) -> None:
    arguments = ("+edns=0", "+nocookie", "+dnssec", "+bufsize=512", "+ignore")
    message = dig(*arguments, "DNSKEY", "signed.test")
    assert message.status == "NOERROR"
    assert "tc" in message.flags
    assert message.edns == 0
    size = re.search(r"MSG SIZE  rcvd: (\d+)", message.text)
    assert size
    assert int(size[1]) <= 512


@pytest.mark.rfc("8906", "8.2.8")
def test_8_2_8_do_comes_back(dig) -> None:
    message = dig("+edns=0", "+nocookie", "+dnssec", "SOA", "example")
    expect_soa(message)
    assert (message.edns, message.edns_flags) == (0, {"do"})


@pytest.mark.rfc("8906", "8.2.9")
def test_8_2_9_another_version_with_do(dig) -> None:
    message = dig(*ANOTHER_VERSION, "+dnssec", "SOA", "example")
    expect_badvers(message)
    assert message.edns_flags == {"do"}


@pytest.mark.rfc("8906", "8.2.10")
def test_8_2_10_several_known_options_at_once(dig) -> None:
    options = ("+nsid", "+expire", "+subnet=0.0.0.0/0", "+cookie=0102030405060708")
    message = dig("+edns=0", *options, "SOA", "example")
    expect_soa(message)
    assert message.edns == 0
    assert re.search(r"COOKIE: 0102030405060708[0-9a-f]{32} \(good\)", message.text)
    assert "CLIENT-SUBNET: 0.0.0.0/0/0" in message.text
    assert "EXPIRE: 1209600" in message.text
