"""Each check of the law finds the breach it is there for, in a small house built for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.architecture import law
from tests.architecture.law import House
from tests.processes import ROOT

SOUND = '"""Sound."""\n\n__all__ = ["X"]\n\nX = 1\n'


def built(tmp_path: Path, files: dict[str, str]) -> House:
    """Write a package of these files and read it."""
    root = tmp_path / "pierhead"
    for name, text in {"__init__.py": '"""Top."""\n', "errors.py": SOUND, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.relative_to(root).parents:
            (root / folder / "__init__.py").touch()
            if not (root / folder / "__init__.py").read_text():
                (root / folder / "__init__.py").write_text('"""A folder."""\n')
    return House(root)


def module(*lines: str) -> str:
    """Return a documented module with these lines in it."""
    return "\n".join(['"""A module."""', '__all__ = ["X"]', *lines, "X = 1", ""])


def test_a_sound_house_passes_every_check(tmp_path: Path) -> None:
    house = built(
        tmp_path,
        {
            "server/stream.py": module(
                "import asyncio",
                "from typing import TYPE_CHECKING",
                "from pierhead.errors import X as Y",
                "if TYPE_CHECKING:",
                "    from pierhead.listener.base import Listener",
            ),
            "listener/base.py": SOUND,
            "runtime/run.py": module("from ..server import stream"),
            "protocols/dns/zone/tree.py": module("from pierhead.protocols.dns.wire import name"),
            "protocols/dns/wire/name.py": module("import struct"),
            "cli/serve.py": module("def serve():", '    """Serve."""', "    import click"),
        },
    )

    assert [breach for check in law.CHECKS for breach in check(house)] == []


BREACHES = [
    pytest.param(
        law.imports_point_down,
        {"codec/lines.py": module("if TYPE_CHECKING:", "    import pierhead.server.stream")}
        | {"server/stream.py": SOUND},
        "codec/lines.py:4 imports pierhead.server.stream",
        id="upwards-for-type-checkers",
    ),
    pytest.param(
        law.imports_point_down,
        {"codec/lines.py": module("from pierhead.server.stream import X as Y")}
        | {"server/stream.py": SOUND},
        "codec/lines.py:3 imports pierhead.server.stream",
        id="upwards",
    ),
    pytest.param(
        law.imports_point_down,
        {"server/stream.py": module("from ..protocols import lines")}
        | {"protocols/lines/__init__.py": SOUND},
        "server/stream.py:3 imports pierhead.protocols.lines",
        id="server-to-protocol-relative",
    ),
    pytest.param(
        law.imports_point_down,
        {"codec/lines.py": module("def f():", "    try:", "        import pierhead.listener")}
        | {"listener/__init__.py": SOUND}
        | {
            "codec/lines.py": module(
                "def f():", "    with f():", "        import pierhead.listener"
            )
        },
        "imports pierhead.listener",
        id="upwards-late-and-deep",
    ),
    pytest.param(
        law.imports_point_down, {"bag.py": SOUND}, "bag.py has no rank", id="without-a-place"
    ),
    pytest.param(
        law.protocols_do_not_meet,
        {"protocols/dns/doh.py": module("import pierhead.protocols.http.asgi")}
        | {"protocols/http/asgi.py": SOUND},
        "protocols/dns/doh.py:3 imports pierhead.protocols.http.asgi",
        id="protocol-to-protocol",
    ),
    pytest.param(
        law.protocols_do_not_meet,
        {"protocols/dns/doh.py": module("from pierhead.testing import X as Y")}
        | {"testing/__init__.py": SOUND},
        "imports pierhead.testing",
        id="served-to-testing",
    ),
    pytest.param(
        law.pure_modules_are_pure,
        {"codec/lines.py": module("import asyncio.streams")},
        "codec/lines.py:3 imports asyncio.streams, but codec.lines is pure",
        id="impure-codec",
    ),
    pytest.param(
        law.pure_modules_are_pure,
        {"protocols/dns/zone/tree.py": module("def f():", "    from random import choice")},
        "zone/tree.py:4 imports random",
        id="impure-zone-late",
    ),
    pytest.param(
        law.nothing_is_imported_in_a_circle,
        {"codec/a.py": module("from pierhead.codec import b")}
        | {"codec/b.py": module("from pierhead.codec.c import X as Y")}
        | {"codec/c.py": module("import pierhead.codec.a")}
        | {"codec/innocent.py": module("import pierhead.codec.a")},
        "codec/a.py is part of a circle of imports: it imports codec.b",
        id="circle-of-three",
    ),
    pytest.param(
        law.nothing_is_imported_in_a_circle,
        {"codec/a.py": module("import pierhead.codec.b")}
        | {"codec/b.py": module("if typing.TYPE_CHECKING:", "    import pierhead.codec.a")},
        "codec/b.py is part of a circle of imports: it imports codec.a",
        id="circle-for-type-checkers",
    ),
    pytest.param(
        law.late_imports_have_a_reason,
        {"server/stream.py": module("def f():", "    from pierhead.errors import X as Y")},
        "server/stream.py:4 imports pierhead.errors inside a function",
        id="late",
    ),
    pytest.param(
        law.nothing_grows_too_large,
        {"errors.py": SOUND + "\n" * 600},
        "errors.py has 605 lines",
        id="large-module",
    ),
    pytest.param(
        law.nothing_grows_too_large,
        {"errors.py": module("def f():", '    """F."""', *["    X"] * 60)},
        "errors.py:3 f has 61 lines",
        id="large-function",
    ),
    pytest.param(
        law.nothing_grows_too_large,
        {"errors.py": module("class C:", "    def f(self, a, b, c, d, e, f):", "        pass")},
        "f takes 6 positions",
        id="many-positions",
    ),
    pytest.param(
        law.everything_public_is_documented,
        {"errors.py": '__all__ = ["X"]\nX = 1\n'},
        "errors.py has no docstring",
        id="module-without-docstring",
    ),
    pytest.param(
        law.everything_public_is_documented,
        {"errors.py": '"""E."""\nX = 1\n'},
        "errors.py has no __all__",
        id="module-without-all",
    ),
    pytest.param(
        law.everything_public_is_documented,
        {"errors.py": module("class C:", '    """C."""', "    def method(self): ...")},
        "errors.py:5 method has no docstring",
        id="method-without-docstring",
    ),
    pytest.param(
        law.what_is_private_stays_in_its_module,
        {"codec/lines.py": module("def f(framer):", "    return framer._buffer")},
        "codec/lines.py:4 reaches for framer._buffer",
        id="private-attribute",
    ),
    pytest.param(
        law.what_is_private_stays_in_its_module,
        {"codec/lines.py": module("from pierhead.codec.base import _hidden as X")},
        "codec/lines.py:3 reaches for _hidden",
        id="private-import",
    ),
]


REGISTRY = {
    "address/registry/network.py": module('ROWS = (Option(key="back-log"), Option(key="type"))')
}


@pytest.mark.parametrize(
    ("lines", "breach"),
    [
        (['KNOWN = {"back-log", "x"}'], "names the option 'back-log'"),
        (['LOG = options.get("back-log", 5)'], "names the option 'back-log'"),
        (
            ['KIND = spec.options.get("typ")'],
            "reads the option 'typ' by its key",
        ),
        (['HAS = "typ" in one.options'], "reads the option 'typ' by its key"),
        (['STEP = "option backlog"'], "names the option 'backlog', which is none"),
    ],
)
def test_the_key_of_an_option_has_one_place(lines, breach: str, tmp_path: Path) -> None:
    house = built(tmp_path, {**REGISTRY, "listener/inet.py": module(*lines)})

    found = list(law.options_are_named_in_the_registry_alone(house))

    assert any(f"listener/inet.py:3 {breach}" in one for one in found), found


def test_a_word_may_mean_something_else_and_an_error_may_name_an_option(tmp_path: Path) -> None:
    house = built(
        tmp_path,
        {
            **REGISTRY,
            "address/views.py": module('NAMES = ("back-log",)'),
            "address/json_schema.py": module('TYPE = {"type": "object"}'),
            "listener/inet.py": module('STEP = "option back-log"'),
        },
    )

    assert list(law.options_are_named_in_the_registry_alone(house)) == []


def test_every_excuse_for_a_word_is_used() -> None:
    house = House(ROOT / "src" / "pierhead")

    used = {
        excuse
        for module in house.modules.values()
        for node in ast.walk(module.tree)
        for excuse in law.OTHER_MEANING
        if isinstance(node, ast.Constant)
        and node.value == excuse[1]
        and law.is_allowed(module.name, excuse[0])
    }

    assert used == set(law.OTHER_MEANING)


@pytest.mark.parametrize(("check", "files", "breach"), BREACHES)
def test_a_breach_is_found(check, files: dict[str, str], breach: str, tmp_path: Path) -> None:
    found = list(check(built(tmp_path, files)))

    assert any(breach in one for one in found), found


def test_only_the_members_of_a_circle_are_named(tmp_path: Path) -> None:
    files = {
        "codec/a.py": module("import pierhead.codec.b"),
        "codec/b.py": module("import pierhead.codec.a", "import pierhead.errors"),
        "codec/c.py": module("import pierhead.codec.a"),
    }

    found = list(law.nothing_is_imported_in_a_circle(built(tmp_path, files)))

    assert [one.split()[0] for one in found] == ["pierhead/codec/a.py", "pierhead/codec/b.py"]
