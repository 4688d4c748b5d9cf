"""A loop that is blocked is noticed, named and counted; one that is not, beats."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

from pierhead import Metrics
from pierhead.runtime import pulse
from pierhead.runtime.pulse import Pulse


class Dozing:
    """JSON that takes a while, through a library."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def dump(self, value: object) -> str:
        time.sleep(self.seconds)
        return ""


async def test_a_blocked_loop_is_named_once_and_counted(monkeypatch, caplog) -> None:
    monkeypatch.setattr(pulse, "BLOCKED_S", 0.1)
    monkeypatch.setattr(pulse, "_BEAT_S", 0.02)
    monkeypatch.setattr(pulse, "_OWN", "/where/pierhead/is")
    metrics, beats = Metrics(), []

    async def service() -> None:
        json.dumps([object()], default=Dozing(0.4).dump)

    with caplog.at_level(logging.WARNING), Pulse(metrics, lambda: beats.append(1)):
        await asyncio.sleep(0.05)
        before = len(beats)
        await service()
        assert len(beats) == before  # a sign of life comes from the loop alone
        await asyncio.sleep(0.05)
        assert len(beats) > before

    blocked, over = caplog.messages
    assert blocked.startswith("the event loop is blocked by Dozing.dump (")
    assert over.startswith("the event loop was blocked for 0.")
    assert metrics.total("loop_blocked_total") == 1
    assert 0.3 < metrics.total("loop_blocked_seconds_total") < 5


async def test_a_loop_that_answers_is_not_warned_of(monkeypatch, caplog) -> None:
    monkeypatch.setattr(pulse, "_BEAT_S", 0.01)
    metrics, beats = Metrics(), []
    with caplog.at_level(logging.WARNING), Pulse(metrics, lambda: beats.append(1), within_s=0.02):
        await asyncio.sleep(0.05)

    assert len(beats) >= 2
    assert caplog.messages == []
    assert metrics.total("loop_blocked_total") == 0


def test_the_service_is_the_function_that_pierhead_called(monkeypatch) -> None:
    """`served` stands for a function of Pierhead's, by the name of its file."""
    monkeypatch.setattr(pulse, "_OWN", "/pierhead/")
    names = {"held": pulse._holder, "frame": sys._getframe}
    exec(compile("def inner():\n    return held(frame(0))", "/site/library.py", "exec"), names)
    exec(compile("def outer():\n    return inner()", "/home/service.py", "exec"), names)
    exec(compile("def served():\n    return outer()", "/pierhead/respond.py", "exec"), names)

    said = names["served"]()
    assert said == "outer (/home/service.py:2), now at inner (/site/library.py:2)"
    assert names["inner"]() == "inner (/site/library.py:2)"


def test_a_thread_that_has_ended_is_not_described() -> None:
    assert pulse._holder(None) == "what cannot be seen"
