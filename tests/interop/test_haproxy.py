"""HAProxy in front of us, as the page of balancing has it; and behind us."""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.processes import PATIENCE_S, ROOT, Running, free_port, pierhead_command

PAGE = ROOT / "docs" / "howto" / "balancing.md"

WHO = """\
import sys
from pierhead import run
from pierhead.protocols import lines

async def who(line, context):
    return f"{sys.argv[2]} {context.peer} {context.via.socket_peer}"

run(lines.serve(who), sys.argv[1])
"""

BEHIND = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend behind
    bind 127.0.0.1:{port} accept-proxy
    default_backend echo
backend echo
    server one 127.0.0.1:{upstream} send-proxy-v2
"""


def recipe() -> str:
    """Return the configuration on the page."""
    found = re.search(r"<!-- file: haproxy.cfg -->\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


@contextmanager
def who(name: str, port: int) -> Iterator[Running]:
    address = f"proxy+tcp:127.0.0.1:{port}?proxy.from=127.0.0.1"
    with Running([sys.executable, "-c", WHO, address, name]) as running:
        running.line("ready ")
        yield running


def ask(port: int) -> tuple[list[str], str]:
    """Return the words of the answer, and our own address."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(b"?\n")
        own = "{}:{}".format(*client.getsockname())
        answer = client.makefile().readline().split()
        return answer, own


def answered(port: int) -> tuple[list[str], str]:
    """Ask until there is an answer: HAProxy may just have found a server gone, or not yet there."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer, own = ask(port)
            if answer:
                return answer, own
        except OSError:
            pass
        assert time.monotonic() < until


@pytest.fixture
def haproxy(program, tmp_path: Path):
    path = program("haproxy")

    @contextmanager
    def start(config: str) -> Iterator[Running]:
        (tmp_path / "haproxy.cfg").write_text(config)
        with Running([path, "-db", "-f", str(tmp_path / "haproxy.cfg")]) as running:
            yield running

    return start


def test_the_recipe_spreads_connections_and_tells_us_who_the_client_is(haproxy) -> None:
    config = recipe()
    ports = {given: free_port() for given in ("7100", "7101", "7102")}
    for given, port in ports.items():
        config = config.replace(f"127.0.0.1:{given}", f"127.0.0.1:{port}")
    with who("one", ports["7101"]), ExitStack() as second:
        two = second.enter_context(who("two", ports["7102"]))
        with haproxy(config):
            names = set()
            for _ in range(10):
                (name, peer, proxy), own = answered(ports["7100"])
                names.add(name)
                assert peer == own
                assert proxy.startswith("127.0.0.1:")
                assert proxy != own
            assert names == {"one", "two"}
            assert two.stop() == 0
            assert {answered(ports["7100"])[0][0] for _ in range(6)} == {"one"}


def test_we_tell_haproxy_who_the_client_is(haproxy) -> None:
    front, upstream = free_port(), free_port()
    with who("end", upstream), haproxy(BEHIND.format(port=front, upstream=upstream)):
        to = f"proxy+tcp:127.0.0.1:{front}"
        serve = [*pierhead_command(), "serve", "forward", "-l", "tcp:127.0.0.1:0", "--to", to]
        with Running(serve) as running:
            port = int(running.line("ready ").rpartition(":")[2])
            (name, peer, _), own = answered(port)
            assert (name, peer) == ("end", own)
            assert running.stop() == 0
