"""Loops over listeners: bytes in, bytes out; they know no protocol.

listener/ ─▶ server.py ─▶ datagram.py ─────────────▶ request.py ─▶ FrameHandler
                │     └─▶ stream.py ─▶ framed.py ──▶     │
             options.py  sweep.py  lost.py
"""
