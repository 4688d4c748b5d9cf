"""The wheel brings manual pages and the completion of shells, made from the commands."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.processes import PATIENCE_S, ROOT

from pierhead.cli.main import cli

SHARED = "pierhead-0.1.0.data/data/share/"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked" / SHARED


@pytest.mark.timeout(150)
def test_every_command_has_a_manual_page(shared: Path) -> None:
    pages = {page.name for page in (shared / "man" / "man1").iterdir()}
    commands = cli.list_commands(None)  # type: ignore[arg-type]  # it needs none
    assert {f"pierhead-{name}.1" for name in commands} < pages
    assert {"pierhead.1", "pierhead-serve-dns.1", "pierhead-zone-check.1"} < pages


@pytest.mark.timeout(150)
def test_a_manual_page_has_options_examples_and_exit_codes(shared: Path) -> None:
    page = (shared / "man" / "man1" / "pierhead-connect.1").read_text()
    assert page.startswith('.TH "PIERHEAD CONNECT" "1"')
    for part in (
        r"\fB\-\-exit\-word\fP WORD",
        "pierhead connect unix:./chat.sock",
        "Exit codes: 0",
    ):
        assert part in page


@pytest.mark.timeout(150)
def test_bash_completes_commands(shared: Path) -> None:
    script = shared / "bash-completion" / "completions" / "pierhead"
    ask = (
        f". {script}; COMP_WORDS=(pierhead conn); COMP_CWORD=1; _pierhead_completion pierhead; "
        'echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shown = subprocess.run(
        ["bash", "-c", ask],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert shown.stdout.strip() == "connect"
    assert (shared / "zsh" / "site-functions" / "_pierhead").is_file()
    assert (shared / "fish" / "vendor_completions.d" / "pierhead.fish").is_file()
