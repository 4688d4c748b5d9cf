"""asyncio transports for connections that asyncio itself does not support."""
