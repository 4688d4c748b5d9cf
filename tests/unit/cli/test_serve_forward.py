"""``pierhead serve forward``, and forwarding beside zones."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.warm import Running

from pierhead.cli.serve import serve
from pierhead.cli.serve_forward import serve_forward
from pierhead.errors import UsageError
from pierhead.protocols.dns.client import query


def test_it_passes_connections_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        to = f"tcp:127.0.0.1:{upstream.getsockname()[1]}"
        command = [sys.executable, "-m", "pierhead", "serve", "forward"]
        with Running([*command, "-l", "tcp:127.0.0.1:0", "--to", to], cwd=tmp_path) as running:
            host, _, port = running.line("ready").partition("tcp:")[2].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as client:
                client.sendall(b"ping")
                there, _ = upstream.accept()
                with there:
                    assert there.recv(4) == b"ping"
                    there.sendall(b"pong")
                    assert client.recv(4) == b"pong"
            assert running.stop() == 0


def test_mistakes_are_explained() -> None:
    run = CliRunner().invoke
    assert "Missing option '--to'" in run(serve_forward, ["-l", "tcp:127.0.0.1:0"]).output
    wrong = run(serve, ["forward", "-l", "tcp:127.0.0.1:0", "--to", "tcp:127.0.0.1"])
    assert isinstance(wrong.exception, UsageError)
    assert "the port is missing" in str(wrong.exception)


async def test_dns_is_forwarded_by_suffix_beside_zones(tmp_path: Path) -> None:
    zone = "$TTL 60\n@ SOA ns host 1 7200 3600 86400 60\n@ NS ns\nns A 192.0.2.53\n"
    (tmp_path / "corp.zone").write_text(zone)
    (tmp_path / "example.zone").write_text(zone)
    serve = [sys.executable, "-m", "pierhead", "serve", "dns", "-l", "127.0.0.1:0"]
    with Running([*serve, "--zone", "corp.zone"], cwd=tmp_path) as upstream:
        at = upstream.line("ready").split()[1].removeprefix("udp:")
        more = ["--zone", "example.zone", "--forward", f"corp.={at}"]
        with Running([*serve, *more], cwd=tmp_path) as front:
            address = front.line("ready").split()[1].removeprefix("udp:")
            assert (await query(address, "ns.corp.")).answer[0].data == "192.0.2.53"
            assert (await query(address, "ns.example.")).authoritative
            assert (await query(address, "other.")).rcode == 5
            assert front.stop() == 0
        assert upstream.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--zone' (or '--forward')"),
        (["--allow", "::/0"], "--zone"),
        (
            ["--zone", "x.zone", "--journal", "state", "--workers", "2"],
            "--journal is for one process, not for --workers.",
        ),
        (
            ["--zone", "x.zone", "--notify", "::1", "--workers", "2"],
            "--notify is for one process, not for --workers.",
        ),
    ],
)
def test_serve_dns_needs_something_to_serve(arguments, said: str) -> None:
    result = CliRunner().invoke(serve, ["dns", *arguments])
    assert result.exit_code == 2
    assert said in result.output
