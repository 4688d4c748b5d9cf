"""The example of a layer over octets: written outside the package, held to what TSIG asks for."""

from __future__ import annotations

import asyncio
import importlib.util
import struct
from types import ModuleType

import dns.message
import pytest
from tests.processes import ROOT

from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.protocols import dns as pdns
from pierhead.protocols.dns.response import Response, parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query
from pierhead.server.server import Server

NAME = from_text("www.example.")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("signed_dns", ROOT / "examples/signed_dns.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def over_udp(frame: bytes) -> bytes:
    client = await dial_datagram("memgram:dns")
    client.send(frame)
    async with asyncio.timeout(30):
        answer = await client.receive()
    client.close()
    return answer


class OneMessage(asyncio.Protocol):
    """Takes one message with its length in front."""

    def __init__(self) -> None:
        self._octets = b""
        self.message = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._octets += data
        length = int.from_bytes(self._octets[:2], "big")
        if len(self._octets) >= 2 + length > 2 and not self.message.done():
            self.message.set_result(self._octets[2 : 2 + length])


async def over_tcp(frame: bytes) -> bytes:
    client = OneMessage()
    transport = await dial_stream("mem:dns", lambda: client)
    transport.write(len(frame).to_bytes(2, "big") + frame)
    async with asyncio.timeout(30):
        answer = await client.message
    transport.close()
    return answer


ASK = {"memgram:dns": over_udp, "mem:dns": over_tcp}
BOTH = pytest.mark.parametrize("address", ASK)


def asking(rtype: int = iana.A, *, edns: Edns | None = None, flags: int = 0) -> bytes:
    return build_query(7, NAME, rtype, edns=edns, flags=flags)


async def exchange(endpoint, frame: bytes, address: str) -> bytes:
    async with Server(endpoint, address):
        return await ASK[address](frame)


def opened(example: ModuleType, answer: bytes, request: bytes) -> Response:
    """Return what is signed, checked by hand: the MAC is over all before it and the request's."""
    assert int.from_bytes(answer[10:12], "big") >= 1
    bare, head, found = answer[:-43], answer[-43:-32], answer[-32:]
    assert head == b"\0" + struct.pack("!HHIH", 65280, 255, 0, 32)
    bare = bare[:10] + (int.from_bytes(bare[10:12], "big") - 1).to_bytes(2, "big") + bare[12:]
    assert found == example.mac(bare, request[-32:])
    if answer[2] >> 3 & 15 != iana.OPCODE_UPDATE:  # where class ANY means something else
        dns.message.from_wire(answer)
    return parse_response(bare)


def is_signed(response: Response) -> bool:
    return any(record.rtype == 65280 for record in response.additional)


@BOTH
@pytest.mark.parametrize("edns", [None, Edns(), Edns(do=True)])
async def test_a_signed_request_gets_a_signed_answer(example, address, edns):
    request = example.sign(asking(edns=edns))
    response = opened(example, await exchange(example.endpoint, request, address), request)
    assert [str(record) for record in response.answer] == ["www.example. 300 IN A 192.0.2.1"]
    assert (response.edns is not None) is (edns is not None)


@BOTH
async def test_the_same_octets_get_another_seal_for_another_request(example, address):
    first, second = (example.sign(asking(flags=flags)) for flags in (0, 0x0010))
    answers = [await exchange(example.endpoint, frame, address) for frame in (first, second)]
    assert answers[0][:-32] == answers[1][:-32]
    assert answers[0][-32:] != answers[1][-32:]


async def test_an_answer_that_fits_alone_is_truncated_where_its_signature_does_not_fit(example):
    """483 octets fit into 512, and 526 do not: what is truncated is signed all the same."""
    for octets, is_cut in ((380, False), (440, True)):
        site = pdns.static({"www.example.": pdns.TXT("x" * octets)})
        request = example.sign(asking(iana.TXT))
        endpoint = pdns.serve(pdns.stack(site, example.Signed()))
        answer = await exchange(endpoint, request, "memgram:dns")
        response = opened(example, answer, request)
        assert (response.truncated, len(response.answer)) == (is_cut, 0 if is_cut else 1)
        assert len(answer) <= 512
        # Without the layer it is 512 octets at the most, and over TCP there is room.
        plain = await exchange(pdns.serve(pdns.stack(site)), asking(iana.TXT), "memgram:dns")
        assert not parse_response(plain).truncated
        answer = await exchange(endpoint, request, "mem:dns")
        assert len(opened(example, answer, request).answer) == 1


@BOTH
@pytest.mark.parametrize(
    ("spoil", "rcode"),
    [
        (lambda example, frame: frame, iana.REFUSED),
        (lambda example, frame: example.sign(frame)[:-1] + b"x", iana.NOTAUTH),
        (lambda example, frame: b"\0\1" + example.sign(frame)[2:], iana.NOTAUTH),
        # Something signed stands before the last record.
        (lambda e, f: e.count(e.sign(f), 1) + b"\0\0\1\0\1" + bytes(6), iana.REFUSED),
    ],
)
async def test_who_is_refused_gets_no_signature(example, address, spoil, rcode):
    frame = spoil(example, asking(edns=Edns()))
    response = parse_response(await exchange(example.endpoint, frame, address))
    assert (response.rcode, response.answer) == (rcode, ())
    assert not is_signed(response)


@BOTH
@pytest.mark.parametrize("opcode", [iana.OPCODE_NOTIFY, iana.OPCODE_UPDATE, 15])
async def test_other_kinds_of_messages_are_checked_and_their_refusal_is_signed(
    example, address, opcode
):
    request = example.sign(asking(iana.SOA, flags=opcode << 11))
    response = opened(example, await exchange(example.endpoint, request, address), request)
    assert (response.flags >> 11 & 15, response.rcode) == (opcode, iana.NOTIMP)
    unsigned = asking(iana.SOA, flags=opcode << 11)
    response = parse_response(await exchange(example.endpoint, unsigned, address))
    assert (response.rcode, is_signed(response)) == (iana.REFUSED, False)


@BOTH
async def test_what_the_service_fails_at_is_signed_as_well(example, address):
    async def fails(query, context):
        raise KeyError("mine")

    request = example.sign(asking())
    endpoint = pdns.serve(pdns.stack(fails, example.Signed()))
    response = opened(example, await exchange(endpoint, request, address), request)
    assert response.rcode == iana.SERVFAIL


async def test_no_answer_is_kept_ready_behind_the_layer(example, tmp_path):
    zone = tmp_path / "example.zone"
    zone.write_text("@ 300 SOA ns h 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n")
    site = pdns.zones(zone)
    assert pdns.stack(site).snapshot is not None
    assert pdns.stack(site, example.Signed()).snapshot is None


async def test_it_stands_outside_the_standard_layers_that_change_replies(example):
    """A seal is made last, whatever layers further out have added."""
    site = pdns.static({"www.example.": pdns.A("192.0.2.1")})
    layers = [pdns.cookies(), pdns.nsid("x"), example.Signed(), pdns.rate_limit()]
    edns = Edns(options=((iana.OPTION_COOKIE, bytes(8)), (iana.OPTION_NSID, b"")))
    request = example.sign(asking(edns=edns))
    endpoint = pdns.serve(pdns.stack(site, *layers))
    response = opened(example, await exchange(endpoint, request, "memgram:dns"), request)
    assert {code for code, _ in response.edns.options} == {iana.OPTION_COOKIE, iana.OPTION_NSID}


def test_it_is_short(example):
    """Thirty lines of layer: what imports nothing and says nothing is not counted."""
    text = (ROOT / "examples/signed_dns.py").read_text().split('"""', 2)[2]
    code = [
        line
        for line in text.splitlines()
        if line.strip() and not line.startswith(("import", "from"))
    ]
    assert len(code) <= 35
