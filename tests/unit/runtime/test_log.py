"""How a line of the log looks: one record, one line, in every format."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.clock import SystemClock
from pierhead.middleware import access_log
from pierhead.runtime.log import (
    LOG_FORMATS,
    BestEffortHandler,
    LogFormat,
    LogLines,
    log_to_standard_error,
)
from pierhead.runtime.say import say
from pierhead.service.context import Context, Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")


@contextmanager
def logging_to(stream: io.StringIO, form: str, level: str = "warning") -> Iterator[None]:
    """Configure the root logger as the command line does, for a while."""
    root, before = logging.getLogger(), (sys.stderr, logging.getLogger().level)
    handlers, root.handlers = root.handlers, []
    sys.stderr = stream
    try:
        log_to_standard_error(cast(LogFormat, form), level)
        yield
    finally:
        root.handlers = handlers
        sys.stderr, root.level = before


def written(form: str, *arguments: Any, level: int = logging.WARNING, **more: Any) -> str:
    stream = io.StringIO()
    with logging_to(stream, form, "debug"):
        logging.getLogger("test.log").log(level, *arguments, **more)
    return stream.getvalue()


def test_the_same_record_in_every_format() -> None:
    fields = {"peer": "a b", "ms": 1.5, "level": "forged"}
    arguments = ("%s was\nhere", "peer=1 \x1b[2J")

    assert written("console", *arguments) == "WARNING test.log: peer=1 \\x1b[2J was\n  here\n"
    record = json.loads(written("json", *arguments, extra={"fields": fields}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert record == {
        "level": "warning",
        "logger": "test.log",
        "message": "peer=1 \x1b[2J was\nhere",
        "peer": "a b",
        "ms": 1.5,
    }
    line = written("logfmt", *arguments, extra={"fields": fields})
    assert line.partition(" ")[2] == (
        'level=warning logger=test.log message="peer=1 \\x1b[2J was\\nhere" peer="a b" ms=1.5\n'
    )


@given(st.text(), st.sampled_from(["json", "logfmt"]))
def test_no_text_makes_more_than_one_line_or_leaves_ascii(text: str, form: str) -> None:
    line = written(form, "%s", text, extra={"fields": {"peer": text}})

    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert line.isascii()
    assert line[:-1].isprintable()
    if form == "json":
        read = json.loads(line)
        assert read["message"] == read["peer"] == text


@given(st.text())
def test_on_the_console_no_text_can_begin_a_line(text: str) -> None:
    first, *others = written("console", "%s", text).removesuffix("\n").split("\n")

    assert first.startswith("WARNING test.log: ")
    assert all(line.startswith("  ") for line in others)
    assert all(line.isprintable() for line in (first, *others))


def test_a_traceback_is_a_field_or_is_indented() -> None:
    try:
        raise ValueError("bad\x1b")
    except ValueError:
        record = json.loads(written("json", "failed", exc_info=True))
        console = written("console", "failed", exc_info=True)
    assert record["traceback"].endswith("ValueError: bad\x1b")
    assert console.endswith("\n  ValueError: bad\\x1b\n")


def test_levels_are_obeyed_and_a_program_s_own_configuration_stays() -> None:
    stream = io.StringIO()
    with logging_to(stream, "console", "error"):
        logging.getLogger("test.log").warning("no")
        logging.getLogger("test.log").error("yes")
        log_to_standard_error("json", "debug")
        logging.getLogger("test.log").error("again")
    assert stream.getvalue() == "ERROR test.log: yes\nERROR test.log: again\n"


def test_arguments_that_do_not_fit_are_left_to_logging(monkeypatch) -> None:
    told = []
    monkeypatch.setattr(BestEffortHandler, "handleError", lambda self, record: told.append(1))
    for form in LOG_FORMATS:
        assert written(form, "%d", "x") == ""
    assert len(told) == len(LOG_FORMATS)


def test_lines_for_people_become_records() -> None:
    stream = io.StringIO()
    lines = cast(Any, LogLines("json", stream))
    say("ready tcp:127.0.0.1:7000 " + "x" * 3000, lines)
    say("warning: a\nlost 1 accepted request", lines)

    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(one["level"], one["message"][:8]) for one in records] == [
        ("info", "ready tc"),
        ("warning", "warning:"),
        ("warning", "lost 1 a"),
    ]


@pytest.mark.parametrize("form", ["json", "logfmt"])
async def test_the_access_log_has_its_fields(form: str) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("test.access")
    logger.setLevel(logging.INFO)

    async def shout(frame: bytes, context: Context) -> bytes:
        return frame.upper() * 2

    with logging_to(stream, form):
        logged = access_log(logger, SystemClock())(shout)
        await logged(b"ahoy", Context(Peer('x" y'), 0.0, VIA))

    text = stream.getvalue()
    if form == "json":
        record = json.loads(text)
        assert {key: record[key] for key in ("peer", "via", "outcome", "in", "out")} == {
            "peer": 'x" y',
            "via": "mem:a",
            "outcome": "answered",
            "in": 4,
            "out": 8,
        }
    else:
        assert 'peer="x\\" y" via=mem:a outcome=answered replies=1 ms=' in text
        assert text.endswith(" in=4 out=8\n")
