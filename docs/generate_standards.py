"""Writes docs/standards.md from the marks on the tests: ``@pytest.mark.rfc("7766", "6.2.1.1")``.

A scenario has its marks in lines: ``rfc: 7766 §6.2.1.1``.

    python docs/generate_standards.py            write the page
    python docs/generate_standards.py --check    exit with 1 if the page is not up to date

A claim without a test cannot get on the page, and a mark for a document without a title here is
an error. The tests are read, not run: they must pass for the claims to hold.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "standards.md"

TITLES = {
    "768": "User Datagram Protocol",
    "862": "Echo Protocol",
    "863": "Discard Protocol",
    "864": "Character Generator Protocol",
    "867": "Daytime Protocol",
    "1034": "Domain names: concepts and facilities",
    "1035": "Domain names: implementation and specification",
    "1055": "Transmission of IP datagrams over serial lines (SLIP)",
    "1123": "Requirements for Internet hosts: application and support",
    "1183": "New DNS RR definitions",
    "1706": "NSAP resource records",
    "1876": "Location information in the DNS (LOC)",
    "1982": "Serial number arithmetic",
    "1995": "Incremental zone transfer (IXFR)",
    "1996": "Prompt notification of zone changes (NOTIFY)",
    "2046": "MIME: media types",
    "2136": "Dynamic updates (UPDATE)",
    "2181": "Clarifications to the DNS specification",
    "2308": "Negative caching of DNS queries",
    "2474": "Differentiated services field",
    "2535": "DNS security extensions (replaced by RFC 4033 to 4035)",
    "2782": "The location of services (SRV)",
    "2930": "Secret key establishment (TKEY)",
    "3007": "Secure DNS dynamic update",
    "3123": "Lists of address prefixes (APL)",
    "3164": "The BSD syslog protocol",
    "3168": "Explicit congestion notification (ECN)",
    "3225": "Indicating resolver support of DNSSEC",
    "3403": "Dynamic delegation discovery (NAPTR)",
    "3425": "Obsoleting IQUERY",
    "3596": "DNS extensions to support IP version 6",
    "3597": "Handling of unknown DNS resource record types",
    "3986": "Uniform Resource Identifier: generic syntax",
    "4007": "IPv6 scoped address architecture",
    "4025": "IPsec keying material in the DNS (IPSECKEY)",
    "4033": "DNS security: introduction and requirements",
    "4034": "Resource records for the DNS security extensions",
    "4035": "Protocol modifications for the DNS security extensions",
    "4255": "SSH key fingerprints (SSHFP)",
    "4291": "IP version 6 addressing architecture",
    "4343": "DNS case insensitivity clarification",
    "4592": "The role of wildcards in the DNS",
    "4635": "HMAC SHA algorithm identifiers for TSIG",
    "4648": "Base16, Base32 and Base64 data encodings",
    "4892": "Requirements for a mechanism identifying a name server",
    "5001": "DNS name server identifier (NSID)",
    "5155": "Hashed authenticated denial of existence (NSEC3)",
    "5424": "The syslog protocol",
    "5426": "Transmission of syslog messages over UDP",
    "5358": "Preventing use of recursive nameservers in reflector attacks",
    "5452": "Measures for making DNS more resilient against forged answers",
    "5702": "RSA/SHA-2 in DNSKEY and RRSIG records",
    "5936": "DNS zone transfer protocol (AXFR)",
    "5952": "A recommendation for IPv6 address text representation",
    "5966": "DNS transport over TCP (replaced by RFC 7766)",
    "6066": "TLS extensions: extension definitions",
    "6587": "Transmission of syslog messages over TCP",
    "6594": "SHA-256 in SSHFP records",
    "6604": "xNAME RCODE and status bits clarification",
    "6605": "ECDSA in DNSSEC",
    "6672": "DNAME redirection in the DNS",
    "6698": "DNS-based authentication of named entities (TLSA)",
    "6742": "DNS resource records for ILNP",
    "6761": "Special-use domain names",
    "6762": "Multicast DNS",
    "6840": "Clarifications and implementation notes for DNSSEC",
    "6874": "IPv6 zone identifiers in URIs",
    "6891": "Extension mechanisms for DNS (EDNS(0))",
    "6895": "DNS IANA considerations",
    "7230": "HTTP/1.1: message syntax and routing",
    "7301": "TLS application-layer protocol negotiation",
    "7314": "EDNS EXPIRE option",
    "7413": "TCP Fast Open",
    "7553": "The URI resource record",
    "7578": "Values of forms: multipart/form-data",
    "7766": "DNS transport over TCP: implementation requirements",
    "7828": "The edns-tcp-keepalive option",
    "7830": "The EDNS(0) padding option",
    "7858": "DNS over Transport Layer Security",
    "7871": "Client subnet in DNS queries",
    "7873": "DNS cookies",
    "7929": "DNS-based authentication of named entities for OpenPGP",
    "8005": "Host identity protocol (HIP) extension",
    "8020": "NXDOMAIN: there really is nothing underneath",
    "8078": "Managing DS records from the parent via CDS and CDNSKEY",
    "8080": "EdDSA in DNSSEC",
    "8305": "Happy Eyeballs version 2: better connectivity using concurrency",
    "8310": "Usage profiles for DNS over TLS and DTLS",
    "8375": "Special-use domain home.arpa",
    "8427": "Representing DNS messages in JSON",
    "8446": "Transport Layer Security 1.3",
    "8467": "Padding policies for EDNS(0)",
    "8482": "Minimal-sized responses to queries for ANY",
    "8484": "DNS queries over HTTPS",
    "8490": "DNS stateful operations",
    "8659": "Certification authority authorization (CAA)",
    "8777": "DNS reverse IP automatic multicast tunneling discovery (AMTRELAY)",
    "8906": "A common operational problem in DNS servers: failure to communicate",
    "8914": "Extended DNS errors",
    "8945": "Secret key transaction authentication (TSIG)",
    "8976": "Message digest for DNS zones (ZONEMD)",
    "9000": "QUIC",
    "9001": "Using TLS to secure QUIC",
    "9018": "Interoperable DNS server cookies",
    "9110": "HTTP semantics",
    "9112": "HTTP/1.1",
    "6585": "Additional HTTP status codes",
    "9113": "HTTP/2",
    "9457": "Problem details for HTTP",
    "9110": "HTTP semantics",
    "9113": "HTTP/2",
    "9076": "DNS privacy considerations",
    "9077": "NSEC and NSEC3: TTLs and aggressive use",
    "9103": "DNS zone transfer over TLS",
    "9210": "DNS transport over TCP: operational requirements",
    "9250": "DNS over dedicated QUIC connections",
    "9276": "Guidance for NSEC3 parameter settings",
    "9293": "Transmission Control Protocol",
    "9325": "Recommendations for secure use of TLS and DTLS",
    "9364": "DNS security extensions (DNSSEC)",
    "9432": "DNS catalog zones",
    "9460": "Service binding (SVCB and HTTPS)",
    "9461": "Service binding mapping for DNS servers",
    "9471": "DNS glue requirements in referral responses",
    "9499": "DNS terminology",
    "9619": "In the DNS, QDCOUNT is (usually) one",
    "9715": "IP fragmentation avoidance in DNS over UDP",
    "9904": "DNSSEC algorithm recommendations",
    "9905": "Deprecating SHA-1 in DNSSEC",
}

#: What a DNS server of today must and should keep (research of 2026-11); each of them has a clause
#: above or a line in `NOT_DONE`.
MUST = (
    1034,
    1035,
    1123,
    1982,
    1995,
    1996,
    2181,
    2308,
    3425,
    3596,
    3597,
    4033,
    4034,
    4035,
    4343,
    4592,
    4635,
    5155,
    5936,
    6604,
    6672,
    6840,
    6891,
    7766,
    8020,
    8482,
    8906,
    8945,
    9077,
    9210,
    9364,
    9471,
    9499,
    9619,
    9715,
)
SHOULD = (
    2136,
    2782,
    3007,
    3403,
    4255,
    4892,
    5001,
    5702,
    6605,
    6698,
    7314,
    7553,
    7828,
    7830,
    7858,
    7873,
    7929,
    8080,
    8310,
    8467,
    8484,
    8659,
    8914,
    8976,
    9018,
    9103,
    9250,
    9276,
    9432,
    9460,
    9904,
    9905,
)

_OVER_TLS = "transfers over TLS are not tested with other servers yet"
_UPDATE = "zones are not updated by message: the opcode gets NOTIMP"
_SIGNING = "zones are served as they were signed; Pierhead neither signs nor validates"
NOT_DONE = {
    "2136": _UPDATE,
    "3007": _UPDATE,
    "4033": "introduces RFC 4034 and RFC 4035, and has no rule of its own for a server",
    "4635": "replaced by RFC 8945, which has its algorithms and its truncation",
    "8976": "ZONEMD records are served as data; digests are not verified",
    "9077": "TTLs of NSEC and NSEC3 records are the signer's, and served as they stand",
    "9103": _OVER_TLS,
    "9250": "DNS over QUIC is not served yet",
    "9364": "lists the documents of DNSSEC, and has no rule of its own",
    "9432": "catalog zones are served as any zone; members are not taken from them",
    "9499": "defines terms, which names and messages here follow",
    "9904": _SIGNING,
    "9905": _SIGNING,
}

INTRODUCTION = """\
# Standards

Every clause of a standard that a test of ours shows, and the test that shows it. What is not
here is not claimed.

This page is written by `docs/generate_standards.py` from the marks on the tests.
"""


@dataclass(frozen=True, order=True)
class Claim:
    """A clause of an RFC, and the test that shows it."""

    section: str
    test: str
    path: str


def claims(root: Path) -> dict[str, list[Claim]]:
    """Read the marks of every test file: RFC number to claims."""
    found: dict[str, set[Claim]] = defaultdict(set)
    for path in sorted(root.rglob("test_*.py")):
        name = path.relative_to(root.parent).as_posix()
        for number, section, test in _marks(ast.parse(path.read_text(encoding="utf-8")), name):
            found[number].add(Claim(section, test, name))
    for path in sorted(root.glob("scenarios/**/*.txt")):
        name = path.relative_to(root.parent).as_posix()
        for number, section, case in _scenario_marks(path.read_text(encoding="utf-8"), name):
            found[number].add(Claim(section, case, name))
    return {number: sorted(found[number], key=_order) for number in sorted(found, key=int)}


def _order(claim: Claim) -> tuple[list[tuple[int, str]], str, str]:
    return [_part(part) for part in claim.section.split(".")], claim.test, claim.path


def _part(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (10**6, part)


def _marks(node: ast.AST, where: str) -> Iterator[tuple[str, str, str]]:
    """Give (number, section, test) of the marks on what stands directly in this node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in child.decorator_list:
                yield from _calls(decorator, _sentence(child.name), where)
            yield from _marks(child, where)
        elif isinstance(child, ast.Assign) and ast.unparse(child.targets[0]) == "pytestmark":
            yield from _calls(child.value, "every test of the file", where)


def _calls(node: ast.AST, test: str, where: str) -> Iterator[tuple[str, str, str]]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("mark.rfc"):
            if len(call.args) != 2 or call.keywords:
                raise SystemExit(f"{where}:{call.lineno}: expected rfc(number, section)")
            number, section = (ast.literal_eval(one) for one in call.args)
            _check_title(number, f"{where}:{call.lineno}")
            yield number, str(section), test


def _scenario_marks(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    """Give (number, section, case): a case shows its own clauses, or else those of its file."""
    common: list[tuple[str, str]] = []
    own: list[tuple[str, str]] = []
    case = ""
    for number, line in enumerate([*text.splitlines(), "case: "], 1):
        mark = re.fullmatch(r"rfc: (\d+) §([\w.]+)", line)
        if mark:
            _check_title(mark[1], f"{where}:{number}")
            (own if case else common).append((mark[1], mark[2]))
        elif line.startswith("case: "):
            if case:
                yield from ((*clause, case) for clause in own or common)
            # A title is text: what Markdown would take for more is escaped.
            case, own = re.sub(r"([*_|<\[\]\\])", r"\\\1", line.removeprefix("case: ")), []


def _check_title(number: str, where: str) -> None:
    if number not in TITLES:
        raise SystemExit(f"{where}: add the title of RFC {number} to TITLES")


def _sentence(name: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removeprefix("test_").removeprefix("Test"))
    text = words.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def page(root: Path = ROOT / "tests", wanted: Sequence[int] = (*MUST, *SHOULD)) -> str:
    """Return the text of the page; each document wanted is shown, or said not to be done."""
    found = claims(root)
    clauses = sum(len({claim.section for claim in every}) for every in found.values())
    parts = [INTRODUCTION, f"{len(found)} documents, {clauses} clauses.\n"]
    for number, every in found.items():
        parts.append(
            f"## [RFC {number}](https://www.rfc-editor.org/rfc/rfc{number}): {TITLES[number]}\n"
        )
        rows = [f"| §{claim.section} | [{claim.test}](../{claim.path}) |" for claim in every]
        parts.append("\n".join(["| clause | shown by |", "|---|---|", *rows, ""]))
    return "\n".join([*parts, _not_done(found, wanted)])


def _not_done(found: dict[str, list[Claim]], wanted: Sequence[int]) -> str:
    """Say what is missing of what a DNS server must and should keep."""
    for number in map(str, wanted):
        if (number in found) == (number in NOT_DONE):
            raise SystemExit(f"RFC {number} needs a test that shows a clause, or why there is none")
    rows = [
        f"| {number} | {TITLES[number]} | {'must' if int(number) in MUST else 'should'} | {why} |"
        for number, why in sorted(NOT_DONE.items(), key=lambda item: int(item[0]))
    ]
    head = ["## What is not done\n", "Of what a DNS server must or should keep today:\n"]
    return "\n".join(
        [*head, "| RFC | title | | what there is instead |", "|---|---|---|---|", *rows, ""]
    )


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/standards.md is not up to date; run: make standards", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
