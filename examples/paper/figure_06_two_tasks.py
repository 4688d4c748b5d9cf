"""Figure 6: two functions wait at the same time, and the shorter wait ends first."""

import asyncio


async def first() -> None:
    print("Started task1")
    await asyncio.sleep(0.5)
    print("Finished task1")


async def second() -> None:
    print("Started task2")
    await asyncio.sleep(0.3)
    print("Finished task2")


async def main() -> None:
    await asyncio.gather(first(), second())


asyncio.run(main())
