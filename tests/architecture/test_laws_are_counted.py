"""A law that may end early counts its outcomes: it would also hold if every example ended so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def called(node: ast.expr) -> str:
    """Return the last name of what is called, or of what decorates."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def early_ends(law: Function, functions: dict[str, Function]) -> Iterator[str]:
    """Yield where a law, or a function of its file that it uses, accepts a refusal."""
    seen: set[str] = set()
    using = [law]
    while using:
        function = using.pop()
        seen.add(function.name)
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler):
                yield f"except in line {node.lineno}"
            elif isinstance(node, ast.Call) and called(node) in ("suppress", "assume"):
                yield f"{called(node)} in line {node.lineno}"
            elif isinstance(node, ast.Return) and node.value is None and function is law:
                yield f"return in line {node.lineno}"
            elif isinstance(node, ast.Name) and node.id in functions.keys() - seen:
                using.append(functions[node.id])


def uncounted(tree: ast.Module) -> list[str]:
    functions = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return [
        f"{law.name}: {', '.join(ends)}; record its outcomes with tests.laws.outcomes"
        for law in functions.values()
        if {"given", "shares"} & set(map(called, law.decorator_list)) == {"given"}
        and (ends := list(early_ends(law, functions)))
    ]


def test_every_law_that_may_end_early_is_counted() -> None:
    files = ROOT.glob("tests/**/test_*.py")
    assert [one for path in files for one in uncounted(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("    with suppress(E): read(x)", "suppress in line 4"),
        ("    try: read(x)\n    except E: return\n", "except in line 5, return in line 5"),
        ("    assume(x)", "assume in line 4"),
        ("    if x: return", "return in line 4"),
        (
            "    assert helper(x)\n\ndef helper(x):\n  try: pass\n  except E: pass",
            "except in line 8",
        ),
        ("    assert x", ""),
    ],
)
def test_a_law_that_accepts_a_refusal_is_found(body: str, end: str) -> None:
    law = f"@settings(deadline=None)\n@given(st.binary())\ndef test_a_law(x):\n{body}"
    found = uncounted(ast.parse(law))
    assert [one.split(": ")[1].split(";")[0] for one in found] == ([end] if end else [])
    assert uncounted(ast.parse(f"@shares(read=0.1)\n{law}")) == []
