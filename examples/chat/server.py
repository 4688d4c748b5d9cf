"""A chat server, alone or one of several.

python server.py -l tcp:127.0.0.1:7000 -l unix:./chat.sock -l udp:127.0.0.1:7000
python server.py -l 'tls+tcp:127.0.0.1:7001?cert=chat.pem'
python server.py -l … --backplane peers --listen-peers tcp:10.0.0.1:7100 --peer tcp:10.0.0.2:7100
python server.py -l … --backplane redis://127.0.0.1:6379
python server.py -l … --backplane nats://127.0.0.1:4222
"""

from __future__ import annotations

import argparse
import secrets
from typing import Any

from presence import Presence
from protocol import HELP, LINES, Event, pings

from pierhead import Application, Conversation, Json, Room, Transport, converse, run
from pierhead.backplane import jetstream, peers, redis_streams
from pierhead.connection.room import Member
from pierhead.errors import UsageError

MOST_LETTERS = 20


class Chat:
    """The room, and what its people can do."""

    def __init__(self, backplane: Any, history: int) -> None:
        self.presence = Presence(backplane, secrets.token_hex(4), every=2.0)
        self.room = Room[Event]("chat", history=history, backplane=self.presence)

    async def converse(self, conversation: Conversation[str, Event]) -> None:
        """Speak with one of them."""
        if conversation.via.transport is Transport.DATAGRAM and not await is_there(conversation):
            return
        while (fault := self.fault_of(name := (await conversation.receive()).strip())) is not None:
            await conversation.send(Event("told", text=fault))
        self.presence.add(name)
        try:
            async with self.room.join(conversation, name=name) as member:
                await self.room.send(Event("told", text=f"{name} has come"))
                await self.listen(conversation, member)
        finally:
            self.presence.remove(name)
            await self.room.send(Event("told", text=f"{name} has gone"))

    def fault_of(self, name: str) -> str | None:
        """Return what is wrong with a name; None if it is free."""
        if not (name.isprintable() and name.isidentifier() and len(name) <= MOST_LETTERS):
            return f"a name has 1 to {MOST_LETTERS} letters and digits, and begins with a letter"
        if name in self.presence.everybody():
            return f"{name} is here already; choose another name"
        return None

    async def listen(self, conversation: Conversation[str, Event], member: Member[Event]) -> None:
        """Do what is asked, and pass on what is said."""
        async for line in conversation:
            command = line.strip().partition(" ")[0]
            match command:
                case "":
                    pass
                case "/who":
                    names = ", ".join(self.presence.everybody())
                    await member.send(Event("told", text=f"here: {names}"))
                case "/quit":
                    return
                case _ if command.startswith("/"):
                    await member.send(Event("told", text=HELP))
                case _ if line.isprintable():
                    await self.room.send(Event("said", who=member.name, text=line.strip()))
                case _:
                    await member.send(Event("told", text="a line has control characters"))


async def is_there(conversation: Conversation[str, Event]) -> bool:
    """Find out whether a datagram's sender gets what it is sent: its address may be forged."""
    token = f"TOKEN {secrets.token_hex(4)}"
    await conversation.receive()
    await conversation.send(Event("raw", text=token))
    return await conversation.receive() == token


def backplane_of(given: argparse.Namespace) -> Any:
    """Return what connects this server with others."""
    codec = Json(Event)
    if given.backplane is None:
        return None
    if given.backplane == "peers":
        return peers(*given.peer, listen=given.listen_peers, codec=codec)
    make = jetstream if given.backplane.startswith("nats") else redis_streams
    return make(given.backplane, codec=codec)


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat server.")
    parser.add_argument("-l", "--listen", action="append", required=True, metavar="ADDR")
    parser.add_argument("--backplane", help="peers, redis://… or nats://…; none for one server")
    parser.add_argument(
        "--listen-peers", metavar="ADDR", help="where other servers follow this one"
    )
    parser.add_argument("--peer", action="append", default=[], metavar="ADDR")
    parser.add_argument("--history", type=int, default=20, help="messages for who comes")
    parser.add_argument("--ping", type=float, default=30.0, help="seconds of silence before a ping")
    given = parser.parse_args()
    if (given.backplane == "peers") != (given.listen_peers is not None):
        parser.error("--backplane peers and --listen-peers ADDR belong together")
    try:
        chat = Chat(backplane_of(given), given.history)
        endpoint = converse(chat.converse, LINES, liveness=pings(given.ping), name="chat")
    except UsageError as error:
        parser.error(str(error))
    run(Application(endpoints=[(endpoint, given.listen)], resources=[chat.room]))


if __name__ == "__main__":
    main()
