"""The page of limits has every limit there is, and functions have the defaults it says."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from types import ModuleType

import pytest
from tests.processes import ROOT

from pierhead.service.admission.rate import per_source_rate
from pierhead.middleware.limit import limit
from pierhead.middleware.timeout import timeout
from pierhead.protocols.dns.middleware.rate_limit import rate_limit

GENERATOR = ROOT / "docs" / "generate_limits.py"
SOURCE = ROOT / "src"


def declaring() -> list[str]:
    """Return the modules that declare limits, as their sources say."""
    return [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in sorted(SOURCE.rglob("*.py"))
        if re.search(r"^LIMITS\b.*=", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def sections() -> dict[str, list[str]]:
    """Return the headings of the limits below the heading of each module, in order."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "reference" / "limits.md").read_text().splitlines():
        if heading := re.fullmatch(r"## .* in `([\w.]+)`", line):
            names = found[heading[1]] = []
        elif heading := re.fullmatch(r"### `(\w+)`", line):
            names.append(heading[1])
    return found


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, GENERATOR, "--check"], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_a_page_that_says_something_else_is_refused(tmp_path) -> None:
    copy = tmp_path / GENERATOR.name
    copy.write_text(GENERATOR.read_text())
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "limits.md").write_text("There are no limits.\n")

    done = subprocess.run([sys.executable, copy, "--check"], capture_output=True, text=True)

    assert done.returncode == 1
    assert "run: make limits" in done.stderr


def test_every_module_that_declares_limits_has_a_heading_and_the_servers_come_first() -> None:
    assert sorted(sections()) == declaring()
    assert next(iter(sections())) == "pierhead.server.options"


@pytest.mark.parametrize("name", declaring())
def test_every_limit_is_on_the_page_and_has_a_metric_or_says_why_not(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    counted = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)

    assert sections()[name] == [one.name for one in module.LIMITS]
    for one in module.LIMITS:
        metric = re.match(r"none: \w|\w+", one.metric)
        assert metric, one.name
        assert metric[0].startswith("none: ") or metric[0] in counted, one.name
        assert one.source, one.name
        assert one.effect, one.name


@pytest.mark.parametrize("function", [limit, timeout, per_source_rate, rate_limit])
def test_what_is_left_out_of_a_call_has_the_default_on_the_page(function) -> None:
    limits = importlib.import_module(function.__module__).LIMITS
    parameters = list(inspect.signature(function).parameters.values())[: len(limits)]

    assert [one.default for one in parameters] == [one.default for one in limits]
