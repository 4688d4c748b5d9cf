"""Nothing that a peer sends is printed raw: a table of every place that prints such text."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pierhead import Server
from pierhead.clock import SystemClock
from pierhead.errors import DecodeError, HandshakeError
from pierhead.failure_log import FailureLog, one_line
from pierhead.metrics import Metrics
from pierhead.middleware import access_log
from pierhead.printable import printable, printable_octets, visible
from pierhead.protocols import dns, lines
from pierhead.protocols.dns.option_text import option_words
from pierhead.protocols.dns.wire import iana
from pierhead.runtime.stop import lost_lines
from pierhead.server.lost_requests import LostRequest, LostRequests
from pierhead.service import FrameHandler
from pierhead.service.context import Context, Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")

#: Characters that move the cursor, end a line, reverse the writing direction or hide text.
NASTY = {
    "new lines": "a\nERROR forged\r\nb\x0b\x0c\x85c\u2028d\u2029e",
    "escape sequences": "\x1b]0;title\x07\x1b[2J\x1b[31m",
    "C0 and DEL": "".join(map(chr, range(32))) + "\x7f",
    "C1": "".join(map(chr, range(0x80, 0xA0))),
    "bidi": "\u202aa\u202bb\u202cc\u202dd\u202ee\u2066f\u2067g\u2068h\u2069i\u200ej\u200fk\u061c",
    "invisible": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u034f\U000e0041",
    "surrogates": "a\udc80\udcffb",
}
_UNIX = (1).to_bytes(2, sys.byteorder)


def is_clean(text: str) -> bool:
    """Return whether text is one line of visible characters."""
    return text.isprintable()


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"\x01")


PEERS: dict[str, Callable[[str], Peer]] = {
    "a name": Peer,
    "a path, raw": lambda text: Peer(_UNIX + octets(text) + b"\0"),
    "an abstract name, raw": lambda text: Peer(_UNIX + b"\0" + octets(text)),
    "an abstract name": lambda text: Peer.abstract(b"\0" + octets(text)),
    "a host of the environment": lambda text: Peer((text, 7)),
}


@pytest.mark.parametrize("what", NASTY)
@pytest.mark.parametrize("form", PEERS)
def test_a_peers_text_is_safe_and_its_source_is_exact(form: str, what: str) -> None:
    peer = PEERS[form](NASTY[what])
    for text in (str(peer), repr(peer), peer.host, repr(Context(peer, 0.0, VIA))):
        assert text.isascii()
        assert is_clean(text)
    assert octets(NASTY[what]).strip(b"\0") in peer.source.replace(b"\0", b"\x01")


def _logged(caplog: Any, act: Callable[[Peer, str], object]) -> Callable[[str], list[str]]:
    def logged(text: str) -> list[str]:
        act(Peer(text), text)
        return [record.getMessage() for record in caplog.records]

    return logged


def _fails(text: str) -> BaseException:
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise RuntimeError(f"again {text}") from error
    except RuntimeError as error:
        return error


def _report(peer: Peer, text: str) -> None:
    log = FailureLog(SystemClock(), "mem:a")
    log.report("mem:a", _fails(text))
    log.report("mem:a", _fails(text))  # omitted, but at DEBUG nevertheless
    log.note(HandshakeError("tls", text), "handshake", peer)
    log.note(DecodeError(text), "decode", peer)


async def _access(peer: Peer, text: str) -> None:
    async def echo(request: Any, context: Context) -> Any:
        return request

    await access_log()(echo)(text, Context(peer, 0.0, VIA))


async def _query(peer: Peer, text: str) -> None:
    name = bytes([len(label := octets(text)[:60])]) + label + b"\0"
    frame = b"\0\1\0\0\0\1\0\0\0\0\0\0" + name + b"\0\x10\0\1"

    async def silent(query: Any, context: Any) -> None:
        return None

    handler = dns.serve(dns.stack(silent, dns.query_log())).datagram
    assert isinstance(handler, FrameHandler)
    await handler.service(frame, Context(peer, 0.0, VIA))


def _lost(peer: Peer, text: str) -> list[str]:
    lost = LostRequests()
    lost.add(LostRequest("mem:a", str(peer), "drain"))
    said = lost_lines(lost)
    assert len(said) == 2
    return said


def _metric(peer: Peer, text: str) -> list[str]:
    metrics = Metrics()
    metrics.counter("dropped_total", listener="a", reason=text).add()
    assert metrics.total("dropped_total") == 1
    return list(metrics.snapshot())


def _option(peer: Peer, text: str) -> list[str]:
    data = text.encode("utf-8", "surrogateescape")
    return [option_words(code, b"\0\1" + data) for code in (*range(20), 65001)] + [
        option_words(iana.OPTION_EXTENDED_ERROR, b"\0\x0f" + data)
    ]


def _text_of_errors(peer: Peer, text: str) -> list[str]:
    return [one_line(error) for error in (HandshakeError("tls", text), DecodeError(text))]


#: Every place of ours that prints what a peer may have chosen. `query`'s table and JSON are in
#: tests/laws/test_query_output_laws.py.
PLACES: dict[str, Callable[[Peer, str], Any]] = {
    "failures, their tracebacks, and all else at DEBUG": _report,
    "access log": _access,
    "query log": _query,
    "lost requests at the end": _lost,
    "metrics": _metric,
    "options of a DNS message": _option,
    "text of errors": _text_of_errors,
    "printable": lambda peer, text: [printable(text), printable_octets(octets(text))],
    "visible": lambda peer, text: [visible(text)],
}


@pytest.mark.parametrize("what", NASTY)
@pytest.mark.parametrize("place", PLACES)
def test_no_place_prints_raw_text_of_a_peer(place: str, what: str, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    text = NASTY[what]
    found = PLACES[place](Peer(text), text)
    if asyncio.iscoroutine(found):
        found = asyncio.run(found)
    messages = [r.getMessage() for r in caplog.records if r.name.startswith("pierhead")]
    printed = [*(found or []), *messages]
    assert printed
    assert all(record.exc_info is None for record in caplog.records)
    for message in printed:
        # A traceback has its own lines of files and code; the text is on one of them.
        own = message.split("\n") if "traceback" in message else [message]
        assert all(map(is_clean, own)), message
        assert not any(line.startswith("ERROR forged") for line in own)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names")
@pytest.mark.parametrize("address", ["unix:@nasty-{}", "proxy+unix:@nasty-{}", "unixseq:@nasty-{}"])
async def test_a_client_name_of_escape_sequences_cannot_forge_log_lines(
    address: str, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[tuple[str, str]] = []
    name = f"{address.partition(':')[0]}-{id(caplog)}"

    async def fails(line: str, context: Context) -> str:
        raise ValueError(f"{context.peer} {line}")

    server = Server(
        lines.serve(fails),
        address.format(name),
        on_error=lambda error, where: told.append((str(where), f"{where.peer} {one_line(error)}")),
    )
    async with server:
        kind = socket.SOCK_SEQPACKET if "seq" in address else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.setblocking(False)
            client.bind(b"\0\n\x1b[2JERROR forged\n\xc2\x9b" + name.encode())
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, f"\0nasty-{name}")
            await loop.sock_sendall(client, b"\x1b[2J\n")
            await loop.sock_recv(client, 10)
    assert told
    messages = [r.getMessage() for r in caplog.records if r.name.startswith("pierhead")]
    assert messages
    for text in [*(shown for _, shown in told), *messages]:
        assert "\x1b" not in text
        assert "\x9b" not in text
        assert "\nERROR forged" not in text
