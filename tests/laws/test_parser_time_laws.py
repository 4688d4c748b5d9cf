"""Every parser takes linear time, for the most expensive input that is known."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import pytest
from tests.laws.expensive_shapes import CONSTANT, LARGE, SHAPES, Shape, hello, octetwise

from pierhead.codec.client_hello import ClientHello, read_client_hello
from pierhead.codec.proxy_header import ProxyHeaderReader
from pierhead.testing.counted import Work, steps
from pierhead.testing.laws import LawBroken, check_growth


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_parsing_takes_linear_time(shape: Shape) -> None:
    size = min(shape.size, 1024 if shape.name in LARGE else 512)
    first, _, last = check_growth(shape.read, shape.make, size=size)
    assert (last - first < 50) == (shape.name in CONSTANT), (first, last)


def test_every_shape_has_a_unique_name() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert {shape.name for shape in SHAPES} >= CONSTANT | LARGE


def test_data_after_a_proxy_header_is_copied_a_bounded_number_of_times() -> None:
    stream = b"PROXY UNKNOWN\r\n" + bytes(4000)
    reader = ProxyHeaderReader()
    work = Work(reader)
    for octet in octetwise(stream):
        reader.feed(octet)
        work.instrument()
    assert reader.rest == bytes(4000)
    assert work.octets <= 8 * len(stream)


@pytest.mark.parametrize("records", [1, 2, 4])
def test_a_client_hello_in_single_octets_is_joined_once(records: int) -> None:
    stream = hello(8000, records=records)
    work = Work(object())
    received = work.counting(bytearray())
    found = None
    for octet in octetwise(stream):
        received += octet
        found = read_client_hello(received)
    assert found == ClientHello()
    # Only the headers of four records and of the message are examined each time.
    assert work.octets <= 32 * len(stream)


# --- the law catches parsers that break it
# --------------------------------------------------------------


def squared(data: bytes) -> None:
    for end in range(len(data)):
        for _ in data[:end]:
            pass


def squared_in_a_comprehension(data: bytes) -> None:
    for end in range(len(data)):
        [octet + 1 for octet in data[:end]]


def squared_in_a_generator(data: bytes) -> None:
    for end in range(len(data)):
        sum(octet for octet in data[:end])


def in_one_pass(data: bytes) -> None:
    for _ in data:
        pass


@pytest.mark.parametrize("read", [squared, squared_in_a_comprehension, squared_in_a_generator])
def test_a_parser_that_rescans_everything_breaks_the_law(read: Any) -> None:
    with pytest.raises(LawBroken, match="steps"):
        check_growth(read, bytes, size=64)


def test_work_that_comes_once_is_no_growth() -> None:
    """As when a cache is emptied by others: the fourth call is the largest one measured."""
    calls = itertools.count(1)

    def read(data: bytes) -> None:
        in_one_pass(data * (20 if next(calls) == 4 else 1))

    check_growth(read, bytes)
    assert next(calls) == 8


def test_a_single_pass_parser_obeys_the_law() -> None:
    check_growth(in_one_pass, bytes)


def test_what_the_collector_calls_is_no_step() -> None:
    def watch(phase: str, info: object) -> None:
        assert phase

    gc.callbacks.append(watch)  # as hypothesis does
    try:
        assert steps(lambda: [[] for _ in range(3000)]) <= 3010
    finally:
        gc.callbacks.remove(watch)


def test_steps_are_lines_and_calls() -> None:
    assert steps(lambda: None) == 2  # the call, and its line
    assert 100 <= steps(lambda: in_one_pass(bytes(50))) <= 110
