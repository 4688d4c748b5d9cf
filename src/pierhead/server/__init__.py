"""Servers: loops over listeners, bytes in, bytes out, independent of any protocol.

listener/ ─▶ server.py ─▶ datagram.py ─────────────▶ service/respond.py ─▶ FrameHandler
                │     └─▶ stream.py ─▶ framed.py ──▶     │
             options.py  sweep.py  lost.py
"""
