"""mypy knows the types of the values that filters extract, and refuses handlers of others."""

from __future__ import annotations

from pathlib import Path

from .test_types_of_clients import checked

HEAD = """\
from dataclasses import dataclass

from pierhead.protocols import http


@dataclass
class Data:
    number: int


async def store(number: int, data: Data) -> str:
    return ""


"""

RIGHT = [
    ('http.path("data") & http.post() & http.json(Data)', "Filter[Data]"),
    ("(http.json(Data) & http.post()).map(lambda data: data.number)", "Filter[int]"),
    ('http.path("users", int) & http.json(Data)', "Filter[int, Data]"),
    ('(http.path("users", int) & http.json(Data)).then(store)', "Filter[str]"),
    ('http.path(int) & (http.header("a") & http.query("b", bool))', "Filter[int, str, bool]"),
    ("http.path(int).map(str) | http.json(Data)", "Filter[str | Data]"),
    ('http.get() | http.path("a") & http.post()', "Filter[()]"),
    ('http.query("page", int, default=None)', "Filter[int | None]"),
    ("http.json(Data).map(str).recover(lambda rejection: rejection.status)", "Filter[str | int]"),
]

WRONG = [
    ("http.json(Data).map(lambda data: data.nubmer)", 'has no attribute "nubmer"'),
    ('http.path("users", str).then(store)', "incompatible type"),
    ('(http.path("users", str) & http.json(Data)).then(store)', "incompatible type"),
    ('(http.json(Data) & http.path("users", int)).then(store)', "incompatible type"),
    ('(http.path("users", int) & http.json(Data)).map(store).map(len)', "incompatible type"),
    ("http.get().map(len)", "incompatible type"),
    ('http.path("users", 5)', "No overload variant"),
    ('http.json(Data) & "data"', 'No overload variant of "__and__"'),
    ("http.get() | http.json(Data)", "Unsupported operand types"),
    ("(http.json(Data) & http.json(Data)).recover(str)", "Invalid self argument"),
]


def test_mypy_knows_the_values_of_filters(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HEAD + "".join(f"reveal_type({one})\n" for one, _ in RIGHT))
    said = checked(program)
    assert [line for line in said if ": error: " in line] == []
    revealed = [line.partition("Revealed type is ")[2].strip('"') for line in said]
    found = [one.replace("program.", "").replace("builtins.", "") for one in revealed if one]
    for one, (_, wanted) in zip(found, RIGHT, strict=True):
        assert wanted in one.replace("pierhead.protocols.http.filters.filter.", "")


def test_mypy_refuses_handlers_of_other_values(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HEAD + "".join(f"{one}\n" for one, _ in WRONG))
    said = [line for line in checked(program) if ": error: " in line]
    first = HEAD.count("\n") + 1
    for number, (one, error) in enumerate(WRONG, first):
        assert any(f"program.py:{number}: " in line and error in line for line in said), (one, said)
