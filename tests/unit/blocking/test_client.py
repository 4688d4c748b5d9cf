"""A client for threads: conversations and requests without async."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pierhead import Context, Conversation, Lines, WireFormat, blocking, serve
from pierhead.errors import ConnectError, ConnectionEnded, RequestTimedOut, UsageError
from pierhead.protocols import lines
from pierhead.protocols.lines.wire import Text

FORMAT = lines.wire_format()
_names = itertools.count()


@pytest.fixture
def address() -> str:
    """A place in memory that no other test uses: all share one event loop."""
    return f"mem:blocking-{next(_names)}"


async def shout(line: str, context: Context) -> str:
    return line.upper()


async def talk(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        if line == "interrupt":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        elif line == "bye":
            return
        elif line != "silence":
            await conversation.send(line.upper())


@pytest.fixture
def talking(address: str) -> Iterator[str]:
    with blocking.serve(lines.converse(talk), address):
        yield address


@pytest.mark.parametrize("where", ["tcp:127.0.0.1:0", "unix:./s.sock", "mem:blocking"])
def test_messages_in_both_directions(where: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with blocking.serve(lines.converse(talk), where) as server:
        with blocking.connect(server.addresses[0], FORMAT) as peer:
            peer.send("hello")
            assert peer.receive() == "HELLO"
            for word in ("one", "two", "bye"):
                peer.send(word)
            assert list(peer) == ["ONE", "TWO"]


def test_requests_get_their_own_replies_from_many_threads(address: str) -> None:
    with blocking.serve(lines.serve(shout), address) as server:
        with blocking.connect(address, FORMAT) as peer, ThreadPoolExecutor(8) as pool:
            words = [f"word {n}" for n in range(200)]
            assert list(pool.map(peer.request, words)) == [word.upper() for word in words]
        # The conversation that `with` opened has been given up for the one of the requests.
        assert server.metrics.total("connections_open") == 0


def test_what_a_request_needs_is_one_connection(address: str) -> None:
    with blocking.serve(lines.serve(shout), address) as server:
        with blocking.connect(address, FORMAT) as peer:
            assert peer.request("hello") == "HELLO"
            assert server.metrics.total("connections_open") == 1
            assert len(peer.addresses) == 1


def test_a_client_without_a_block_makes_requests_and_is_closed(address: str) -> None:
    with blocking.serve(lines.serve(shout), address):
        peer = blocking.connect(address, FORMAT)
        assert peer.request("hello") == "HELLO"
        peer.close()
        with pytest.raises(ConnectionEnded, match="the client is closed"):
            peer.request("again")


def test_many_replies_are_an_iterator(address: str) -> None:
    async def count(start: str, context: Context) -> AsyncIterator[str]:
        for number in range(int(start), -1, -1):
            yield str(number)

    counting = WireFormat(Lines(), Text("utf-8"), last=lambda reply: reply == "0")
    with blocking.serve(serve(count, counting), address):
        with blocking.connect(address, counting) as peer:
            assert list(peer.replies("3")) == ["3", "2", "1", "0"]
            assert next(iter(peer.replies("9"))) == "9"
            assert list(peer.replies("1")) == ["1", "0"]


def test_waits_have_timeouts_and_lose_nothing(talking: str) -> None:
    with blocking.connect(talking, FORMAT) as peer:
        peer.send("silence")
        with pytest.raises(TimeoutError, match=r"no message from .* within 0\.01 s"):
            peer.receive(timeout=0.01)
        peer.send("hello")
        assert peer.receive(timeout=20) == "HELLO"
        with pytest.raises(RequestTimedOut):
            peer.request("silence", timeout=0.01)


def _send_and_receive(peer: blocking.Client[str, str], message: str) -> str:
    peer.send(message)
    return peer.receive()


@pytest.fixture
def _heeds_interrupts() -> Iterator[None]:
    """As a program on a terminal does; a shell starts others with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_interrupts")
def test_ctrl_c_ends_a_wait_and_the_conversation_goes_on(talking: str) -> None:
    with blocking.connect(talking, FORMAT) as peer:
        with pytest.raises(KeyboardInterrupt):
            _send_and_receive(peer, "interrupt")
        peer.send("hello")
        assert peer.receive() == "HELLO"


def test_half_close_ends_this_side_alone(address: str) -> None:
    async def count(conversation: Conversation[str, str]) -> None:
        number = len([line async for line in conversation])
        await conversation.send(f"{number} lines")

    with blocking.serve(lines.converse(count), address):
        with blocking.connect(address, FORMAT) as peer:
            peer.send("one")
            peer.send("two")
            peer.end_output()
            assert peer.receive() == "2 lines"
            with pytest.raises(ConnectionEnded):
                peer.send("three")


def test_conversations_of_one_client_have_a_connection_each(talking: str) -> None:
    client = blocking.connect(talking, FORMAT)
    with client.conversation() as one, client.conversation() as two:
        one.send("one")
        two.send("two")
        assert (two.receive(), one.receive()) == ("TWO", "ONE")
        assert not one.closed
        assert str(one.via.listener) == talking
    assert one.closed
    client.close()


def test_what_nobody_holds_is_closed(address: str) -> None:
    gone = threading.Event()

    async def until_gone(conversation: Conversation[str, str]) -> None:
        async for _ in conversation:
            pass
        gone.set()

    with blocking.serve(lines.converse(until_gone), address):
        client = blocking.connect(address, FORMAT)
        conversation = client.conversation()
        conversation.send("hello")
        del conversation
        assert gone.wait(20)
        client.close()


def test_nobody_there_is_an_error_where_the_block_begins(address: str) -> None:
    with pytest.raises(ConnectError), blocking.connect(address, FORMAT):
        pass


async def test_beside_a_running_event_loop_it_blocks_that_loop_alone(talking: str) -> None:
    with blocking.connect(talking, FORMAT) as peer:
        peer.send("hello")
        assert peer.receive() == "HELLO"
    assert asyncio.get_running_loop().is_running()


def test_inside_its_own_event_loop_it_would_wait_for_itself(address: str) -> None:
    refused: list[UsageError] = []

    async def ask(line: str, context: Context) -> str:
        try:
            blocking.connect(address, FORMAT).request(line)
        except UsageError as error:
            refused.append(error)
        return line

    with blocking.serve(lines.serve(ask), address), blocking.connect(address, FORMAT) as peer:
        assert peer.request("hello") == "hello"
    assert "would wait for itself; await the async half" in str(refused[0])


FORKED = """
import os, sys
from pierhead import blocking
from pierhead.errors import UsageError
from pierhead.protocols import lines

def shout(line, context):
    return line.upper()

def serve_and_ask():
    where = "tcp:127.0.0.1:0"
    with blocking.serve(shout, where, wire_format=lines.wire_format()) as server:
        with blocking.connect(server.addresses[0], lines.wire_format()) as peer:
            assert peer.request("hello") == "HELLO"

serve_and_ask()
before = blocking.connect("tcp:127.0.0.1:9", lines.wire_format())
child = os.fork()
try:
    before.request("hello")
except UsageError as error:
    assert child == 0 and "from which this one has been forked" in str(error)
    serve_and_ask()
    print("the child is served", flush=True)
    sys.exit(0)
except Exception:
    assert child != 0
_, status = os.waitpid(child, 0)
assert status == 0, status
serve_and_ask()
open_to_the_end = blocking.connect("tcp:127.0.0.1:9", lines.wire_format())
print("so is the parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_an_event_loop_of_its_own() -> None:
    command = [sys.executable, "-W", "error", "-W", "ignore:.*fork.*:DeprecationWarning", "-c"]
    done = subprocess.run([*command, FORKED], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("the child is served\nso is the parent\n", "")


OPEN = """
from pierhead import blocking
from pierhead.protocols import lines

async def listen(conversation):
    async for line in conversation:
        print(line, flush=True)

server = blocking.serve(lines.converse(listen), "tcp:127.0.0.1:0").__enter__()
peer = blocking.connect(server.addresses[0], lines.wire_format()).__enter__()
peer.send("hello")
print("the end")
"""


def test_the_interpreter_ends_with_everything_open() -> None:
    command = [sys.executable, "-c", OPEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "the end" in done.stdout
