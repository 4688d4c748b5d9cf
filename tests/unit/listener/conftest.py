"""Opens listeners that are closed at the end of the test."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from pierhead.address import ListenSpec
from pierhead.listener.open import open_all


@pytest.fixture
def opened():
    """A function that opens addresses as one group; a str gives a list of listeners."""
    listeners = []

    async def open_them(*addresses, **arguments):
        group = tuple(ListenSpec.parse(address) for address in addresses)
        new = await open_all([group], **arguments)
        listeners.extend(new)
        return new

    yield open_them
    for listener in listeners:
        listener.close()


@pytest.fixture
async def stack():
    """Closes what a test enters."""
    async with AsyncExitStack() as entered:
        yield entered
