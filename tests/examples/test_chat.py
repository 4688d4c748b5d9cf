"""The chat: several people, addresses and processes, spoken to from outside."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests import warm
from tests.processes import PATIENCE_S, ROOT
from tests.speaking import Speaking

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are forked")

CHAT = ROOT / "examples" / "chat"


@contextlib.contextmanager
def server(cwd: Path, *words: str) -> Iterator[tuple[warm.Running, list[str]]]:
    """Run a server; give it and its addresses."""
    command = [sys.executable, "-W", "error", str(CHAT / "server.py"), *words]
    with warm.Running(command, cwd=cwd) as running:
        yield running, running.line("ready").split()[1:]
        assert running.stop() == 0, str(running)
        assert not any("Traceback" in line for line in running.err), str(running)


@contextlib.contextmanager
def client(cwd: Path, address: str, name: str) -> Iterator[Speaking]:
    command = [sys.executable, "-W", "error", str(CHAT / "client.py"), address, name]
    with Speaking(command, cwd=cwd) as speaking:
        speaking.hears(f"* {name} has come")
        yield speaking


def test_people_meet_by_every_address(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "chat.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    listens = ["tcp:127.0.0.1:0", "tls+tcp:127.0.0.1:0?cert=chat.pem", "unix:./s.sock"]
    words = [word for each in [*listens, "udp:127.0.0.1:0"] for word in ("-l", each)]
    with server(tmp_path, *words) as (_, (tcp, tls, unix, udp)):
        with contextlib.ExitStack() as stack:
            people = {}
            for name, address in [
                ("tom", tcp),
                ("tess", f"{tls.partition('?')[0]}?ca=ca.pem"),
                ("uma", unix),
                ("ugo", udp),
            ]:
                people[name] = stack.enter_context(client(tmp_path, address, name))
            for name, person in people.items():
                person.say(f"I am {name}\n")
            for person in people.values():
                for name in people:
                    person.hears(f"{name}: I am {name}")
            people["ugo"].say("/who\n/what\n")
            people["ugo"].hears("* here: tess, tom, ugo, uma")
            people["ugo"].hears("* /who shows who is here, /quit leaves")
            people["tess"].say("/quit\n")
            assert people["tess"].ends() == 0
            people["uma"].hears("* tess has gone")
            with client(tmp_path, tcp, "late") as late:
                late.hears("tess: I am tess")  # history


@contextlib.contextmanager
def lines_of(peer: socket.socket) -> Iterator[Iterator[str]]:
    with peer.makefile(encoding="utf-8") as file:
        yield (line.rstrip("\n") for line in file)


def address_of(text: str) -> tuple[str, int]:
    found = re.search(r"127\.0\.0\.1:(\d+)", text)
    assert found
    return "127.0.0.1", int(found[1])


def test_a_name_is_taken_once_and_bad_input_harms_nobody_else(tmp_path: Path) -> None:
    with server(tmp_path, "-l", "tcp:127.0.0.1:0") as (_, (tcp,)):
        with client(tmp_path, tcp, "ada") as ada:
            for octets in (b"\xff\xfe\n", b"x" * 10_000, b"half", b"mallory\n\xff\n"):
                with socket.create_connection(address_of(tcp)) as bad:
                    bad.sendall(octets)
            with (
                socket.create_connection(address_of(tcp), PATIENCE_S) as peer,
                lines_of(peer) as heard,
            ):
                peer.sendall(b"ada\nno name\neve\n\x1b[2J\nhello\n")
                assert next(heard) == "* ada is here already; choose another name"
                assert next(heard).startswith("* a name has 1 to 20")
                assert "* a line has control characters" in heard
                assert next(heard) == "eve: hello"
            ada.hears("eve: hello")
            ada.hears("* eve has gone")
            assert not any("\x1b" in line for line in ada.out)


def test_who_does_not_answer_a_ping_is_gone(tmp_path: Path) -> None:
    with server(tmp_path, "-l", "tcp:127.0.0.1:0", "--ping", "1") as (_, (tcp,)):
        with client(tmp_path, tcp, "ada") as ada:
            with socket.create_connection(address_of(tcp), PATIENCE_S) as silent:
                silent.sendall(b"zoe\n")
                ada.hears("* zoe has come")
                with lines_of(silent) as heard:
                    assert "PING" in heard
                ada.hears("* zoe has gone")
            ada.say("still here\n")
            ada.hears("ada: still here")


def test_a_forged_source_is_sent_no_more_than_a_token(tmp_path: Path) -> None:
    with server(tmp_path, "-l", "udp:127.0.0.1:0") as (_, (udp,)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.settimeout(PATIENCE_S)
            forger.connect(address_of(udp))
            forger.send(b"hello")
            assert re.fullmatch(rb"TOKEN [0-9a-f]{8}", forger.recv(100))
            forger.send(b"TOKEN 00000000")
            forger.settimeout(0.2)
            heard = []
            for _ in range(50):  # until it is another conversation, with another token
                forger.send(b"hello")
                with contextlib.suppress(TimeoutError):
                    heard.append(forger.recv(100))
                    break
            assert re.fullmatch(rb"TOKEN [0-9a-f]{8}", heard[0])


def test_two_servers_are_one_room_and_the_people_of_a_lost_one_are_gone(tmp_path: Path) -> None:
    def words(name: str) -> list[str]:
        planes = ["--peer", "unix:./a.plane", "--peer", "unix:./b.plane"]
        return ["-l", "tcp:127.0.0.1:0", "--backplane", "peers", "--listen-peers",
                f"unix:./{name}.plane", *planes]  # fmt: skip

    with contextlib.ExitStack() as stack:
        _, (one,) = stack.enter_context(server(tmp_path, *words("a")))
        lost = stack.enter_context(contextlib.ExitStack())
        _, (other,) = lost.enter_context(server(tmp_path, *words("b")))
        ada = stack.enter_context(client(tmp_path, one, "ada"))
        bob = lost.enter_context(client(tmp_path, other, "bob"))
        ada.until_heard("/who\n", "* here: ada, bob")
        ada.say("hello bob\n")
        bob.hears("ada: hello bob")
        bob.say("hello ada\n")
        ada.hears("bob: hello ada")
        lost.close()
        ada.until_heard("/who\n", "* here: ada")


def test_flags_that_do_not_fit_are_a_mistake_that_is_told(tmp_path: Path) -> None:
    for words in (
        ["--backplane", "peers"],
        ["--listen-peers", "tcp:127.0.0.1:0"],
        ["--backplane", "http://127.0.0.1"],
        ["--history", "-1"],
        ["--ping", "0"],
    ):
        command = [sys.executable, str(CHAT / "server.py"), "-l", "tcp:127.0.0.1:0", *words]
        with warm.Running(command, cwd=tmp_path) as running:
            assert running.process.wait(PATIENCE_S) == 2
            assert not any("Traceback" in line for line in running.err), str(running)
