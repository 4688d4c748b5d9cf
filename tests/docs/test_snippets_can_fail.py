"""The harness of the pages finds the faults it is there for."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from tests.docs.snippets import Ports, Session, commands, matches, read

SERVER = textwrap.dedent("""\
    import signal, socket, sys
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = socket.create_server(("127.0.0.1", 7000))
    print("ready tcp:127.0.0.1:7000", file=sys.stderr, flush=True)
    signal.pause()
    """)
CLIENT = 'import socket; socket.create_connection(("127.0.0.1", 7000)).close()'


def run(tmp_path: Path, text: str) -> None:
    text = textwrap.dedent(text)
    tmp_path.mkdir(exist_ok=True)
    Session(tmp_path, text).run("page.md", text)


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```\n"


def test_blocks_are_found_with_their_lines_and_directives() -> None:
    page = read(
        "page.md",
        "# One\n\n<!-- not run: needs the network -->\n```sh\npip install x\n```\n"
        "## Two\n- item\n  ~~~python\n  if True:\n      pass\n  ~~~\n```\nplain\n```\n",
    )

    assert [(s.line, s.section, s.language) for s in page.snippets] == [
        (4, 1, "sh"),
        (9, 2, "python"),
        (13, 2, ""),
    ]
    assert page.snippets[0].directives == {"not run": "needs the network"}
    assert page.snippets[1].text == "if True:\n    pass\n"


@pytest.mark.parametrize(
    "text",
    ["```python\npass\n", "<!-- file: x.py -->\nNo block here.\n"],
    ids=["not closed", "comment without a block"],
)
def test_a_malformed_page_is_refused(text: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:"):
        read("page.md", text)


def test_commands_are_told_from_what_they_print() -> None:
    (block,) = read(
        "page.md", fenced("console", "$ one \\\n  two\nout\n\nmore\n\n$ three")
    ).snippets

    found = list(commands(block))

    assert [c.text for c in found] == ["one \\\n  two", "three"]
    assert [c.expected for c in found] == [["out", "", "more"], []]
    assert [c.line for c in found] == [2, 8]


@pytest.mark.parametrize(
    ("expected", "said", "same"),
    [
        (["a  b"], ["a\tb"], True),
        (["a ... d"], ["a b c d"], True),
        (["a", "...", "d"], ["a", "b", "c", "d"], True),
        (["a", "...", "d"], ["a", "d"], True),
        (["a", "...", "d"], ["a", "b"], False),
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a"], False),
        (["a.c"], ["abc"], False),
        ([], ["a"], False),
    ],
)
def test_what_was_said_is_compared(expected: list[str], said: list[str], same: bool) -> None:
    assert matches(expected, said) is same


def test_ports_are_replaced_together_and_nothing_else() -> None:
    before = "127.0.0.1:5301 and -p 5301; [::]:4000; 5301.5 52: 15301 127.0.0.1:0"

    text = Ports(before).replace(before)

    first, second = re.findall(r"127\.0\.0\.1:(\d+) and -p (\d+)", text)[0]
    assert first == second != "5301"
    assert "[::]:4000" not in text
    assert text.endswith("5301.5 52: 15301 127.0.0.1:0")


def test_make_serve_is_told_where_to_listen() -> None:
    text = Ports("").replace("make serve\ndig -p 5300")

    listen, port = re.fullmatch(
        r"make serve LISTEN=127\.0\.0\.1:(\d+)\ndig -p (\d+)", text
    ).groups()
    assert listen == port != "5300"


def test_a_server_runs_beside_the_blocks_that_follow_it(tmp_path: Path) -> None:
    run(tmp_path, fenced("python", SERVER) + "Then\n" + fenced("python", CLIENT))


def test_a_server_is_the_last_command_of_its_block(tmp_path: Path) -> None:
    server = "<!-- file: server.py -->\n" + fenced("python", SERVER)

    run(tmp_path, server + fenced("console", "$ echo first\n$ python server.py"))
    with pytest.raises(AssertionError, match="begin another block"):
        run(tmp_path / "again", server + fenced("console", "$ python server.py\n$ echo and then"))


def test_a_server_is_stopped_by_the_next_heading(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        run(tmp_path, fenced("python", SERVER) + "# Next\n" + fenced("python", CLIENT))


def test_a_comment_stops_the_server_for_the_block_below(tmp_path: Path) -> None:
    again = "<!-- stop -->\n" + fenced("python", SERVER)

    run(tmp_path, fenced("python", SERVER) + again)
    with pytest.raises(AssertionError, match="Address already in use"):
        run(tmp_path / "again", fenced("python", SERVER) * 2)


def test_a_server_that_fails_is_a_fault(tmp_path: Path) -> None:
    failing = 'import sys; print("ready now", file=sys.stderr, flush=True); sys.exit(1)'

    with pytest.raises(AssertionError, match=r"ended too early|exit code"):
        run(tmp_path, fenced("python", failing))


@pytest.mark.parametrize(
    "block",
    [
        fenced("python", "raise SystemExit(1)"),
        fenced("python", "import sys; print('Traceback (most recent call last)', file=sys.stderr)"),
        fenced("python", "import asyncio\nawait asyncio.sleep(0)"),
        fenced("python", ">>> 1 + 1\n3"),
        fenced("sh", "exit 4"),
        fenced("console", "$ echo one\ntwo"),
        fenced("console", "$ cat << EOF\none\nEOF\ntwo"),
        fenced("python", "def test_of_a_page(): assert 1 + 1 == 3"),
        "<!-- exit code: 3 -->\n" + fenced("sh", "exit 4"),
        "<!-- exit code: 3 -->\n" + fenced("sh", "exit 3\ntrue"),
    ],
)
def test_a_block_that_does_not_do_as_it_says_fails(block: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(tmp_path, block)


@pytest.mark.parametrize(
    "block",
    [
        fenced("python", "import asyncio\nasyncio.run(asyncio.sleep(0))"),
        fenced("python", ">>> 1 + 1\n2"),
        fenced("console", "$ ls Makefile\nMakefile\n$ echo a; echo b >&2\n..."),
        fenced("console", "$ cat <<'EOF' | cat\none\ntwo\nEOF\none\ntwo"),
        fenced("console", "$ echo what is printed is not said"),
        fenced("python", "async def test_of_a_page(): assert 1 + 1 == 2"),
        fenced("sh", "make test; exit 4"),
        fenced("toml", "this is not run"),
        "<!-- not run: would take too long -->\n" + fenced("sh", "exit 4"),
        "<!-- exit code: 3 -->\n" + fenced("sh", "true\nexit 3"),
        "<!-- file: mine.py -->\n" + fenced("python", "x = 5") + fenced("python", "import mine"),
        fenced("python", "x = 5") + "<!-- continues -->\n" + fenced("python", "assert x == 5"),
    ],
)
def test_a_block_that_does_as_it_says_passes(block: str, tmp_path: Path) -> None:
    run(tmp_path, block)
