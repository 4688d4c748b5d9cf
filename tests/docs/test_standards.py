"""The page of standards says what the marks on the tests say, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.processes import ROOT

GENERATOR = ROOT / "docs" / "generate_standards.py"


def run_in(root, *arguments: str, wanted: str = "()") -> subprocess.CompletedProcess[str]:
    """Run the generator of a checkout that stands in this folder and wants these documents."""
    (root / "docs").mkdir(exist_ok=True)
    copy = root / "docs" / GENERATOR.name
    copy.write_text(GENERATOR.read_text().replace("(*MUST, *SHOULD)", wanted))
    return subprocess.run([sys.executable, copy, *arguments], capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_name.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.rfc('1035', '3.1'))])\n"
        "@pytest.mark.rfc('4343', '10')\n"
        "@pytest.mark.rfc('4343', '3')\n"
        "def test_letter_case_is_kept(x): ...\n"
    )
    return tmp_path


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, GENERATOR, "--check"], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_every_mark_gets_on_the_page_in_order(checkout) -> None:
    assert run_in(checkout).returncode == 0

    text = (checkout / "docs" / "standards.md").read_text()
    assert "2 documents, 3 clauses." in text
    row = "[Letter case is kept](../tests/test_name.py) |"
    assert [line for line in text.splitlines() if line.startswith("| §")] == [
        f"| §3.1 | {row}",
        f"| §3 | {row}",
        f"| §10 | {row}",
    ]


def test_a_page_that_says_something_else_is_refused(checkout) -> None:
    run_in(checkout)
    assert run_in(checkout, "--check").returncode == 0

    (checkout / "docs" / "standards.md").write_text("We keep every standard there is.\n")

    assert run_in(checkout, "--check").returncode == 1


def test_a_document_that_is_wanted_needs_a_test_or_a_reason(checkout) -> None:
    done = run_in(checkout, wanted="(1035, 9250, 4592)")

    assert done.returncode != 0
    assert done.stderr.startswith("RFC 4592 needs a test that shows a clause")
    assert run_in(checkout, wanted="(1035, 9250)").returncode == 0
    text = (checkout / "docs" / "standards.md").read_text()
    assert "| 9250 | DNS over dedicated QUIC connections | should | DNS over QUIC is not served yet |" in text


def test_a_document_without_a_title_is_refused(checkout) -> None:
    (checkout / "tests" / "test_more.py").write_text(
        "import pytest\npytestmark = pytest.mark.rfc('99999', '1')\n"
    )

    done = run_in(checkout)

    assert done.returncode != 0
    assert "test_more.py:2: add the title of RFC 99999" in done.stderr
