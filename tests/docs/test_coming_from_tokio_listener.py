"""The page for users of tokio-listener has every form and every flag, and what it writes parses."""

from __future__ import annotations

import re

import pytest

from pierhead.address import ListenSpec
from pierhead.address.flags import FLAGS
from tests.docs.generators import load_generator
from tests.processes import ROOT

PAGE = ROOT / "docs" / "howto" / "coming-from-tokio-listener.md"


def rows(title: str) -> list[list[str]]:
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_has_a_row_with_the_option_that_says_the_same(name: str) -> None:
    flag = FLAGS[name]
    (row,) = [row for row in rows("Every flag") if code(row[0])[0].split()[0] == name]
    words = code(row[0])[0].split()
    base = {"unix": "/run/a", "sd": "sd:"}.get(name.split("-")[2], "tcp:[::]:80")
    said = flag.option.flag_value if flag.is_switch else flag.read(words[1])
    for option in code(row[1]):
        (key, value), *rest = ListenSpec.parse(f"{base}?{option}").options.given
        assert (key, rest) == (flag.key, [])
        assert value == said or option != code(row[1])[0]


def test_every_form_has_a_row_and_parses() -> None:
    written = [
        one for row in rows("Every form of an address") for cell in row[:2] for one in code(cell)
    ]
    for text in written:
        if not text.startswith("FromFd"):
            ListenSpec.parse(text)
    features = load_generator("generate_addresses").FEATURES["Addresses"]
    known = {str(ListenSpec.parse(text)) for one in features for text in one.written.split()}
    shown = {
        str(ListenSpec.parse(text))
        for row in rows("Every form of an address")
        for cell in row
        for text in code(cell)
        if not text.startswith(("FromFd", ".app.sock"))
    }
    assert known - shown <= {"tcp:127.0.0.1:0", "unix:/run/%FF.sock"}
