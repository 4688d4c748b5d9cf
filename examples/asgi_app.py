"""An ASGI application with uvicorn, on the addresses of the command line.

python asgi_app.py 127.0.0.1:8000 unix:./app.sock @app
"""

import sys

from pierhead import hosting, run


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await live(scope["state"], receive, send)
    elif scope["type"] == "http":
        scope["state"]["visits"].append(scope["path"])
        await answer(f"visit {len(scope['state']['visits'])}, from {scope['client']}\n", send)


async def live(state, receive, send):
    await receive()
    state["visits"] = []  # before the first address opens
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def answer(text, send):
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


run(hosting.uvicorn.serve(app), *(sys.argv[1:] or ["127.0.0.1:8000", "unix:./app.sock"]))
