"""What a room passes on, kept."""

from __future__ import annotations

from typing import Any

from pierhead import Room

__all__ = ["Hearing"]


class Hearing:
    """Keeps what a room passes on."""

    def __init__(self, room: Room[str]) -> None:
        self.room = room
        self.heard: list[str] = []
        original = room._pass_on

        async def pass_on(message: str, but: Any = None) -> None:
            self.heard.append(message)
            await original(message, but)

        room._pass_on = pass_on  # type: ignore[method-assign]

    def of(self, name: str) -> list[int]:
        return [int(text[1:]) for text in self.heard if text.startswith(name)]

    def total(self, name: str) -> float:
        return self.room.metrics.total(name)
