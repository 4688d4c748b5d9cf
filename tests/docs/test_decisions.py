"""Every decision is in the index, has its own number and says what a record must say."""

from __future__ import annotations

import re

import pytest
from tests.processes import ROOT

FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_the_index_lists_every_record_once_in_order() -> None:
    rows = re.findall(
        r"^\| \[(\d+)\]\((.+?)\) \|", (FOLDER / "README.md").read_text(), re.MULTILINE
    )

    assert [path for _, path in rows] == [record.name for record in RECORDS]
    assert [int(number) for number, _ in rows] == [int(r.name[:4]) for r in RECORDS]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_has_its_number_status_question_and_decision(record) -> None:
    text = record.read_text()

    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert re.search(r"^Status: (accepted|Superseded by)", text, re.MULTILINE | re.IGNORECASE)
    for heading in ("## The question", "## The decision", "## What follows"):
        assert heading in text
