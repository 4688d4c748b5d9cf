"""granian serves this application on our addresses, in its own worker processes."""

from pierhead import hosting


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"hello, {scope['path']}\n".encode()})


if __name__ == "__main__":  # the workers import this file as well
    hosting.granian.run(
        "granian_app:app", "127.0.0.1:8000", "unix:./granian.sock?mode=0660", interface="asginl"
    )
