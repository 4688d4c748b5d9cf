"""Messages that no careful client sends: our reply is that of NSD or Knot DNS, or as silent.

What RFC 8906 §8 asks name servers to survive, and what networks do to messages.
"""

from __future__ import annotations

import socket
import struct

import pytest
from tests.interop.peers import Peer
from tests.processes import PATIENCE_S

WWW = b"\x03www\x07example\x00"
A_IN = struct.pack("!HH", 1, 1)
IDENT = 0x1D1D


def header(flags: int = 0, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    return struct.pack("!6H", IDENT, flags, qd, an, ns, ar)


def opt(size: int = 1232, ttl: int = 0, rdata: bytes = b"", owner: bytes = b"\0") -> bytes:
    return owner + struct.pack("!HHIH", 41, size, ttl, len(rdata)) + rdata


def option(code: int, data: bytes) -> bytes:
    return struct.pack("!HH", code, len(data)) + data


QUESTION = WWW + A_IN
PLAIN = header() + QUESTION

#: Our outcome is one of theirs.
MESSAGES = {
    "reserved header bit": header(flags=0x0040) + QUESTION,
    "AD and CD": header(flags=0x0030) + QUESTION,
    "AA, TC and RA in a query": header(flags=0x0680) + QUESTION,
    "RCODE in a query": header(flags=0x0003) + QUESTION,
    "opcode STATUS": header(flags=2 << 11) + QUESTION,
    "opcode 15": header(flags=15 << 11) + QUESTION,
    "opcode 3, header alone": header(flags=3 << 11, qd=0),
    "two questions": header(qd=2) + QUESTION + QUESTION,
    "question count too high": header(qd=2) + QUESTION,
    "name cut off": header() + b"\x03ww",
    "type cut off": header() + WWW + b"\0",
    "pointer to itself": header() + b"\xc0\x0c" + A_IN,
    "reserved label type": header() + b"\x80abc\0" + A_IN,
    "EDNS, unknown option": header(ar=1) + QUESTION + opt(rdata=option(65001, b"hello")),
    "EDNS, unknown flags": header(ar=1) + QUESTION + opt(ttl=0x4000),
    "EDNS, NSID asked for": header(ar=1) + QUESTION + opt(rdata=option(3, b"")),
    "EDNS, version 1 with an option": header(ar=1) + QUESTION + opt(1232, 1 << 16, option(99, b"")),
    "EDNS, version 255": header(ar=1) + QUESTION + opt(ttl=255 << 16),
    "EDNS, option longer than its record": header(ar=1) + QUESTION + opt(rdata=b"\0\x63\0\xff"),
    "EDNS twice": header(ar=2) + QUESTION + opt() + opt(),
    "EDNS record cut off": header(ar=1) + QUESTION + opt()[:-4],
    "class NONE": header() + WWW + struct.pack("!HH", 1, 254),
    "class 0": header() + WWW + struct.pack("!HH", 1, 0),
    "type 0": header() + WWW + struct.pack("!HH", 0, 1),
}

#: Nobody answers these; a reply to a reply would be a loop between two servers.
SILENT = {
    "empty": b"",
    "one octet": b"\x1d",
    "header cut off": header()[:11],
    "a response": header(flags=0x8000) + QUESTION,
    "a response that failed": header(flags=0x8001) + QUESTION,
}


def exchange(peer: Peer, message: bytes) -> bytes | None:
    """Send the message and then a plain query from the same port; return the reply to the first.

    Servers here answer in order, so the plain query's reply ends the wait for one that never
    comes. The plain query has another identifier, and asks for a name that is not there: no such
    answer is kept ready, to overtake another.
    """
    after = b"\xff\xff" + header()[2:] + b"\x06nobody\x07example\x00" + A_IN
    found: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        client.connect((peer.host, peer.port))
        client.send(message)
        client.send(after)
        while not (found and found[-1].startswith(b"\xff\xff")):
            found.append(client.recv(65535))
    return found[0] if len(found) > 1 else None


def outcome(reply: bytes | None) -> object:
    """Return what of a reply a client acts on: flags, RCODE with its EDNS part, answer count."""
    if reply is None:
        return "silence"
    ident, flags, _, answers, _, additional = struct.unpack_from("!6H", reply)
    assert ident == IDENT
    assert flags & 0x8000
    # RFC 6891 §6.1.3: the upper bits of the RCODE; these replies end with their OPT record.
    upper = reply[-6] if additional and reply[-11:-8] == b"\0\0\x29" else 0
    return {
        "opcode": flags >> 11 & 0xF,
        "flags": flags & 0x07B0,
        "rcode": upper << 4 | flags & 0xF,
        "answers": answers,
    }


@pytest.mark.rfc("8906", "8")
@pytest.mark.parametrize("name", MESSAGES)
def test_the_outcome_is_that_of_nsd_or_knot(
    name: str, nsd: Peer, knot: Peer, pierhead: Peer
) -> None:
    message = MESSAGES[name]
    theirs = [outcome(exchange(peer, message)) for peer in (nsd, knot)]

    assert outcome(exchange(pierhead, message)) in theirs


@pytest.mark.rfc("6891", "6.1.1")
def test_a_question_for_a_type_that_no_zone_can_hold_is_a_format_error(pierhead: Peer) -> None:
    """Here we differ on purpose: the others look for an OPT record in the zone, and find none."""
    reply = exchange(pierhead, header() + WWW + struct.pack("!HH", 41, 1))

    assert outcome(reply) == {"opcode": 0, "flags": 0, "rcode": 1, "answers": 0}


@pytest.mark.rfc("1035", "7.3")
@pytest.mark.parametrize("name", SILENT)
def test_nothing_is_said_to_what_is_no_query(name: str, pierhead: Peer) -> None:
    assert exchange(pierhead, SILENT[name]) is None


@pytest.mark.rfc("7766", "6.2.1.1")
def test_a_hundred_queries_in_one_write_get_a_hundred_answers(pierhead: Peer) -> None:
    queries = [struct.pack("!H", number) + PLAIN[2:] for number in range(100)]
    sent = b"".join(struct.pack("!H", len(query)) + query for query in queries)

    with socket.create_connection((pierhead.host, pierhead.port), PATIENCE_S) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)  # the end of input is not the end of answering
        with client.makefile("rb") as replies:
            found = []
            while size := replies.read(2):
                found.append(replies.read(int.from_bytes(size, "big")))

    assert sorted(reply[:2] for reply in found) == [query[:2] for query in queries]
    assert all(reply[3] & 0xF == 0 and reply[7] == 1 for reply in found)


@pytest.mark.rfc("7766", "6.2.1")
def test_a_query_cut_into_single_octets_is_answered(pierhead: Peer) -> None:
    with socket.create_connection((pierhead.host, pierhead.port), PATIENCE_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in struct.pack("!H", len(PLAIN)) + PLAIN:
            client.sendall(bytes([octet]))
        with client.makefile("rb") as replies:
            reply = replies.read(int.from_bytes(replies.read(2), "big"))

    assert reply[:2] == PLAIN[:2]
    assert reply[7] == 1
