"""Conversations in a loop: one after the other, or one for each thread."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pierhead import blocking
from pierhead.errors import ConnectionEnded
from pierhead.protocols import lines

FORMAT = lines.wire_format()
OCTETS = lines.wire_format(None)
_names = itertools.count()


@pytest.fixture
def address() -> str:
    return f"mem:listening-{next(_names)}"


def say(address: str, *messages: bytes) -> None:
    with blocking.connect(address, OCTETS, linger_timeout=0.0) as peer:
        for message in messages:
            peer.send(message)


def test_one_conversation_after_the_other_each_with_all_it_was_sent(address: str) -> None:
    with blocking.listen(address, FORMAT) as listener:
        for number in range(5):  # all have come and gone before the first is taken
            say(address, b"hello", f"from {number}".encode())
        heard = []
        for conversation in listener:
            with conversation:
                heard += list(conversation)
            if len(heard) == 10:
                break
    assert heard == [line for number in range(5) for line in ("hello", f"from {number}")]


def test_one_bad_client_stops_its_own_block_alone(address: str) -> None:
    with blocking.listen(address, FORMAT) as listener:
        say(address, b"fine", b"\xff\xfe", b"never seen")
        with blocking.connect(address, OCTETS).conversation() as cut_off:
            cut_off.send(b"half")
            cut_off.abort()
        say(address, b"fine too")
        heard, blocks = [], 0
        for conversation in listener:
            blocks += 1
            with conversation:
                for line in conversation:
                    heard.append(line)  # noqa: PERF402  # what came before the fault counts
            if line == "fine too":
                break
        assert blocks == 3
        assert [line for line in heard if line != "half"] == ["fine", "fine too"]


def test_a_mistake_of_the_program_s_own_passes(address: str) -> None:
    with blocking.listen(address, FORMAT) as listener:
        say(address, b"hello")
        with pytest.raises(ZeroDivisionError), listener.accept():
            raise ZeroDivisionError


def test_threads_share_a_listener(address: str) -> None:
    together = threading.Barrier(3)

    def serve(listener: blocking.Listener[str, str]) -> int:
        served = 0
        for conversation in listener:
            with conversation:
                for line in conversation:
                    together.wait(20)  # three conversations are served at once
                    conversation.send(line.upper())
                served += 1
        return served

    with blocking.listen(address, FORMAT) as listener, ThreadPoolExecutor(3) as pool:
        served = [pool.submit(serve, listener) for _ in range(3)]
        with (
            blocking.connect(address, FORMAT) as one,
            blocking.connect(address, FORMAT) as two,
            blocking.connect(address, FORMAT) as three,
        ):
            peers = [one, two, three]
            for number, peer in enumerate(peers):
                peer.send(f"hello {number}")
            assert [peer.receive() for peer in peers] == [f"HELLO {n}" for n in range(3)]
        listener.close()
        assert sum(one.result(20) for one in served) == 3


def test_a_closed_listener_hands_out_no_more(address: str) -> None:
    with blocking.listen(address, FORMAT) as listener:
        with pytest.raises(TimeoutError, match=r"no conversation has arrived within 0\.01 s"):
            listener.accept(timeout=0.01)
        with blocking.connect(address, FORMAT) as peer:
            listener.close()
            with pytest.raises(ConnectionEnded, match="the listener is closed"):
                listener.accept()
            assert list(listener) == []
            with pytest.raises(ConnectionEnded):
                peer.receive(timeout=20)


def test_a_conversation_that_nobody_is_serving_does_not_keep_the_listener(address: str) -> None:
    with blocking.listen(address, FORMAT) as listener:
        with blocking.connect(address, FORMAT) as peer:
            peer.send("hello")
            conversation = listener.accept()
            assert conversation.receive() == "hello"
            listener.close()
            assert conversation.closed


def test_it_listens_on_several_addresses(address: str) -> None:
    with blocking.listen([address, "tcp:127.0.0.1:0"], FORMAT) as listener:
        for number, where in enumerate(listener.addresses):
            say(where, b"hello")
            with listener.accept() as conversation:
                assert conversation.receive() == "hello"
                assert conversation.via.listener.startswith(("mem:", "tcp:")[number])
