"""docs/reference/files.md lists every path that is opened, changed or removed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.architecture.law import House

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/files.md"

#: Functions of `os` that take a path, and methods that do something at one.
OF_OS = frozenset(
    {
        "access",
        "chmod",
        "chown",
        "fchmod",
        "fchown",
        "link",
        "listdir",
        "lstat",
        "makedirs",
        "mkdir",
        "mkfifo",
        "open",
        "readlink",
        "remove",
        "rename",
        "replace",
        "rmdir",
        "scandir",
        "stat",
        "symlink",
        "truncate",
        "unlink",
        "utime",
        "walk",
    }
)
METHODS = frozenset(
    {
        "bind",
        "exists",
        "glob",
        "is_dir",
        "is_file",
        "iterdir",
        "load_cert_chain",
        "load_verify_locations",
        "lchmod",
        "mkdir",
        "open",
        "read_bytes",
        "read_text",
        "rename",
        "rglob",
        "rmdir",
        "symlink_to",
        "touch",
        "unlink",
        "write_bytes",
        "write_text",
    }
)
BUILT_IN = frozenset({"open"})

#: What looks like one and is none: (module, call), and what it is.
NO_PATH = {
    ("listener.inet", ".bind"): "an IP address",
    ("listener.vsock", ".bind"): "a number",
    ("listener.tls", ".open"): "a transport",
    ("listener.open", ".open"): "a listener",
    ("listener.memory.stream", ".open"): "a transport",
    ("protocols.dns.client", ".open"): "a connection",
    ("service", ".bind"): "arguments",
}


def calls(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in BUILT_IN:
            yield function.id
        elif isinstance(function, ast.Attribute):
            if isinstance(function.value, ast.Name) and function.value.id == "os":
                if function.attr in OF_OS:
                    yield f"os.{function.attr}"
            elif function.attr in METHODS:
                yield f".{function.attr}"
            elif function.attr == "resolve" and any(one.arg == "strict" for one in node.keywords):
                yield ".resolve"


@pytest.fixture(scope="module")
def listed() -> set[tuple[str, str]]:
    found = set()
    for row in PAGE.read_text().splitlines():
        if row.startswith("| ") and not row.startswith("| path"):
            for place in row.rstrip("| ").rpartition("| ")[2].split(";"):
                module, _, names = place.partition(":")
                for name in re.findall("`([^`]+)`", names):
                    found.add((module.strip(" `"), name))
    return found


@pytest.fixture(scope="module")
def made() -> set[tuple[str, str]]:
    house = House(ROOT / "src/pierhead")
    return {(module.name, call) for module in house.modules.values() for call in calls(module.tree)}


def test_every_call_that_touches_a_path_is_listed(listed, made) -> None:
    assert made - listed - NO_PATH.keys() == set()


def test_nothing_is_listed_that_is_gone(listed, made) -> None:
    assert listed - made == set()
    assert NO_PATH.keys() - made == set()


def test_a_call_is_found_wherever_it_stands() -> None:
    tree = ast.parse("def f():\n  with open(a) as b, c.open() as d: os.unlink(e.read_text())")
    assert sorted(calls(tree)) == [".open", ".read_text", "open", "os.unlink"]
