"""`pierhead connect`, `listen` and `send`, spoken to by pipes, files and terminals."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import warm
from tests.processes import PATIENCE_S, pierhead_command
from tests.speaking import OnTerminal, Speaking

from pierhead import Context, Conversation, blocking
from pierhead.protocols import lines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are forked")

COMMAND = pierhead_command()


async def shout(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        if line == "leave":
            return
        await conversation.send(line.upper())


@pytest.fixture
def address() -> Iterator[str]:
    with blocking.serve(lines.converse(shout), "tcp:127.0.0.1:0") as server:
        yield server.addresses[0]


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that accepts, and does what the test does with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield listener


def name(listener: socket.socket) -> str:
    return f"tcp:127.0.0.1:{listener.getsockname()[1]}"


def connected(address: str, *options: str) -> Speaking:
    return Speaking([*COMMAND, "connect", address, *options])


def test_what_comes_is_shown_at_once_and_the_end_of_the_input_is_the_end(address: str) -> None:
    with connected(address) as program:
        program.say("hello\n")
        program.hears("HELLO")
        program.say("last")
        program.end_input()
        program.hears("LAST")
        assert program.ends() == 0
        assert program.err == []


def test_it_ends_at_once_when_the_server_goes(address: str) -> None:
    with connected(address) as program:
        program.say("hello\n")
        program.hears("HELLO")
        began = time.monotonic()
        program.say("leave\n")
        assert program.ends() == 1
        assert time.monotonic() - began < 5  # the promise is 0.2 s, on a machine of its own
        assert program.err == [f"{address}: the peer has ended the connection"]


def test_a_connection_that_is_cut_off_is_an_error() -> None:
    with listening() as listener, connected(name(listener)) as program:
        client, _ = listener.accept()
        program.say("hello\n")
        assert client.recv(1) == b"h"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert program.ends() == 1
        assert len(program.err) == 1
        assert program.err[0].startswith(f"error: {name(listener)[4:]}: ")


def test_the_exit_word_ends_it_and_is_not_sent() -> None:
    with listening() as listener:
        with connected(name(listener), "--exit-word", "exit") as program:
            client, _ = listener.accept()
            with client:
                program.say("hello\nexit\nnever\n")
                assert b"".join(iter(lambda: client.recv(100), b"")) == b"hello\n"
            assert program.ends() == 0


def test_without_an_exit_word_exit_is_a_line(address: str) -> None:
    with connected(address) as program:
        program.say("exit\n")
        program.hears("EXIT")


def test_the_input_ends_this_side_and_the_peer_may_go_on() -> None:
    with listening() as listener, connected(name(listener)) as program:
        client, _ = listener.accept()
        with client:
            program.say("hello\n")
            program.end_input()
            assert b"".join(iter(lambda: client.recv(100), b"")) == b"hello\n"
            client.sendall(b"still\nhere\n")
            program.hears("here")
        assert program.ends() == 0


def test_everything_a_peer_sends_is_escaped() -> None:
    with listening() as listener, connected(name(listener)) as program:
        client, _ = listener.accept()
        with client:
            client.sendall(b"\x1b]0;title\x07 \xe2\x80\xae caf\xc3\xa9 \xff\n")
            program.hears(r"\x1b]0;title\x07 \u202e café \xff")


def test_json_shows_an_object_for_each_message_and_timing_how_long_it_took(address: str) -> None:
    with connected(address, "--json", "--timing") as program:
        program.say("hello\n")
        program.end_input()
        assert program.ends() == 0
        (shown,) = [json.loads(line) for line in program.out]
        assert shown["message"] == "HELLO"
        assert 0 < shown["after_s"] < PATIENCE_S


def test_json_is_checked_before_it_is_sent() -> None:
    with listening() as listener, connected(name(listener), "--as", "json") as program:
        client, _ = listener.accept()
        with client:
            program.say('nonsense\n{"a": [1, 2]}\n')
            assert client.recv(100) == b'{"a":[1,2]}\n'
            program.line("error: this is not JSON, and was not sent")
            client.sendall(b'{"b": "\\u001b"}\n')
            program.hears(r'{"b": "\u001b"}')


def test_hexadecimal_digits_are_octets_without_a_framing() -> None:
    with listening() as listener, connected(name(listener), "--as", "hex") as program:
        client, _ = listener.accept()
        with client:
            program.say("00 ff\n")
            assert client.recv(100) == b"\0\xff"
            client.sendall(b"\x7fELF")
            program.hears("7f 45 4c 46")


def test_it_connects_again_if_asked_and_loses_no_line_that_is_typed_meanwhile() -> None:
    with listening() as listener, connected(name(listener), "--reconnect") as program:
        client, _ = listener.accept()
        client.close()
        program.line("the peer has ended the connection; connecting again")
        client, _ = listener.accept()
        with client:
            program.line("connected again")
            program.say("hello\n")
            assert client.recv(100) == b"hello\n"


def test_nobody_there_is_one_line_and_a_remedy() -> None:
    with listening() as listener:
        nowhere = name(listener)
    done = warm.pierhead("connect", nowhere)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot connect to {nowhere}: connect: ")
    assert "Traceback" not in done.stderr


def test_datagrams_are_messages_and_the_end_of_the_input_waits_for_the_last() -> None:
    async def loud(datagram: bytes, context: Context) -> bytes:
        return datagram.upper()

    from pierhead import raw

    with blocking.serve(raw(loud), "udp:127.0.0.1:0") as server:
        with connected(server.addresses[0], "--wait", "0.3") as program:
            program.say("one\ntwo\n")
            program.end_input()
            assert program.ends() == 0
            assert program.out == ["ONE", "TWO"]


def test_ctrl_c_ends_it_while_nobody_types(address: str) -> None:
    with connected(address) as program:
        program.say("hello\n")
        program.hears("HELLO")
        program.process.send_signal(signal.SIGINT)
        assert program.ends() == 130
        assert "".join(program.err) == ""


@pytest.mark.parametrize("option", ["--exit-word=exit", "--reconnect", "--timing"])
def test_what_is_for_messages_is_refused_for_octets(option: str) -> None:
    done = warm.pierhead("connect", "tcp:127.0.0.1:9", "--as", "raw", option)
    assert done.returncode == 2
    assert "is for messages, and --as raw has none" in done.stderr


# -- listen and send ---------------------------------------------------------------------------


def test_listen_shows_what_arrives_and_from_whom() -> None:
    command = [*COMMAND, "listen", "--peers", "tcp:127.0.0.1:0", "udp:127.0.0.1:0"]
    with Speaking(command) as program:
        tcp, udp = program.line("ready").split()[1:]
        for address in (tcp, udp):
            with Speaking([*COMMAND, "send", address]) as sender:
                sender.say("hel\x1blo\n")
                sender.end_input()
                assert sender.ends() == 0, str(sender)
        for line in program.count(2):
            assert line.startswith("127.0.0.1:")
            assert line.endswith(r": hel\x1blo")
        assert program.stop() == 0


def test_a_bad_client_does_not_stop_listen() -> None:
    with Speaking([*COMMAND, "listen", "tcp:127.0.0.1:0", "--json"]) as program:
        _, _, port = program.line("ready").rpartition(":")
        bad = socket.create_connection(("127.0.0.1", int(port)), timeout=PATIENCE_S)
        with bad:
            bad.sendall(b"x" * 2_000_000)  # no line is so long
            with contextlib.suppress(ConnectionResetError):
                assert bad.recv(1) == b""
        with socket.create_connection(("127.0.0.1", int(port)), timeout=PATIENCE_S) as good:
            good.sendall(b"hello\n")
            assert json.loads(program.count(1)[0])["message"] == "hello"


def test_a_file_arrives_as_it_was(tmp_path: Path) -> None:
    content = random.Random(7).randbytes(3_000_000)
    (tmp_path / "sent").write_bytes(content)
    with (tmp_path / "received").open("wb") as received, (tmp_path / "sent").open("rb") as sent:
        error = (tmp_path / "error").open("w+")
        listen = [*COMMAND, "listen", "--once", "--as", "raw", "unix:./r.sock"]
        descriptors = {1: received.fileno(), 2: error.fileno()}
        receiver = warm.Process(listen, cwd=tmp_path, descriptors=descriptors)
        until = time.monotonic() + PATIENCE_S
        while "ready" not in (tmp_path / "error").read_text():
            assert time.monotonic() < until
            assert receiver.poll() is None
            threading.Event().wait(0.01)
        send = [*COMMAND, "send", "unix:./r.sock"]
        sender = warm.Process(
            send,
            cwd=tmp_path,
            descriptors={0: sent.fileno(), 1: error.fileno(), 2: error.fileno()},
        )
        assert sender.wait(PATIENCE_S) == 0
        assert receiver.wait(PATIENCE_S) == 0
        error.close()
    arrived = (tmp_path / "received").read_bytes()
    assert hashlib.sha256(arrived).digest() == hashlib.sha256(content).digest()


# -- on a terminal -----------------------------------------------------------------------------


def test_on_a_terminal_lines_are_edited_and_what_comes_is_shown_above(address: str) -> None:
    pytest.importorskip("prompt_toolkit")
    with OnTerminal([*COMMAND, "connect", address]) as terminal:
        terminal.types("helo\x1b[Dl\r")  # the cursor goes left, and an l is added
        terminal.shows("HELLO")
        terminal.types("\x1b[A\r")  # from the history
        terminal.shows("HELLO")
        assert terminal.ends_at("\x04") == 0


def test_on_a_terminal_it_ends_when_the_server_goes(address: str) -> None:
    pytest.importorskip("prompt_toolkit")
    with listening() as listener:
        with OnTerminal([*COMMAND, "connect", name(listener)]) as terminal:
            client, _ = listener.accept()
            with client:
                client.sendall(b"bye\n")
                terminal.shows("bye")
            terminal.shows("the peer has ended the connection")
            assert terminal.process.wait(PATIENCE_S) == 1


def test_on_a_terminal_ctrl_c_ends_it(address: str) -> None:
    pytest.importorskip("prompt_toolkit")
    with OnTerminal([*COMMAND, "connect", address]) as terminal:
        terminal.shows(">")  # from now on it is a key, and no signal
        terminal.types("\x03")
        assert terminal.process.wait(PATIENCE_S) == 130
