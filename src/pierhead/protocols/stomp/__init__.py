"""STOMP 1.2's frames; their meaning is left to the service.

async def answer(frame: stomp.Frame, context: Context) -> stomp.Frame:
    return stomp.Frame("RECEIPT", (("receipt-id", frame.header("receipt") or ""),))

run(serve(answer, stomp.wire_format()), "tcp:127.0.0.1:61613")
"""

from pierhead.protocols.stomp.wire import Frame, wire_format

__all__ = ["Frame", "wire_format"]
