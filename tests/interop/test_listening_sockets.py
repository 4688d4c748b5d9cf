"""Servers of others that take sockets, on sockets of ours: one over TCP, one on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import threading
from pathlib import Path

import aiohttp.web
import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn

from pierhead import listening_sockets


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await receive()
    length = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": b"hello"})


def get(sock: socket.socket) -> bytes:
    """Request a page from the server of this socket."""
    with socket.socket(sock.family) as client:
        client.settimeout(20)
        client.connect(sock.getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(1000), b""))


@contextlib.asynccontextmanager
async def by_uvicorn(sockets):
    server = uvicorn.Server(uvicorn.Config(asgi, lifespan="off", log_level="critical"))
    serving = asyncio.create_task(server.serve(sockets=sockets))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def by_hypercorn(sockets):
    config = hypercorn.config.Config()
    config.bind = [f"fd://{sock.detach()}" for sock in sockets]  # it closes them itself
    stop = asyncio.Event()
    serving = asyncio.create_task(hypercorn.asyncio.serve(asgi, config, shutdown_trigger=stop.wait))
    try:
        yield
    finally:
        stop.set()
        await serving


@contextlib.asynccontextmanager
async def by_aiohttp(sockets):
    async def hello(request):
        return aiohttp.web.Response(text="hello")

    application = aiohttp.web.Application()
    application.router.add_get("/", hello)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    for sock in sockets:
        await aiohttp.web.SockSite(runner, sock).start()
    try:
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def by_socketserver(sockets):
    """The standard library's, which blocks: one thread for each socket."""

    class Hello(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nhello")

    servers, threads = [], []
    for sock in sockets:
        server = socketserver.BaseServer(sock.getsockname(), Hello)
        server.socket, server.fileno = sock, sock.fileno
        server.get_request = sock.accept
        server.shutdown_request = lambda request: request.close()
        servers.append(server)
        threads.append(threading.Thread(target=server.serve_forever, args=(0.01,)))
        threads[-1].start()
    try:
        yield
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "served", [by_uvicorn, by_hypercorn, by_aiohttp, by_socketserver], ids=lambda one: one.__name__
)
async def test_a_server_that_takes_sockets_serves_ours(served, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening_sockets("127.0.0.1:0", f"unix:{path}?mode=0600") as listening:
        copies = [sock.dup() for sock in listening.sockets]
        with contextlib.ExitStack() as stack:
            for copy in copies:
                stack.enter_context(copy)
            async with served(listening.sockets):
                for copy in copies:
                    answer = await asyncio.to_thread(get, copy)
                    assert answer.startswith(b"HTTP/1.1 200")
                    assert answer.endswith(b"hello")
    assert list(tmp_path.iterdir()) == []
