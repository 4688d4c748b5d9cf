"""When a protocol is asked to pause writing, and when to go on."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.net.transport.flow import FlowControl


class Writer(asyncio.Protocol):
    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Raises(asyncio.Protocol):
    def pause_writing(self) -> None:
        raise ValueError("mistake")


class Below(asyncio.Transport):
    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol, self.waiting = protocol, 0

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return self.waiting


@pytest.mark.parametrize(
    ("high", "low", "marks"),
    [
        (None, None, (16_384, 65_536)),
        (1000, None, (250, 1000)),
        (None, 1000, (1000, 4000)),
        (10, 10, (10, 10)),
        (0, 0, (0, 0)),
    ],
)
def test_marks_that_are_not_given_are_made_as_asyncio_makes_them(high, low, marks) -> None:
    flow = FlowControl()

    flow.set_limits(high, low)

    assert (flow.low, flow.high) == marks


@pytest.mark.parametrize(("high", "low"), [(10, 11), (10, -1), (-1, None)])
def test_marks_in_the_wrong_order_are_refused_and_change_nothing(high, low) -> None:
    flow = FlowControl()

    with pytest.raises(ValueError, match="must be >="):
        flow.set_limits(high, low)

    assert (flow.low, flow.high) == (16_384, 65_536)


def test_a_protocol_is_notified_only_when_a_limit_is_crossed() -> None:
    flow, protocol = FlowControl(), Writer()
    below = Below(protocol)
    flow.set_limits(10, 5)

    for below.waiting in (10, 11, 12, 6, 5, 0, 10, 11):
        flow.update(below)

    assert protocol.told == ["pause", "resume", "pause"]


async def test_an_exception_of_a_protocol_is_reported_and_ignored() -> None:
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    flow, below = FlowControl(), Below(Raises())
    below.waiting = 100_000

    flow.update(below)

    assert flow.is_paused
    assert [str(context["exception"]) for context in told] == ["mistake"]
