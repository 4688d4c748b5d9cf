"""Scenarios as values, and how a file of them is read. `README.md` shows the format.

Every line that is not indented is ``key: value``; the indented lines below it belong to it. What
a file may say about a key is in three tables here: for the file, for a case, for an answer.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdataclass
import dns.rdatatype
from tests.scenarios.spelling import Record, octets, read_record

__all__ = [
    "DEFAULTS",
    "FOLDER",
    "Case",
    "Closed",
    "Expected",
    "Octets",
    "Passing",
    "Question",
    "Scenario",
    "ScenarioError",
    "Sending",
    "Silence",
    "Step",
    "read",
    "read_all",
]

FOLDER = Path(__file__).parent
PEERS = ("bind", "nsd", "knot")
FLAGS = {"rd": dns.flags.RD, "ad": dns.flags.AD, "cd": dns.flags.CD}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: What a file may configure, and what holds where it does not.
DEFAULTS = {"max-udp-payload": "1232", "minimal-responses": "yes"}


class ScenarioError(Exception):
    """A file that is no scenario; says which line, and why."""


@dataclass(frozen=True)
class Question:
    """A query as ``ask:`` puts it.

    Attributes:
        size: the EDNS payload size; None for a client that knows no EDNS.
    """

    name: str
    rtype: str
    rclass: str = "IN"
    tcp: bool = False
    size: int | None = None
    do: bool = False
    version: int = 0
    flags: int = 0
    opcode: int = 0
    options: tuple[dns.edns.Option, ...] = ()

    def message(self) -> dns.message.Message:
        """Return the query; its ID is always the same."""
        query = dns.message.make_query(
            self.name, self.rtype, rdclass=self.rclass, flags=self.flags, id=0x5048
        )
        query.set_opcode(dns.opcode.Opcode(self.opcode))
        if self.size is not None:
            do = dns.flags.DO if self.do else 0
            query.use_edns(self.version, do, self.size, options=list(self.options))
        return query


@dataclass(frozen=True)
class Expected:
    """An answer as a file gives it; question and OPT record where the file gives them."""

    status: str
    flags: tuple[str, ...]
    sections: dict[str, list[Record]] = field(default_factory=dict)
    question: str | None = None
    opt: str | None = None
    #: Which peers answer otherwise, and why ours is right.
    differs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Octets:
    """An answer given octet by octet."""

    data: bytes


@dataclass(frozen=True)
class Silence:
    """No answer."""


@dataclass(frozen=True)
class Closed:
    """No answer, and the end of the connection."""


@dataclass(frozen=True)
class Sending:
    """A query and what must come back."""

    query: Question | bytes
    tcp: bool
    reply: Expected | Octets | Silence | Closed
    line: int


@dataclass(frozen=True)
class Passing:
    """Time that passes between two queries."""

    seconds: float
    line: int


Step = Sending | Passing


@dataclass(frozen=True)
class Case:
    """Something that a server must do, shown by queries and answers."""

    title: str
    rfcs: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    line: int


@dataclass(frozen=True)
class Scenario:
    """One file: zones, and cases that are played against them.

    Attributes:
        options: what is configured otherwise than by default.
        as_written: why other servers must be asked about these very names; empty where names
            may be moved below another label.
    """

    path: Path
    zones: dict[str, str]
    cases: tuple[Case, ...]
    options: dict[str, str]
    as_written: str
    absent: dict[str, str]

    @property
    def name(self) -> str:
        """The file, as tests and reports call it."""
        return self.path.relative_to(FOLDER).with_suffix("").as_posix()


def read_all(folder: Path = FOLDER) -> list[Scenario]:
    """Return every scenario of the folder, by name."""
    return [read(path) for path in sorted(folder.rglob("*.txt"))]


def read(path: Path) -> Scenario:
    """Read one file.

    Raises:
        ScenarioError: with file and line.
    """
    return _Reader(path).scenario()


@dataclass(frozen=True)
class _Block:
    """``key: value`` with the indented lines below it."""

    key: str
    value: str
    line: int
    below: list[tuple[int, str]]


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks = list(self._split(path.read_text(encoding="utf-8")))
        self._at = 0

    def scenario(self) -> Scenario:
        head = self._take("rfc", "config", "as written", "without", "zone")
        rfcs = [self._clause(block) for block in head if block.key == "rfc"]
        cases = []
        while self._at < len(self._blocks):
            cases.append(self._case(rfcs))
        if not rfcs or not cases:
            raise ScenarioError(f"{self._path}: expected 'rfc:' at the top, and a 'case:'")
        return Scenario(
            path=self._path,
            zones={block.value: _zone(block) for block in head if block.key == "zone"},
            cases=tuple(cases),
            options=dict(self._option(block) for block in head if block.key == "config"),
            as_written=" ".join(block.value for block in head if block.key == "as written"),
            absent=self._reasons([block for block in head if block.key == "without"]),
        )

    # Lines.

    def _split(self, text: str) -> Iterator[_Block]:
        block: _Block | None = None
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace():
                if block is None:
                    raise self._wrong(number, "an indented line below nothing")
                block.below.append((number, line))
                continue
            key, colon, value = line.partition(":")
            if not colon:
                raise self._wrong(number, f"expected 'key: value', found {line!r}")
            if block is not None:
                yield block
            block = _Block(key.strip(), value.strip(), number, [])
        if block is not None:
            yield block

    def _next(self, *keys: str) -> _Block | None:
        """Return the next block if it has one of these keys."""
        if self._at == len(self._blocks) or self._blocks[self._at].key not in keys:
            return None
        self._at += 1
        return self._blocks[self._at - 1]

    def _take(self, *keys: str) -> list[_Block]:
        """Return the next blocks as long as they have one of these keys."""
        taken = []
        while block := self._next(*keys):
            taken.append(block)
        return taken

    def _wrong(self, line: int, why: str) -> ScenarioError:
        return ScenarioError(f"{self._path}:{line}: {why}")

    # The head.

    def _clause(self, block: _Block) -> tuple[str, str]:
        clause = re.fullmatch(r"(\d+) §([\w.]+)", block.value)
        if clause is None:
            raise self._wrong(block.line, f"expected 'rfc: NUMBER §SECTION', found {block.value!r}")
        return clause[1], clause[2]

    def _option(self, block: _Block) -> tuple[str, str]:
        key, _, value = block.value.partition("=")
        if key not in DEFAULTS:
            raise self._wrong(block.line, f"no option {key!r}; expected one of {list(DEFAULTS)}")
        return key, value

    def _reasons(self, blocks: list[_Block]) -> dict[str, str]:
        """Return the reasons given for peers: ``nsd, knot — reason``."""
        reasons: dict[str, str] = {}
        for block in blocks:
            text = " ".join([block.value, *(line.strip() for _, line in block.below)])
            peers, dash, reason = text.partition(" — ")
            names = [peer.strip() for peer in peers.split(",")]
            if not dash or not set(names) <= set(PEERS):
                raise self._wrong(block.line, f"expected 'PEER — reason', peers: {PEERS}")
            reasons.update(dict.fromkeys(names, reason))
        return reasons

    # Cases.

    def _case(self, rfcs: list[tuple[str, str]]) -> Case:
        block = self._next("case")
        if block is None:
            found = self._blocks[self._at]
            raise self._wrong(found.line, f"expected 'case:', found '{found.key}:'")
        own = [self._clause(clause) for clause in self._take("rfc")]
        steps: list[Step] = []
        while step := self._next("ask", "send udp", "send tcp", "time passes"):
            steps.append(self._step(step))
        if not block.value or not steps:
            raise self._wrong(block.line, "expected 'case: A SENTENCE', and 'ask:' below it")
        return Case(block.value, tuple(own or rfcs), tuple(steps), block.line)

    def _step(self, block: _Block) -> Step:
        text = " ".join([block.value, *(line.strip() for _, line in block.below)])
        try:
            if block.key == "time passes":
                return Passing(_seconds(text), block.line)
            query = _question(text.split()) if block.key == "ask" else octets(text)
        except (ValueError, dns.exception.DNSException) as error:
            raise self._wrong(block.line, str(error)) from error
        tcp = query.tcp if isinstance(query, Question) else block.key == "send tcp"
        return Sending(query, tcp, self._reply(block.line), block.line)

    def _reply(self, line: int) -> Expected | Octets | Silence | Closed:
        block = self._next("status", "reply", "silence", "closed")
        if block is None:
            raise self._wrong(line, "expected 'status:', 'reply:', 'silence:' or 'closed:' below")
        if block.key == "reply":
            try:
                return Octets(octets(" ".join([block.value, *(t for _, t in block.below)])))
            except ValueError as error:
                raise self._wrong(block.line, str(error)) from error
        if block.key != "status":
            return Silence() if block.key == "silence" else Closed()
        status, *flags = block.value.split() or [""]
        more = self._take("question", "opt", "answer", "authority", "additional", "differs")
        single = {block.key: block.value for block in more if block.key in ("question", "opt")}
        return Expected(
            status=status,
            flags=tuple(flags),
            sections={
                block.key: [self._record(number, text) for number, text in block.below]
                for block in more
                if block.key in ("answer", "authority", "additional")
            },
            question=single.get("question"),
            opt=single.get("opt"),
            differs=self._reasons([block for block in more if block.key == "differs"]),
        )

    def _record(self, number: int, text: str) -> Record:
        try:
            return read_record(text)
        except ValueError as error:
            raise self._wrong(number, str(error)) from error


def _zone(block: _Block) -> str:
    # The indentation is the file's; what is indented further has the owner of the line above.
    return textwrap.dedent("\n".join(line for _, line in block.below)) + "\n"


def _seconds(text: str) -> float:
    parts = re.fullmatch(r"(\d+)([smhd])", text)
    if parts is None:
        raise ValueError(f"expected a time such as 30m, found {text!r}")
    return int(parts[1]) * SECONDS[parts[2]]


def _question(words: list[str]) -> Question:
    if len(words) < 2:
        raise ValueError("expected 'ask: NAME TYPE …'")
    dns.name.from_text(words[0])
    dns.rdatatype.from_text(words[1])
    given: dict[str, object] = {}
    flags = 0
    options = []
    for word in words[2:]:
        key, equals, value = word.partition("=")
        if word in FLAGS:
            flags |= FLAGS[word]
        elif word in ("CH", "HS", "ANY", "NONE") or re.fullmatch(r"CLASS\d+", word):
            given["rclass"] = word
        elif word in ("udp", "tcp"):
            given["tcp"] = word == "tcp"
        elif word == "do":
            given["do"] = True
        elif word == "edns":
            given["size"] = 1232
        elif equals and key in ("edns", "version"):
            given["size" if key == "edns" else key] = int(value)
        elif equals and key == "opcode":
            given["opcode"] = dns.opcode.from_text(value)
        elif equals and key.startswith("option"):
            options.append(dns.edns.GenericOption(int(key[6:]), bytes.fromhex(value)))
        else:
            raise ValueError(f"{word!r} means nothing after 'ask:'")
    if given.keys() & {"do", "version"} or options:
        given.setdefault("size", 1232)
    return Question(words[0], words[1], flags=flags, options=tuple(options), **given)
