"""The ASGI applications of the examples, asked from outside."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

from tests.processes import PATIENCE_S, ROOT, require_program
from tests.warm import Running


def get(address: str) -> str:
    connection = http.client.HTTPConnection(address.removeprefix("tcp:"), timeout=PATIENCE_S)
    connection.request("GET", "/hello")
    with connection.getresponse() as response:
        body = response.read().decode()
    connection.close()
    return body


def curl(*arguments: str) -> str:
    command = [require_program("curl"), "-sS", "-m", str(PATIENCE_S), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def started(name: str, tmp_path: Path, *addresses: str) -> Running:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name), *addresses]
    return Running(command, cwd=tmp_path)


def test_one_application_counts_visits_on_all_its_addresses(tmp_path: Path) -> None:
    with started("asgi_app.py", tmp_path, "127.0.0.1:0", "unix:./app.sock") as running:
        address = running.line("ready").split()[1]
        assert get(address).startswith("visit 1, from ('127.0.0.1', ")
        path = str(tmp_path / "app.sock")
        assert curl("--unix-socket", path, "http://localhost/") == "visit 2, from None\n"
        assert running.stop() == 0


def test_http_1_and_2_are_served_on_one_address(tmp_path: Path) -> None:
    with started("http2_app.py", tmp_path, "127.0.0.1:0") as running:
        address = running.line("ready").split()[1]
        assert get(address) == "/hello by HTTP/1.1\n"
        url = f"http://{address.removeprefix('tcp:')}/hello"
        assert curl("--http2-prior-knowledge", url) == "/hello by HTTP/2\n"
        assert running.stop() == 0
