"""The texts of remedies are found where they are written, so that one without a test is missed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.remedies import Remedy, remedies_of, texts_of

HEAD = "_AGAIN = 'try again'\n_TABLE = {1: ('why', 'restart it'), 2: ('why', 'stop it')}\n"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("def f():\n raise ListenError(a, 's', r, 'leave it out')", ["leave it out"]),
        ("def f():\n raise ListenError(a, 's', r, remedy='leave it out')", ["leave it out"]),
        ("def f():\n raise ListenError(a, 's', r, f'write {x} or {y}')", ["write \0 or \0"]),
        ("def f():\n raise ListenError(a, 's', r, 'a' if x else 'b')", ["a", "b"]),
        ("def f():\n raise ListenError(a, 's', r, _AGAIN)", ["try again"]),
        ("def f():\n fix = 'a'\n raise ListenError(a, 's', r, fix)", ["a"]),
        (
            "def f():\n fix = 'a'\n if x:\n  fix = 'b'\n raise ListenError(a, 's', r, fix)",
            ["a", "b"],
        ),
        ("def f():\n fix = {1: 'a', 2: 'b'}.get(x, '')\n return ListenError(a, 's', r, fix)", None),
        ("def f():\n r, fix = _TABLE.get(x, ('', 'c'))\n raise ListenError(a, 's', r, fix)", None),
        ("def g():\n return 'a'\ndef f():\n raise ListenError(a, 's', r, g() or 'b')", ["a", "b"]),
        ("def g(fix):\n raise ListenError(a, 's', r, fix)\ndef f():\n g('a')\n g('b')", ["a", "b"]),
        (
            "def g(fix):\n if x:\n  fix = 'c'\n raise ListenError(a, 's', r, fix)\n"
            "def f():\n fix = {1: 'a'}[x] or 'b'\n g(fix)",
            ["a", "b", "c"],
        ),
        ("def f():\n raise ListenError(a, 's', r)", []),
        ("def f():\n raise ListenError(a, 's', r, error.remedy)", []),
    ],
)
def test_a_remedy_is_found_however_it_reaches_its_error(written, found, tmp_path: Path):
    module = tmp_path / "module.py"
    module.write_text(HEAD + written)
    known = {"{1: 'a', 2": ["a", "b"], "_TABLE.get": ["restart it", "stop it", "c"]}
    wanted = found if found is not None else next(v for k, v in known.items() if k in written)
    assert sorted(text for text in texts_of(module) if text.strip("\0")) == sorted(wanted)


def test_the_source_has_them_and_none_is_all_unknown():
    found = remedies_of("listener", "net", "server")
    assert len(found) >= 85
    assert all(len(one.words) > 4 for one in found), [str(one) for one in found]


def test_words_of_another_remedy_are_not_in_it():
    one = Remedy("a.py", "write \0 or sd:* for all of them")
    assert "or sd:* for all of them" in one
    assert "write sd:a, sd:b or sd:* for all of them" in one
    assert "leave it out" not in one
    assert "write" in one
    assert one.matches("write sd:a or sd:* for all of them")
    assert not one.matches("write sd:a")
