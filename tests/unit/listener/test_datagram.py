from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from pierhead.address import ListenSpec
from pierhead.listener.open import open_listeners


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_readable_is_called_until_drained_and_not_after_stop(factory):
    async def main():
        (listener,) = await open_listeners(ListenSpec.parse("udp:127.0.0.1:0"))
        port = int(listener.local.rpartition(":")[2])
        taken = []
        done = asyncio.Event()

        def on_readable():
            taken.append(listener.receive_batch(1))
            if len(taken) == 3:
                listener.stop()
                done.set()

        listener.start(on_readable)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for payload in (b"1", b"2", b"3", b"4"):
                client.sendto(payload, ("127.0.0.1", port))
            await asyncio.wait_for(done.wait(), 10)
        assert [payload for ((payload, _),) in taken] == [b"1", b"2", b"3"]
        assert listener.receive_batch(8)[0][0] == b"4"
        listener.close()
        listener.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
