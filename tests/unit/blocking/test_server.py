"""A server in the background of a script."""

from __future__ import annotations

import itertools
import threading

import pytest

from pierhead import Context, blocking
from pierhead.errors import ListenError, UsageError
from pierhead.protocols import lines

FORMAT = lines.wire_format()
_names = itertools.count()


@pytest.fixture
def address() -> str:
    return f"mem:serving-{next(_names)}"


def shout(line: str, context: Context) -> str:
    return f"{line.upper()} {threading.current_thread() is not threading.main_thread()}"


async def whisper(line: str, context: Context) -> str:
    return line.lower()


def test_a_plain_function_is_served_from_threads(address: str) -> None:
    with blocking.serve(shout, address, wire_format=FORMAT) as server:
        assert server.addresses == [address]
        with blocking.connect(address, FORMAT) as peer:
            assert peer.request("hello") == "HELLO True"
        assert server.metrics.total("requests_answered_total") == 1
    assert not server.lost


def test_what_is_served_changes_in_place(address: str) -> None:
    with blocking.serve(lines.serve(whisper), address) as server:
        server.reconfigure(max_connections=5)
        with blocking.connect(address, FORMAT) as peer:
            assert peer.request("Hello") == "hello"
            changes = server.replace(lines.serve(lines.echo, encoding=None), address)
            assert changes
            assert peer.request("Hello") == "Hello"
        assert server.reload() == ()


def test_waiting_has_a_timeout(address: str) -> None:
    with blocking.serve(lines.serve(whisper), address) as server:
        with pytest.raises(TimeoutError, match=r"the server did not end within 0\.01 s"):
            server.wait(timeout=0.01)


def test_an_address_that_cannot_be_opened_is_an_error_where_the_block_begins(address: str) -> None:
    with blocking.serve(lines.serve(whisper), address):
        with pytest.raises(ListenError), blocking.serve(lines.serve(whisper), address):
            pass


def test_a_function_needs_a_wire_format_and_an_endpoint_has_one(address: str) -> None:
    with pytest.raises(UsageError, match=r"shout has no wire format; write serve\(shout, …"):
        blocking.serve(shout, address)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="Endpoint has its wire format; leave it out"):
        blocking.serve(lines.serve(whisper), address, wire_format=FORMAT)  # type: ignore
    with pytest.raises(UsageError, match="did you mean max_connections"):
        blocking.serve(lines.serve(whisper), address, max_conections=5)  # type: ignore
