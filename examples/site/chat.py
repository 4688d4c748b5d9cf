"""A chat for `pierhead run`: the first line of each is a name, all read what each says."""

from pierhead import Conversation, Room

room = Room[str](history=10)


async def chat(conversation: Conversation[str, str]) -> None:
    name = await conversation.receive()
    async with room.join(conversation, name=name):
        async for line in conversation:
            await room.send(f"{name}: {line}")
