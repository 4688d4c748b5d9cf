from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

from peer import HOST, connect, get, post  # type: ignore[import-not-found]

from pierhead.protocols import http
from pierhead.protocols.http import Request, Response
from pierhead.protocols.http.serving.connection import HttpConnection
from pierhead.service.context import Context

A = "mem:a"


async def test_nothing_is_left_of_a_connection_that_has_ended(
    server: Any, monkeypatch: Any
) -> None:
    made: list[weakref.ref[HttpConnection]] = []
    init = HttpConnection.__init__

    def noted(self: HttpConnection, *given: Any) -> None:
        init(self, *given)
        made.append(weakref.ref(self))

    monkeypatch.setattr(HttpConnection, "__init__", noted)

    async def service(request: Request, context: Context) -> Response | str:
        if request.target == "/parts":

            async def parts() -> Any:
                yield b"a"

            return Response(200, parts())
        return str(len(await request.body.read(100)))

    await server(http.serve(service), A)
    gc.collect()
    gc.disable()
    try:
        whole = get() + post(b"abc") + get(b"/parts", HOST + b"Connection: close\r\n")
        half = get(fields=HOST + b"Content-Length: 9\r\n", method=b"POST") + b"abc"
        for octets in (whole, half, b"junk\r\n\r\n", half[:20]):
            peer = await connect(A)
            peer.send(octets)
            peer.end()
            await peer.all()
            peer.transport.abort()
            peer = None
        peer = await connect(A)
        peer.send(half)
        await asyncio.sleep(0.01)
        peer.transport.abort()
        await asyncio.sleep(5)
        assert len(made) == 5
        assert [one() for one in made] == [None] * 5
    finally:
        gc.enable()
