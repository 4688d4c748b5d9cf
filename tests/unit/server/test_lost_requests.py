"""The reasons for which requests are lost, and the list of lost requests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pierhead
from pierhead.server.lost_requests import REASONS, LostRequest, LostRequests

ROOT = Path(__file__).parents[3]
SOURCE = Path(pierhead.__file__).parent

#: The calls by which requests are lost; the reason is the first argument that is a text.
LOSE = frozenset(["abort", "give_up", "lost", "_lose", "_give_up_one", "LostRequest"])


def given_reasons() -> Iterator[tuple[str, str]]:
    """Yield each reason that the source gives, and where."""
    for room in ("server", "connection", "service", "hosting", "net", "runtime"):
        for path in (SOURCE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in LOSE:
                    for word in ast.walk(ast.Tuple(node.args)):
                        is_text = isinstance(word, ast.Constant) and isinstance(word.value, str)
                        if is_text:
                            yield word.value, f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_every_reason_that_the_source_gives_is_documented() -> None:
    given = dict(given_reasons())
    assert len(given) >= 8, "the calls have other names now"
    assert {reason: where for reason, where in given.items() if reason not in REASONS} == {}


def test_the_page_lists_the_same_reasons_in_the_same_words() -> None:
    page = (ROOT / "docs/explanation/the-path.md").read_text()
    table = page.partition("| reason | the request was lost because |")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    assert listed == REASONS


def test_all_are_counted_and_the_latest_are_kept() -> None:
    lost = LostRequests(keep=3)
    for number in range(20):
        lost.add(LostRequest("a", str(number), "drain" if number % 2 else "write"))
    assert (lost.count, lost.in_stop, bool(lost)) == (20, 10, True)
    assert [one.peer for one in lost] == ["17", "18", "19"]
