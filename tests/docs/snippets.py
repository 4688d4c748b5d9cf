"""Takes the fenced blocks out of a page and runs them as a reader would, from top to bottom.

    ```python     a program: it ends, or it serves until the next heading; or tests for pytest
    ```console    lines after "$ " are commands, the lines below, if any, are what they print
    ```sh         every line is a command
    anything else is not run

A program that writes a line beginning with "ready " to standard error is a server: what follows
runs beside it, and the next heading stops it. Only what would run these tests again is never
run: "make test" and its like. In what a command prints, "..." stands for any
text, and alone on a line for any lines; how much white space there is does not matter.

A comment right above a block changes what happens to it; readers do not see it:

    <!-- not run: why -->       it is not run
    <!-- file: shout.py -->     it is written to a file beside the other blocks' programs
    <!-- continues -->          it begins with all of the Python block before it
    <!-- stop -->               the servers of the blocks before it are stopped first
    <!-- exit code: 3 -->       its last command ends like this, and not with 0

Ports of loopback addresses are replaced by free ones, page by page. Commands run in a folder
that looks like the checkout, so that what they write lands nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import PACKAGES, ROOT, Running, free_port, require_program

__all__ = ["Command", "Page", "Ports", "Session", "Snippet", "commands", "read"]

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+) *(?P<language>[\w+-]*)")
DIRECTIVE = re.compile(
    r"^ *<!-- *(?P<key>not run|file|continues|stop|exit code)(?:: *(?P<value>.*?))? *-->"
)
HERE_DOCUMENT = re.compile(r"<<-?\s*['\"]?(\w+)")
RUNS_THIS = re.compile(r"\bmake (test|check|interop|pythons)\b|\.ci/run|\bpytest\b")
TESTS = re.compile(r"^(async )?def test_", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} ")
LOCAL_PORT = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1?\])[: ](\d{2,5})\b|-p (\d{2,5})\b")

#: How long one command of a page may take to end or to be ready.
PATIENCE_S = 60.0

#: Where "make serve" and "pierhead serve dns" listen unless they are told otherwise.
SERVE_PORT = "5300"

#: What the folder of a page has of its own, or does not need.
NOT_SHOWN = {".git", ".pytest_cache", ".hypothesis", "examples"}

RUN_PYTHON = Path(__file__).with_name("run_block.py")


@dataclass(frozen=True)
class Snippet:
    """One fenced block: where it stands, its text, and the comment above it."""

    page: str
    line: int
    section: int
    language: str
    text: str
    directives: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A text and its blocks, in order."""

    name: str
    snippets: list[Snippet]


@dataclass(frozen=True)
class Command:
    """One command, the line it stands in, and what it prints; nothing where that is not said."""

    text: str
    line: int
    expected: list[str]


def read(name: str, text: str) -> Page:
    """Take the fenced blocks out of a page."""
    snippets: list[Snippet] = []
    lines = list(enumerate(text.splitlines(), 1))
    section, directives = 0, {}
    while lines:
        number, line = lines.pop(0)
        if fence := FENCE.match(line):
            body = _block(lines, fence, f"{name}:{number}")
            snippets.append(
                Snippet(name, number, section, fence["language"], body, dict(directives))
            )
            directives = {}
        elif found := DIRECTIVE.match(line):
            directives[found["key"]] = found["value"] or ""
        elif HEADING.match(line):
            section += 1
        elif line.strip():
            assert not directives, f"{name}:{number}: expected a block below {directives}"
    return Page(name, snippets)


def _block(lines: list[tuple[int, str]], fence: re.Match[str], where: str) -> str:
    body = []
    while lines:
        _, line = lines.pop(0)
        if line.strip() == fence["fence"]:
            return "\n".join([*body, ""])
        body.append(line.removeprefix(fence["indent"]))
    raise AssertionError(f"{where}: the block is not closed")


class Ports:
    """Gives every port of a loopback address in these texts a free one in its place."""

    def __init__(self, *texts: str) -> None:
        found = {port for text in texts for pair in LOCAL_PORT.findall(text) for port in pair}
        asked = {port for port in found if port} | {SERVE_PORT}
        self._chosen: dict[str, str] = {}
        for port in sorted(asked):
            while (new := str(free_port())) in self._chosen.values() or new in asked:
                pass
            self._chosen[port] = new
        self._pattern = re.compile(rf"(?<![\d.])({'|'.join(self._chosen)})(?![\d.])")

    def replace(self, text: str) -> str:
        """Replace the ports, wherever they stand in the text."""
        text = self._pattern.sub(lambda found: self._chosen[found[1]], text)
        listen = f"LISTEN=127.0.0.1:{self._chosen[SERVE_PORT]}"
        return re.sub(r"\bmake serve\b", f"make serve {listen}", text)


def commands(snippet: Snippet) -> Iterator[Command]:
    """Give the command lines of a console or shell block."""
    lines = list(enumerate(snippet.text.splitlines(), snippet.line + 1))
    is_console = any(line.startswith("$ ") for _, line in lines)
    while lines:
        number, text = lines.pop(0)
        if not text.strip() or text.startswith("#"):
            continue
        if is_console:
            assert text.startswith("$ "), f"{snippet.page}:{number}: expected '$ ' before {text!r}"
            text = text.removeprefix("$ ")
        while lines and _goes_on(text):
            text = f"{text}\n{lines.pop(0)[1]}"
        expected: list[str] = []
        while is_console and lines and not lines[0][1].startswith("$ "):
            expected.append(lines.pop(0)[1])
        while expected and not expected[-1].strip():
            expected.pop()
        yield Command(text, number, expected)


def _goes_on(text: str) -> bool:
    """Tell whether a command needs the next line: a backslash, or a here-document."""
    here = HERE_DOCUMENT.search(text)
    return text.endswith("\\") or bool(here and here[1] not in text.split("\n")[1:])


class Session:
    """Runs the blocks of one page, one after the other, in a folder like the checkout."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.python = ""  # the Python block before, for one that continues it
        examples = {path: path.read_text() for path in (ROOT / "examples").glob("*.py")}
        self.ports = Ports(text, *examples.values())
        for entry in [*ROOT.iterdir(), *(ROOT / "examples").iterdir()]:
            if entry.name not in NOT_SHOWN and entry not in examples:
                there = folder / entry.relative_to(ROOT)
                there.parent.mkdir(exist_ok=True)
                there.symlink_to(entry)
        for path, example in examples.items():
            (folder / path.relative_to(ROOT)).write_text(self.ports.replace(example))

    def run(self, name: str, text: str) -> None:
        """Run the blocks of a page; a server runs until the next heading."""
        page = read(name, self.ports.replace(text))
        for section in sorted({snippet.section for snippet in page.snippets}):
            with contextlib.ExitStack() as servers:
                for snippet in page.snippets:
                    if snippet.section != section or "not run" in snippet.directives:
                        continue
                    if "stop" in snippet.directives:
                        servers.close()
                    self._run(snippet, servers)

    def _run(self, snippet: Snippet, servers: contextlib.ExitStack) -> None:
        if name := snippet.directives.get("file"):
            (self.folder / name).write_text(snippet.text)
        elif snippet.language == "python":
            self._run_python(snippet, servers)
        elif snippet.language in ("console", "sh", "shell", "bash"):
            todo = list(commands(snippet))
            for command in todo:
                if RUNS_THIS.search(command.text):
                    continue
                is_last = command is todo[-1]
                code = snippet.directives.get("exit code", "0") if is_last else "0"
                ran = self._run_command(snippet, command, int(code), servers)
                assert is_last or ran.process.poll() is not None, (
                    f"{snippet.page}:{command.line}: {command.text!r} serves until it is stopped, "
                    "so a reader cannot go on below it; begin another block"
                )

    def run_program(self, path: str) -> None:
        """Run a Python program until it ends, or until it serves and is told to end."""
        with contextlib.ExitStack() as servers:
            self._start([sys.executable, path], path, 0, servers)

    def _run_python(self, snippet: Snippet, servers: contextlib.ExitStack) -> None:
        text = "\n" * snippet.line + snippet.text  # so that a traceback has the page's lines
        if "continues" in snippet.directives:
            text = self.python + text[self.python.count("\n") :]
        self.python = text
        program = self.folder / f"block-{snippet.line}.py"
        program.write_text(text)
        code = int(snippet.directives.get("exit code", "0"))
        argv = [sys.executable, str(RUN_PYTHON), str(program)]
        if TESTS.search(text):
            argv = [sys.executable, "-m", "pytest", "-q", str(program)]
        self._start(argv, str(snippet), code, servers)

    def _run_command(
        self, snippet: Snippet, command: Command, code: int, servers: contextlib.ExitStack
    ) -> Running:
        for word in shlex.split(command.text, comments=True):
            if word in PACKAGES:
                require_program(word)
        where = f"{snippet.page}:{command.line}: {command.text}"
        ran = self._start(["bash", "-c", command.text], where, code, servers)
        if command.expected:
            said = ran.out + ran.err
            assert matches(command.expected, said), "\n".join(
                [where, "expected:", *command.expected, "found:", *said]
            )
        return ran

    def _start(
        self, argv: list[str], where: str, code: int, servers: contextlib.ExitStack
    ) -> Running:
        """Run until the end or until it serves; in that case stop it with the others."""
        running = Running(argv, cwd=self.folder, env=self._environment())
        try:
            ready = running.line_or_end("ready ", PATIENCE_S)
        except BaseException:
            running.kill()
            raise
        if ready is not None:
            servers.callback(_stop, running, where)
            return running
        ended = running.stop()
        running.kill()
        assert ended == code, f"{where}\nexpected exit code {code}: {running}"
        assert not _traceback(running), f"{where}\n{running}"
        return running

    def _environment(self) -> dict[str, str]:
        scripts = str(ROOT / ".venv" / "bin")
        return {
            "PATH": f"{scripts}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": f"{self.folder}:{self.folder / 'examples'}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }


def _stop(running: Running, where: str) -> None:
    running.assert_alive()
    code = running.stop(whole_group=True)
    # make says of a recipe that was told to end that it failed.
    assert code == 0 or "make" in running.command[-1], f"{where}\nexit code {code}: {running}"
    assert not _traceback(running), f"{where}\n{running}"


def _traceback(running: Running) -> bool:
    return any(line.startswith("Traceback") for line in running.out + running.err)


def matches(expected: list[str], said: list[str]) -> bool:
    """Tell whether this was said; "..." is any text, alone on a line any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "..." else _line_pattern(line) for line in expected
    )
    text = "".join(f"{' '.join(line.split())}\n" for line in said if line.strip())
    return re.fullmatch(pattern, text) is not None


def _line_pattern(line: str) -> str:
    if not line.strip():
        return ""
    return ".*".join(re.escape(part) for part in " ".join(line.split()).split("...")) + r"\n"
