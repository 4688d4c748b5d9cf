"""``pierhead serve files``."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

from click.testing import CliRunner
from tests.warm import Running

from pierhead.cli.serve import serve
from pierhead.errors import UsageError


def test_it_serves_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "home.html").write_text("<h1>Home</h1>")
    command = [sys.executable, "-m", "pierhead", "serve", "files", "static"]
    options = [
        "--index",
        "home.html",
        "--cache-control",
        "max-age=5",
        "--access-log",
        "common",
        "-l",
        "tcp:127.0.0.1:0",
    ]
    with Running([*command, *options], cwd=tmp_path) as running:
        place = running.line("ready").partition("tcp:")[2].strip()
        with urllib.request.urlopen(f"http://{place}/", timeout=10) as response:
            assert response.read() == b"<h1>Home</h1>"
            assert response.headers["Cache-Control"] == "max-age=5"
        assert '"GET / HTTP/1.1" 200 13' in running.line("127.0.0.1 - - [")
        assert running.stop() == 0


def test_mistakes_are_explained() -> None:
    run = CliRunner().invoke
    assert "Missing argument 'FOLDER'" in run(serve, ["files"]).output
    wrong = run(serve, ["files", "nowhere", "-l", "tcp:127.0.0.1:0"])
    assert isinstance(wrong.exception, UsageError)
    assert "'nowhere' is not a folder" in str(wrong.exception)
