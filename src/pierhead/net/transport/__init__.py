"""Transports of asyncio's kind over what asyncio has none for."""
