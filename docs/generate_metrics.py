"""Writes docs/reference/metrics.md: what src counts, found in its syntax.

python docs/generate_metrics.py            write the page
python docs/generate_metrics.py --check    exit with 1 if the page is not up to date

A metric is found where it is made: by a call of `counter`, `gauge`, `watch`, `histogram`, `count` or
`ByReason` with a literal name. One without a row in `pierhead.metrics_table`, or a row without a
metric, is an error.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from generate_limits import SECTIONS

from pierhead.limits import Limit
from pierhead.metrics_table import METRICS, OWNERS, REASONS

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pierhead"
PAGE = ROOT / "docs" / "reference" / "metrics.md"

#: Calls that make a metric, and the kind it is. `count` and `_count` are how owners of counters
#: call `Metrics.counter` with their own label.
MAKERS = {
    "counter": "counter",
    "count": "counter",
    "_count": "counter",
    "ByReason": "counter",
    "gauge": "gauge",
    "watch": "gauge",
    "histogram": "histogram",
}

INTRODUCTION = """\
# Metrics

Everything that Pierhead counts. Servers and clients have a `Metrics` in their attribute `metrics`,
or share one that is given to them as `metrics=`. `snapshot()` returns all as plain numbers,
`total(name, reason="idle")` the sum over all that have these labels.

```python
import asyncio

from pierhead import Server, connect
from pierhead.protocols import lines


async def shout(line, context):
    return line.upper()


async def main():
    async with Server(lines.serve(shout), "mem:b?name=shout") as server:
        async with connect("mem:b", lines.wire_format()) as client:
            await client.request("ahoy")
    assert server.metrics.total("requests_answered_total", listener="shout") == 1
    for name, number in server.metrics.snapshot().items():
        print(name, number)


asyncio.run(main())
```

Names that end in `_total` are counters, which only grow; `request_seconds` is a histogram; the
others are gauges. A name and listener have at most 256 sets of labels: what exceeds that is counted with the label values `other`.
[The path of a request](../explanation/the-path.md#the-outcomes-of-a-request) has the sum that the
counters of requests obey.

This page is written by `docs/generate_metrics.py` from the source (`make pages`).
"""

HEADINGS = {
    "server": (
        "Servers",
        "Labelled `listener`: the address, or the `name` given in it.",
    ),
    "client": ("Clients", "Labelled `client`: the address of the server."),
    "balance": ("Balance", "Labelled `upstream`: the name of the client."),
    "room": ("Rooms", "Labelled `room`: the name of the room; in the `metrics=` given to it."),
    "layer": ("Layers", "In the `metrics=` given to the layer, without a label of an owner."),
    "process": ("Processes", "Counted by `run` and by the commands that serve."),
}


class Found(NamedTuple):
    """Where a metric is made."""

    kind: str
    labels: set[str]
    files: set[str]


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/reference/metrics.md is not up to date; run: make pages", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    """Return the text of the page."""
    found = find_metrics(SOURCE)
    check_rows(found)
    parts = [INTRODUCTION]
    for owner, (heading, sentence) in HEADINGS.items():
        parts.append(f"## {heading}\n\n{sentence}\n")
        parts.append("\n".join(_table(owner, found)) + "\n")
    parts.append(
        "## Reasons\n\nThe values of the label `reason`; checks and programs may add others.\n"
    )
    parts.append(
        "The reasons of `requests_lost_total` are on the page of "
        "[the path](../explanation/the-path.md#the-outcomes-of-a-request); messages are also lost "
        "for the reason for which their connection or conversation has closed.\n"
    )
    parts += ["\n".join(_reasons(name)) + "\n" for name in REASONS]
    return "\n".join(parts)


def _table(owner: str, found: dict[str, Found]) -> Iterator[str]:
    yield "| metric | labels | what it counts | counted in |"
    yield "|---|---|---|---|"
    for name, row in METRICS.items():
        if owner in row.owners:
            labels = ", ".join(f"`{label}`" for label in sorted(found[name].labels))
            files = ", ".join(f"`{one}`" for one in sorted(found[name].files) if _is_of(owner, one))
            yield f"| `{name}` | {labels} | {row.meaning} | {files} |"


def _is_of(owner: str, file: str) -> bool:
    """Return whether a file counts for this owner; connections are counted by both sides."""
    others = {"server": ("client",), "client": ("server", "service")}
    return file.partition("/")[0] not in others.get(owner, ())


def _reasons(name: str) -> Iterator[str]:
    yield f"### Reasons of `{name}`\n"
    yield "| reason | when | limits |"
    yield "|---|---|---|"
    named = named_by_limits()
    for reason, meaning in REASONS[name].items():
        limits = [f"[`{one}`](limits.md#{one})" for one in named.get((name, reason), ())]
        yield f"| `{reason}` | {meaning} | {', '.join(limits)} |"


def find_metrics(source: Path) -> dict[str, Found]:
    """Return every metric that is made below a folder, by name."""
    found: dict[str, Found] = {}
    for file, tree in trees(source):
        for name, kind, labels in _made(tree):
            known = found.setdefault(name, Found(kind, set(), set()))
            known.labels.update(labels - {"listener", "client", "upstream"})
            known.files.add(file)
    return found


@cache
def trees(source: Path) -> list[tuple[str, ast.Module]]:
    """Return every file below a folder with its syntax."""
    paths = sorted(source.rglob("*.py"))
    return [
        (path.relative_to(source).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in paths
    ]


def _made(tree: ast.Module) -> Iterator[tuple[str, str, set[str]]]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    for call in calls:
        function = call.func
        maker = (
            function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        )
        # A local name for a method counts too: watch = metrics.watch.
        if maker not in MAKERS:
            continue
        texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
        names = [text for text in texts if isinstance(text, str) and _is_name(text)]
        if names:
            labels = {keyword.arg for keyword in call.keywords if keyword.arg}
            yield names[0], MAKERS[maker], labels | ({"reason"} if maker == "ByReason" else set())


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[a-z]+(_[a-z]+)+", text) is not None


def check_rows(found: dict[str, Found]) -> None:
    """Refuse a metric without a row, a row without a metric, and an owner without a heading."""
    assert OWNERS.keys() == HEADINGS.keys(), "every owner of metrics has a heading"
    for name in sorted(found.keys() - METRICS.keys()):
        files = ", ".join(sorted(found[name].files))
        raise SystemExit(
            f"{name}, counted in {files}, has no row; say what it counts in METRICS of "
            "src/pierhead/metrics_table.py"
        )
    if lost := sorted(METRICS.keys() - found.keys()):
        raise SystemExit(f"nothing counts {', '.join(lost)}; take the rows out of METRICS")


def named_by_limits() -> dict[tuple[str, str], list[str]]:
    """Return the limits that move a metric, by its name and reason; "" if they give no reason."""
    named: dict[tuple[str, str], list[str]] = {}
    for module in SECTIONS:
        for limit in importlib.import_module(module).LIMITS:
            for key in metrics_of(limit):
                known = named.setdefault(key, [])
                if limit.name not in known:
                    known.append(limit.name)
    return named


def metrics_of(limit: Limit) -> Iterator[tuple[str, str]]:
    """Give the metrics that a limit names, each with its reason or ""."""
    if not limit.metric.startswith("none"):
        for name, reasons in re.findall(r"([a-z_]+)(?:\{reason=([^}]*)\})?", limit.metric):
            if _is_name(name):
                yield from ((name, reason) for reason in re.split(r", | or ", reasons))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
