"""Every test file is in the folder of its subject, and every module has a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.architecture.mirror import SHOWN_BY, Mirror, names_used

ROOT = Path(__file__).parents[2]
MIRROR = Mirror(ROOT / "src/pierhead", ROOT / "tests", SHOWN_BY)


def test_every_test_file_is_in_the_folder_of_its_subject() -> None:
    assert MIRROR.misplaced() == []


def test_every_module_is_covered_by_a_test() -> None:
    assert MIRROR.not_shown() == []


def test_the_table_lists_only_modules_that_no_test_uses() -> None:
    assert MIRROR.needless_rows() == []


def mirror(tmp_path: Path, tests: dict[str, str], shown_by: dict[str, str] | None = None) -> Mirror:
    """Return a mirror of a house with the modules ``errors`` and ``codec.lines``."""
    for file in ("__init__", "errors", "codec/__init__", "codec/lines"):
        path = tmp_path / f"src/{file}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for file, text in tests.items():
        path = tmp_path / "tests" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Mirror(tmp_path / "src", tmp_path / "tests", shown_by or {})


def first_words(said: list[str]) -> list[str]:
    return [one.partition(":")[0] for one in said]


@pytest.mark.parametrize(
    "file",
    ["unit/codec/test_lines.py", "unit/test_codec.py", "unit/codec/test_endless_input.py"],
)
def test_a_file_beside_its_subject_is_in_place(tmp_path: Path, file: str) -> None:
    assert mirror(tmp_path, {file: ""}).misplaced() == []


@pytest.mark.parametrize("file", ["unit/codecs/test_x.py", "unit/test_lines.py"])
def test_a_file_elsewhere_is_misplaced(tmp_path: Path, file: str) -> None:
    (said,) = mirror(tmp_path, {file: ""}).misplaced()
    assert said.startswith(f"tests/{file}")


USING = "from pierhead.codec import Lines\n"


@pytest.mark.parametrize(
    ("tests", "missing"),
    [
        ({}, ["codec.lines", "errors"]),
        ({"unit/test_errors.py": "", "unit/codec/test_lines.py": ""}, []),
        ({"unit/codec/test_x.py": f"{USING}from pierhead.errors import UsageError"}, []),
        ({"laws/test_x.py": f"{USING}from pierhead import errors"}, []),
        ({"unit/server/test_x.py": USING}, ["codec.lines", "errors"]),
    ],
)
def test_a_module_is_covered_by_name_or_by_use_in_its_room(
    tmp_path: Path, tests: dict[str, str], missing: list[str]
) -> None:
    assert first_words(mirror(tmp_path, tests).not_shown()) == missing


@pytest.mark.parametrize(
    ("module", "file", "said"),
    [
        ("codec.lines", "laws/test_x.py", []),
        ("codec.lines", "laws/test_y.py", ["codec.lines"]),
        ("codec.gone", "laws/test_x.py", ["codec.gone"]),
        ("errors", "laws/test_x.py", ["errors is covered without SHOWN_BY; remove it"]),
    ],
)
def test_a_stale_row_is_found(tmp_path: Path, module: str, file: str, said: list[str]) -> None:
    tests = {"laws/test_x.py": "", "unit/test_errors.py": ""}
    it = mirror(tmp_path, tests, {module: file})
    assert first_words(it.needless_rows()) == said
    assert module not in first_words(it.not_shown())


@pytest.mark.parametrize(
    "text",
    [
        "from pierhead.codec.lines import Lines",
        "from pierhead.codec import lines",
        "from pierhead.codec import Lines",
        "import pierhead.codec.lines",
        "import pierhead\npierhead.codec.Lines()",
        "from pierhead import codec\nasync def f():\n  codec.Lines(512).new()",
    ],
)
def test_a_name_leads_to_its_module_however_it_is_reached(text: str) -> None:
    assert "codec.lines" in names_used(ast.parse(text))


def test_another_name_does_not() -> None:
    text = "import asyncio\nfrom pierhead.codec import Netstring\nasyncio.Lines"
    assert "codec.lines" not in names_used(ast.parse(text))
