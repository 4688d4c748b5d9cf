"""An application with hypercorn: HTTP/2 without TLS by prior knowledge, HTTP/1.1 otherwise."""

import sys

from pierhead import hosting, run


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError(f"there is no {scope['type']} here")
    text = f"{scope['path']} by HTTP/{scope['http_version']}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


run(hosting.hypercorn.serve(app), *(sys.argv[1:] or ["127.0.0.1:8000", "unix:./http2.sock"]))
