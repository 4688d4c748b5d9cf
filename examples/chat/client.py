"""A chat client: what is typed is said, and what others say is shown.

python client.py tcp:127.0.0.1:7000 ada
python client.py 'tls+tcp:127.0.0.1:7001?ca=chat.pem' ada
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from protocol import ANSWERS, LINES

from pierhead import connect, console
from pierhead.errors import PierheadError
from pierhead.printable import printable


async def chat(address: str, name: str) -> None:
    client = connect(address, LINES, idle_timeout="off")
    async with client.conversation(liveness=ANSWERS) as server:
        if address.startswith("udp"):
            await server.send("hello")
            await server.send((await server.receive()).text)  # the token: we are who we say
        await server.send(name)
        async for event in console.talk(server, exit_word="/quit"):
            print(printable(event.text), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="A chat client.")
    parser.add_argument("address", help="of the server, such as tcp:127.0.0.1:7000")
    parser.add_argument("name")
    given = parser.parse_args()
    try:
        asyncio.run(chat(given.address, given.name))
    except PierheadError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
