"""A whole server in one file, as `pierhead run` serves it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import trustme
from tests.processes import ROOT, pierhead_command
from tests.warm import Running

from pierhead.protocols.dns.client import query

SITE = ROOT / "examples" / "site"


async def test_twenty_zones_three_listeners_and_a_chat_are_one_screen(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE, site)
    certificate = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(site / "dns.pem")
    (site / "dns.pem").chmod(0o600)
    text = (site / "pierhead.toml").read_text()
    assert len(text.splitlines()) <= 40
    listen = "127.0.0.1:0 tls+tcp:127.0.0.1:0?cert=dns.pem "
    listen += "tls+tcp:127.0.0.1:0?cert=dns.pem&alpn=http/1.1,dot"
    env = {"PIERHEAD_SERVE_0_LISTEN": listen, "PIERHEAD_LAME_DUCK": "0s"}
    command = [*pierhead_command(), "run", "site/pierhead.toml", "--set", "serve[1].listen=./c"]
    with Running(command, cwd=tmp_path, env=env) as running:
        udp, _, tls, https, chat = running.line("ready").split()[1:]
        assert sum(line.startswith("zone ") for line in running.err) == 20
        for address in (udp.removeprefix("udp:"), f"{tls}?verify=off", f"{https}?verify=off"):
            for name in ("alder.example.", "willow.example."):
                reply = await query(address, name)
                assert reply.answer[0].data == "192.0.2.80"
        assert chat == "unix:./c"
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
            for client, name in ((one, b"ada"), (other, b"bob")):
                client.settimeout(10)
                client.connect(str(site / "c"))
                client.sendall(name + b"\n" + name + b" is here\n")
                said = b""
                while not said.endswith(name + b": " + name + b" is here\n"):
                    piece = client.recv(100)
                    assert piece
                    said += piece
            one.sendall(b"hello\n")
            said = b""
            while not said.endswith(b"ada: hello\n"):
                piece = other.recv(100)
                assert piece
                said += piece
        assert running.stop() == 0
