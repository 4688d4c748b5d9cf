"""The chat on two servers, with a real broker between them that is killed and comes back."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tests.examples.test_chat import client, server
from tests.interop.brokers import BROKERS, BrokerProcess


@pytest.mark.parametrize("kind", BROKERS)
def test_people_on_two_servers_meet_through_a_broker(kind: str, tmp_path: Path) -> None:
    with BrokerProcess(kind, tmp_path) as broker, contextlib.ExitStack() as stack:
        words = ["-l", "tcp:127.0.0.1:0", "--backplane", broker.url()]
        _, (one,) = stack.enter_context(server(tmp_path, *words))
        _, (other,) = stack.enter_context(server(tmp_path, *words))
        ada = stack.enter_context(client(tmp_path, one, "ada"))
        bob = stack.enter_context(client(tmp_path, other, "bob"))
        ada.until_heard("/who\n", "* here: ada, bob")
        ada.say("hello bob\n")
        bob.hears("ada: hello bob")
        broker.kill()
        ada.say("is it quiet?\n")
        ada.hears("ada: is it quiet?")
        broker.start()
        bob.hears("ada: is it quiet?")
        bob.say("not any more\n")
        ada.hears("bob: not any more")
        assert [line for line in bob.out if line.startswith("ada:")] == [
            "ada: hello bob",
            "ada: is it quiet?",
        ]
