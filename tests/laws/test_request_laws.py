"""No caller ever gets another's reply, whatever the network, the server and the callers do.

Over streams and datagrams, in order and by identifier, requests are delayed, lost, doubled,
overtaken, given up and timed out, and connections are cut. Each request ends, with its own reply or
with an error of ours; in the end nothing is in flight, and every request is counted once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import ById, Client, Context, Json, Lines, Server, WireFormat, connect, serve
from pierhead.errors import PierheadError
from pierhead.net.memory import Network
from pierhead.protocols import lines
from pierhead.testing.clock import HeldLoop


class Ask(NamedTuple):
    id: int
    text: str


BY_ID = WireFormat(Lines(), Json(Ask), matching=ById.field("id", range(8)))
IN_ORDER = lines.wire_format()

Call = Callable[[Client[Any, Any], str, float], Awaitable[str]]


async def ask_in_order(client: Client[Any, Any], text: str, timeout_s: float) -> str:
    return str(await client.request(text, timeout=timeout_s))


async def ask_by_id(client: Client[Any, Any], text: str, timeout_s: float) -> str:
    return str((await client.request(Ask(0, text), timeout=timeout_s)).text)


class Step(NamedTuple):
    """One request: how long the server takes, when the caller loses patience, and what then."""

    server_s: float
    patience_s: float
    is_cancelled: bool
    pause_s: float
    cut: bool


seconds = st.sampled_from([0.0, 0.01, 0.05, 0.3])
steps = st.lists(
    st.builds(
        Step,
        server_s=seconds,
        patience_s=st.sampled_from([0.02, 0.2, 2.0]),
        is_cancelled=st.booleans(),
        pause_s=st.sampled_from([0.0, 0.0, 0.03]),
        cut=st.sampled_from([False] * 9 + [True]),
    ),
    min_size=1,
    max_size=8,
)


async def converse(
    plan: list[Step], address: str, by_id: bool, faults: tuple[float, float, float], seed: int
) -> None:
    wire, call = (BY_ID, ask_by_id) if by_id else (IN_ORDER, ask_in_order)

    async def answer_text(text: str, context: Context) -> str:
        await asyncio.sleep(float(text.partition(" ")[2]))
        return text

    async def answer_ask(asked: Ask, context: Context) -> Ask:
        return Ask(asked.id, await answer_text(asked.text, context))

    service: Any = answer_ask if by_id else answer_text
    network = Network.current()
    names = [f"client-{number}" for number in range(1, 14)]
    for name in names:
        link = network.between(name, "b").delay(0.005, jitter=faults[2], seed=seed)
        link.lose(faults[0], seed=seed).duplicate(faults[1], seed=seed).reorder(0.2, seed=seed)
    async with Server(serve(service, wire), address):
        async with connect(address, wire, max_connections=2) as client:
            calls = []
            for number, step in enumerate(plan):
                calls.append(asyncio.ensure_future(one(client, call, number, step)))
                await asyncio.sleep(step.pause_s)
                if step.cut:
                    network.between(names[0], "b").cut().heal()
            await asyncio.gather(*calls)
        check(client, len(plan))


async def one(client: Client[Any, Any], call: Call, number: int, step: Step) -> None:
    text = f"{number} {step.server_s}"
    asked = asyncio.ensure_future(call(client, text, 3.0 if step.is_cancelled else step.patience_s))
    if step.is_cancelled:
        asyncio.get_running_loop().call_later(step.patience_s, asked.cancel)
    try:
        assert await asked == text
        met("answered")
    except asyncio.CancelledError:
        met("cancelled")
    except PierheadError:
        met("failed")


def check(client: Client[Any, Any], requests: int) -> None:
    """Every request and every connection has ended, and is counted once."""
    total = client.metrics.total
    assert total("requests_total") == requests
    assert total("requests_answered_total") + total("requests_failed_total") == requests
    assert total("connections_open") == 0
    assert total("connects_total") == total("connections_closed_total")


@shares(answered=0.3, cancelled=0.02, failed=0.02)
@settings(max_examples=40)
@given(
    plan=steps,
    address=st.sampled_from(["mem:b", "memgram:b"]),
    by_id=st.booleans(),
    faults=st.tuples(
        st.sampled_from([0.0, 0.2]), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.02])
    ),
    seed=st.integers(0, 99),
)
def test_each_reply_reaches_its_own_request_or_nobody(
    plan: list[Step], address: str, by_id: bool, faults: tuple[float, float, float], seed: int
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(converse(plan, address, by_id, faults, seed))
