"""The page of other servers names tests for what it says, and they are there."""

from __future__ import annotations

import re

from tests.processes import ROOT

PAGE = ROOT / "docs" / "howto" / "other-servers.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_test_that_the_page_names_is_there() -> None:
    named = TEST.findall(PAGE.read_text())
    assert named
    for path, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_every_row_of_the_table_has_its_reasons_and_its_tests() -> None:
    text = PAGE.read_text()
    table, reasons = text.split("### Why not, and what shows it")
    rows = re.findall(r"^\| (`?[a-z_]+`?)", table, re.MULTILINE)[1:]
    assert rows
    for row in rows:
        (paragraph,) = re.findall(rf"^- \*\*{row}.*?(?=^- |\Z)", reasons, re.MULTILINE | re.DOTALL)
        assert TEST.search(paragraph), row
