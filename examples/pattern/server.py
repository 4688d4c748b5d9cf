"""A reader, a writer, and a channel between: for TCP and UDP, with one codec.

The sender is the channel: ten messages wait in it while the peer does not keep up. Any task may
hold it.
"""

import asyncio

from pierhead import Conversation, Json, Lines, Sender, WireFormat, converse, run


async def greet(writer: Sender[str]) -> None:  # a task that speaks unasked
    await writer.send("send a number")


async def session(conversation: Conversation[int, str]) -> None:
    reader, writer = conversation.split()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(greet(writer))
        async for number in reader:
            await writer.send(f"twice {number} is {2 * number}")


numbers = WireFormat(Lines(), Json(int), Json(str))
run(converse(session, numbers), "tcp:127.0.0.1:7000", "udp:127.0.0.1:7000")
