"""Every block of every page does what the page says, and every example runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.snippets import Page, Session, Snippet, read, with_free_ports
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
    Session(tmp_path).run(read(name(path), with_free_ports(path.read_text())))


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    """It ends by itself without an error, or it serves and stops when told to."""
    text = with_free_ports(path.read_text())
    program = Snippet(name(path), 0, 0, "python", text)

    Session(tmp_path).run(Page(name(path), [program]))
