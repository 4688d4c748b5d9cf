"""Services that several examples share; a service is just a function, so it can be imported."""

from pierhead import Context


async def shout(line: str, context: Context) -> str:
    return line.upper()
