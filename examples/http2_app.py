"""An application by hypercorn: HTTP/2 without TLS for those who know, HTTP/1.1 for the others."""

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
