"""The page of configuration files has what the declarations say."""

from __future__ import annotations

import re

import pytest
from tests.docs.generators import load_generator
from tests.processes import ROOT

PAGE = ROOT / "docs" / "reference" / "configuration.md"


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_generator("generate_configuration").main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_says_something_else_is_refused(
    tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = load_generator("generate_configuration")
    generator.PAGE = tmp_path / "configuration.md"
    generator.PAGE.write_text("There are no keys.\n")
    assert generator.main(["--check"]) == 1
    assert "run: make pages" in capsys.readouterr().err


def test_every_code_in_the_source_is_explained() -> None:
    text = "".join(p.read_text() for p in (ROOT / "src/pierhead/config").glob("*.py"))
    codes = set(re.findall(r'\.fault\(\s*"([a-z-]+)"', text))
    codes |= set(re.findall(r'"config/([a-z-]+)"', text))
    assert codes == set(re.findall(r"^\| `config/([a-z-]+)`", PAGE.read_text(), re.MULTILINE))
