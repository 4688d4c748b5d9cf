"""An aiohttp application where `aiohttp.web.run_app` cannot go: on several addresses at once."""

from collections.abc import AsyncIterator

from aiohttp import WSMsgType, web

from pierhead import hosting, run

VISITS = web.AppKey("visits", dict[str, int])


async def count(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    visits = request.app[VISITS]
    visits[name] = visits.get(name, 0) + 1
    return web.Response(text=f"Hello {name}, visit {visits[name]}\n")


async def shout(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(heartbeat=30)
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data.upper())
    return ws


async def visits(app: web.Application) -> AsyncIterator[None]:
    app[VISITS] = {}  # opened before the first address, closed after the last request
    yield
    app[VISITS].clear()


app = web.Application()
app.router.add_get("/hello/{name}", count)
app.router.add_get("/shout", shout)
app.cleanup_ctx.append(visits)

run(hosting.aiohttp.serve(app), "127.0.0.1:8000", "unix:./app.sock?mode=0660")
