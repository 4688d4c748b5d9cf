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
        "mknod",
        "open",
        "readlink",
        "remove",
        "removedirs",
        "rename",
        "renames",
        "replace",
        "rmdir",
        "scandir",
        "stat",
        "statvfs",
        "symlink",
        "truncate",
        "unlink",
        "utime",
        "walk",
    }
)
METHODS = frozenset(
    {
        "FileHandler",
        "bind",
        "chmod",
        "connect",
        "connect_ex",
        "create_default_context",
        "exists",
        "hardlink_to",
        "glob",
        "is_dir",
        "is_file",
        "iterdir",
        "load_cert_chain",
        "load_verify_locations",
        "lchmod",
        "lstat",
        "mkdir",
        "open",
        "read_bytes",
        "read_text",
        "rename",
        "rglob",
        "rmdir",
        "samefile",
        "sock_connect",
        "stat",
        "symlink_to",
        "touch",
        "unlink",
        "write_bytes",
        "write_text",
    }
)
BUILT_IN = frozenset({"open"})
#: Modules of which every function does something at a path.
OF_FILES = frozenset({"glob", "shutil", "tempfile"})

#: What looks like one and is none: (module, call), and what it is.
NO_PATH = {
    ("listener.bind.inet", ".bind"): "an IP address",
    ("listener.bind.vsock", ".bind"): "a number",
    ("listener.wrap.tls", ".open"): "a transport",
    ("listener.open", ".open"): "a listener",
    ("listener.bind.memory", ".open"): "a transport",
    ("net.memory.network", ".open"): "a transport",
    ("protocols.dns.client", ".open"): "a connection",
    ("backplane.brokered", ".open"): "a connection",
    ("backplane.jetstream", ".connect"): "a URL",
    ("client.client", ".open"): "a connection",
    ("client.wrapping", ".open"): "a transport",
    ("listener.own_addresses", ".connect"): "an IP address",
    ("server.callback", ".bind"): "arguments",
    ("service.base", ".bind"): "arguments",
}


def calls(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"os", *OF_FILES}:
            yield from (f"from {node.module}" for one in node.names if one.name in OF_OS)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in BUILT_IN:
                yield node.func.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from called(node, node.func)


def called(node: ast.Call, function: ast.Attribute) -> Iterator[str]:
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if owner == "os":
        if function.attr in OF_OS:
            yield f"os.{function.attr}"
    elif owner in OF_FILES:
        yield f"{owner}.{function.attr}"
    elif (
        function.attr in METHODS
        or (function.attr == "resolve" and not node.args)
        or (
            # Text has two arguments here, and a value that is changed has keywords.
            function.attr == "replace" and len(node.args) == 1 and not node.keywords
        )
    ):
        yield f".{function.attr}"


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


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n  with open(a) as b, c.open() as d: pass", [".open", "open"]),
        ("os.unlink(a.read_text())", [".read_text", "os.unlink"]),
        ("from os import unlink", ["from os"]),
        ("shutil.rmtree(a); tempfile.mkdtemp()", ["shutil.rmtree", "tempfile.mkdtemp"]),
        ("a.replace(b); a.resolve(); a.resolve(strict=True)", [".replace", *[".resolve"] * 2]),
        ("a.chmod(1); a.stat(); s.connect_ex(a)", [".chmod", ".connect_ex", ".stat"]),
        ("ssl.create_default_context(cafile=a)", [".create_default_context"]),
        ("a.replace(b, c); replace(a, b=c); spec.resolve(endpoint)", []),
    ],
)
def test_a_call_is_found_wherever_it_stands(source: str, found: list[str]) -> None:
    assert sorted(calls(ast.parse(source))) == found
