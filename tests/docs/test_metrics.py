"""The page of metrics has everything that is counted, and nothing else."""

from __future__ import annotations

import ast
import asyncio
import importlib
import re

import pytest
from tests.docs.generators import load_generator

from pierhead import Balance, Metrics, Server, connect
from pierhead.protocols import lines


@pytest.fixture(scope="module")
def generator():
    return load_generator("generate_metrics")


def literal_reasons(trees, methods: set[str]) -> set[str]:
    """Return the texts that are given to these methods anywhere in the source."""
    found = set()
    for _, tree in trees:
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in methods:
                first = call.args[0] if call.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


def test_the_page_is_up_to_date(generator, capsys) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_says_something_else_is_refused(
    generator, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(generator, "PAGE", tmp_path / "metrics.md")
    generator.PAGE.write_text("Count what you like.\n")

    assert generator.main(["--check"]) == 1
    assert "run: make pages" in capsys.readouterr().err


def test_a_metric_of_the_source_without_a_row_is_refused(generator, tmp_path) -> None:
    (tmp_path / "new.py").write_text(
        'metrics.counter("rows_forgotten_total", listener=name, colour="red")\n'
    )
    found = generator.find_metrics(tmp_path)

    assert found["rows_forgotten_total"].labels == {"colour"}
    with pytest.raises(SystemExit, match=r"rows_forgotten_total, counted in new\.py, has no row"):
        generator.check_rows(found)


def test_a_row_without_a_metric_is_refused(generator, tmp_path) -> None:
    found = generator.find_metrics(generator.SOURCE)
    del found["requests_total"]

    with pytest.raises(SystemExit, match="nothing counts requests_total"):
        generator.check_rows(found)


def test_what_servers_and_clients_count_is_on_the_page_with_its_labels(generator) -> None:
    metrics = Metrics()

    async def use() -> None:
        wire = lines.wire_format()
        async with Server(
            lines.serve(lines.echo), "mem:b?name=b", "memgram:c", metrics=metrics
        ) as server:
            client = connect("mem:b", wire, metrics=metrics)
            async with Balance([client], metrics=metrics) as balance:
                await balance.request("ahoy")
            async with connect("memgram:c", wire, metrics=metrics) as datagrams:
                await datagrams.request("ahoy")
            assert server.metrics is metrics

    asyncio.run(use())
    found = generator.find_metrics(generator.SOURCE)
    counted = [re.fullmatch(r"(\w+)\{(.*)\}", one).groups() for one in metrics.snapshot()]

    assert {name for name, _ in counted} > {"requests_total", "frames_sent_total", "batches_total"}
    for name, labels in counted:
        keys = set(re.findall(r'(\w+)="', labels))
        owners = {generator.OWNERS[owner] for owner in generator.METRICS[name].owners}
        assert len(keys & owners) == 1, name
        assert keys - owners <= found[name].labels, name


def test_what_limits_name_is_counted(generator) -> None:
    for module in generator.SECTIONS:
        for limit in importlib.import_module(module).LIMITS:
            for name, reason in generator.metrics_of(limit):
                assert name in generator.METRICS, limit
                assert not reason or name == "requests_lost_total" or (
                    reason in generator.REASONS[name]
                ), limit


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("dropped_total", {"dropped"}),
        ("requests_failed_total", {"failed"}),
        ("connections_closed_total", {"closed"}),
    ],
)
def test_reasons_of_the_source_are_on_the_page(generator, name, methods) -> None:
    found = literal_reasons(generator.trees(generator.SOURCE), methods)

    assert found
    assert found <= generator.REASONS[name].keys()
