"""Every block of every page does what the page says, and every example runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.snippets import Session
from tests.processes import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_a_front_page() -> None:
    assert ROOT / "README.md" in PAGES


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", PAGES, ids=name)
def test_the_blocks_of_a_page_run(path: Path, tmp_path: Path) -> None:
    text = path.read_text()

    Session(tmp_path, text).run(name(path), text)


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if not path.name.startswith("test_")], ids=name
)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    """It ends by itself without an error, or it serves and stops when told to."""
    Session(tmp_path, "").run_program(name(path))


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.name.startswith("test_")], ids=name
)
def test_an_example_of_a_test_passes(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
