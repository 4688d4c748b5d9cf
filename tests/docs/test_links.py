"""No page links to a file or a heading, or names a file, that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.processes import ROOT

FOLDERS = ("docs", "examples", "deploy")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
)
#: Pages that say in which file something is, from the top or below the package.
PLACES = ("CONTRIBUTING.md", "docs/explanation/the-path.md")
TOPS = (ROOT, ROOT / "src" / "pierhead")
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as code hosts make them."""
    headings = re.findall(r"^#{1,6} +(.*?) *$", path.read_text(), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in plain}


def dead_links(path: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    text = re.sub(r"^ *(```|~~~).*?^ *\1 *$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for link in LINK.finditer(text):
        target = (path.parent / link["path"]).resolve() if link["path"] else path
        if not target.exists():
            dead.append(f"{link[0]}: no such file")
        elif link["anchor"] and link["anchor"] not in anchors(target):
            dead.append(f"{link[0]}: no such heading")
    return dead


def missing_files(text: str) -> list[str]:
    """Return the paths in backquotes that lead nowhere; NAME and its like stand for any name."""
    text = re.sub(r"^ *```.*?^ *``` *$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", text)
    return [
        path
        for path in named
        if not any(any(top.glob(re.sub(r"\b[A-Z]+\b", "*", path))) for top in TOPS)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_has_no_dead_links(path: Path) -> None:
    assert dead_links(path) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# Of `things`, and more\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](there.md) [b](there.md#of-things-and-more) [c](#here) [d](https://x.test/)\n"
        "```\n[not](a-link.md)\n```\n[e](gone.md) [f](there.md#gone) [g](#gone)\n"
    )

    assert dead_links(page) == [
        "[e](gone.md): no such file",
        "[f](there.md#gone): no such heading",
        "[g](#gone): no such heading",
    ]


@pytest.mark.parametrize("page", PLACES)
def test_a_page_that_says_where_code_is_names_files_that_are_there(page: str) -> None:
    text = (ROOT / page).read_text()

    assert missing_files(text) == []
    assert len(re.findall(r"`[\w.-]+/[\w./-]*`", text)) > 15


def test_missing_files_are_found() -> None:
    text = "`codec/NAME.py` `codec/gone.py` `docs/howto/` `hosting/LIBRARY/` `gone/NAME.py` `no path`"

    assert missing_files(text) == ["codec/gone.py", "gone/NAME.py"]
