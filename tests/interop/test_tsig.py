"""Signed messages between Pierhead and BIND, Knot DNS, dig and kdig, by every algorithm."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.conftest import ZONES
from tests.interop.peers import Peer, bind_server, knot_server
from tests.processes import PATIENCE_S, Running, pierhead_command

from pierhead.protocols import dns
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.signed_question import SignatureRefused
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.tsig import Key, StreamVerifier, bind_text, sign
from pierhead.protocols.dns.wire.tsig.key import ALGORITHMS

LARGE = "@ 300 SOA ns h 1 3600 900 86400 300\n@ 300 NS ns\nns 300 A 192.0.2.1"
SECRET = bytes(range(64))
KEYS = {name: Key(f"{name[5:]}.example", SECRET, algorithm=name) for name in ALGORITHMS}
EACH = pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))


def word(key: Key) -> str:
    """Return the key as dig and kdig take it."""
    return f"{key.algorithm_text}:{key.text}:{base64.b64encode(key.secret).decode()}"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Our server, with a file of all keys."""
    file = tmp_path_factory.mktemp("keys") / "keys.conf"
    file.touch(0o600)
    file.write_text("".join(bind_text(key) for key in KEYS.values()))
    zone = str(ZONES["example."])
    words = ["serve", "dns", "--zone", zone, "--key", str(file), "-l", "127.0.0.1:0"]
    with Running([*pierhead_command(), *words, "--allow-transfer", "127.0.0.1"]) as running:
        yield int(running.line("ready").rpartition(":")[2])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zone that takes several messages."""
    file = tmp_path_factory.mktemp("large") / "large.zone"
    records = [f"host-{n:05} 300 TXT {'x' * 200}" for n in range(2000)]
    file.write_text("\n".join([LARGE, *records, ""]))
    return file


@pytest.fixture(scope="module", params=["bind", "knot"])
def theirs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    start = {"bind": bind_server, "knot": knot_server}[request.param]
    zones = {"example.": ZONES["example."], "large.": request.getfixturevalue("large")}
    with start(zones, tmp_path_factory.mktemp(request.param), keys=list(KEYS.values())) as peer:
        yield peer


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.rfc("8945", "6")
@EACH
@pytest.mark.parametrize("asker", ["dig", "kdig"])
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_and_kdig_verify_our_answers(ours: int, program, asker: str, key: Key, transport: str):
    words = ("-p", str(ours), "-y", word(key), transport, "www.example.", "A")
    shown = run(program(asker), "@127.0.0.1", *words)
    assert "192.0.2.80" in shown
    assert "TSIG PSEUDOSECTION" in shown
    assert "could not be validated" not in shown
    assert "ailed" not in shown


@pytest.mark.rfc("8945", "5.3.1")
@EACH
@pytest.mark.parametrize("asker", ["dig", "kdig"])
def test_dig_and_kdig_verify_our_transfers(ours: int, program, asker: str, key: Key):
    shown = run(program(asker), "@127.0.0.1", "-p", str(ours), "-y", word(key), "example.", "AXFR")
    assert shown.count("SOA") >= 2
    assert "could not be validated" not in shown
    assert "ailed" not in shown


@pytest.mark.rfc("8945", "5.2.1")
def test_dig_understands_our_refusals(ours: int, program) -> None:
    for key, error in (
        (Key("nobody.example", SECRET), "BADKEY"),
        (Key("sha256.example", SECRET[1:]), "BADSIG"),
        (Key("sha256.example", SECRET, algorithm="hmac-sha256-128"), "BADTRUNC"),
    ):
        shown = run(program("dig"), "@127.0.0.1", "-p", str(ours), "-y", word(key), "example.")
        assert f" {error} " in shown
        assert "status: NOTAUTH" in shown


@pytest.mark.rfc("8945", "5.4")
@EACH
@pytest.mark.parametrize("scheme", ["", "tcp:"])
async def test_we_verify_their_answers(theirs: Peer, key: Key, scheme: str) -> None:
    where = f"{scheme}{theirs.host}:{theirs.port}"
    response = await dns.query(where, "www.example.", key=key)
    assert response.answer[-1].data == "192.0.2.80"
    assert not any(record.rtype == iana.TSIG for record in response.additional)


@pytest.mark.rfc("8945", "5.4")
@pytest.mark.parametrize(
    ("key", "error"),
    [
        (Key("nobody.example", SECRET), iana.BADKEY),
        (Key("sha256.example", SECRET[1:]), iana.BADSIG),
    ],
)
async def test_we_understand_their_refusals(theirs: Peer, key: Key, error: int) -> None:
    with pytest.raises(SignatureRefused) as caught:
        await dns.query(f"{theirs.host}:{theirs.port}", "www.example.", key=key)
    assert caught.value.error == error


@pytest.mark.rfc("8945", "5.3.1")
@EACH
async def test_we_verify_their_transfers(theirs: Peer, key: Key) -> None:
    request = sign(dns.Question("large.", "AXFR", edns=None).frame(), key, int(time.time()))
    verifier = StreamVerifier(key, request.mac)
    reader, writer = await asyncio.open_connection(theirs.host, theirs.port)
    writer.write(len(request.frame).to_bytes(2, "big") + request.frame)
    messages = soas = 0
    async with asyncio.timeout(PATIENCE_S):
        while soas < 2:
            frame = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            response = parse_response(verifier.verify(frame, int(time.time())))
            soas += sum(record.rtype == iana.SOA for record in response.answer)
            messages += 1
    verifier.finish()
    writer.close()
    assert messages > 5


@pytest.mark.rfc("8945", "5.2.1")
@pytest.mark.parametrize("name", ["bind", "knot", "nsd"])
async def test_a_server_without_keys_says_so(name: str, request: pytest.FixtureRequest) -> None:
    peer: Peer = request.getfixturevalue(name)
    key = Key("sha256.example", SECRET)
    with pytest.raises(SignatureRefused) as caught:
        await dns.query(f"{peer.host}:{peer.port}", "example.", "SOA", key=key)
    assert caught.value.error == iana.BADKEY


def test_the_command_verifies_their_answers(theirs: Peer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(bind_text(KEYS["hmac-sha256"]))
    words = (f"@{theirs.host}:{theirs.port}", "www.example.", "-k", str(file))
    shown = run(*pierhead_command(), "query", *words)
    assert "TSIG  sha256.example. hmac-sha256, verified" in shown
