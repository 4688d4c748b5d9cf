"""Content is compressed for clients that accept it (RFC 9110 §8.4, §12.5.3)."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

from pierhead.limits import Limit
from pierhead.protocols.http.filters.file_content import nothing
from pierhead.protocols.http.filters.negotiation import media_type, weights
from pierhead.protocols.http.wire import Body, Fields, Request, Response
from pierhead.service import Middleware, Service, as_service
from pierhead.service.context import Context

__all__ = ["LIMITS", "compress"]

LIMITS = (
    Limit(
        "min_bytes",
        1_024,
        0,
        2**31 - 1,
        "bytes",
        "the shortest content that is compressed",
        "one packet carries as much either way: nginx's gzip_min_length in common use",
        "none: nothing is refused",
        "new layers",
    ),
    Limit(
        "level",
        6,
        1,
        9,
        "(of zlib)",
        "how much work compression is: 1 is fast, 9 is small",
        "zlib: its default",
        "none: nothing is refused",
        "new layers",
    ),
)

#: Compressed in place up to here, which takes less than a millisecond; beyond, in a thread.
_INLINE_BYTES = 16_384
_PIECE_BYTES = 262_144

_COMPRESSIBLE = frozenset(
    (
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/wasm",
        "application/xml",
        "image/svg+xml",
    )
)


def compress(*, min_bytes: int = 1_024, level: int = 6) -> Middleware:
    """Return a layer that compresses text, JSON and the like by gzip for clients that accept it.

    Parts, streams of events, and what says ``no-transform`` or is encoded already are left alone.
    An entity tag becomes a weak one: the octets are others.
    """
    least = int(LIMITS[0].check(min_bytes))
    effort = int(LIMITS[1].check(level))

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service = as_service(function)

        async def compressed(request: Request, context: Context) -> Any:
            response = await service(request, context)
            if not isinstance(response, Response) or not _is_compressible(response, least):
                return response
            fields = response.fields.with_field("Vary", "Accept-Encoding")
            if not _accepts_gzip(request.fields):
                return Response(response.status, response.body, fields)
            fields = fields.without("accept-ranges").with_field("Content-Encoding", "gzip")
            etag = fields.get("etag")
            if etag is not None and not etag.startswith("W/"):
                fields = fields.replaced("ETag", f"W/{etag}")
            body = _compressed(response.body, effort, is_head=request.method == "HEAD")
            return Response(response.status, body, fields)

        return compressed

    return layer


def _is_compressible(response: Response, least: int) -> bool:
    fields, length = response.fields, response.body.length
    media = media_type(fields.get("content-type"))
    return (
        response.status not in (204, 206, 304)
        and "content-encoding" not in fields
        and "no-transform" not in map(str.lower, fields.members("cache-control"))
        and (length is None or length >= least)
        and media != "text/event-stream"
        and (
            media.startswith("text/") or media in _COMPRESSIBLE or media.endswith(("+json", "+xml"))
        )
    )


def _accepts_gzip(fields: Fields) -> bool:
    accepted = weights(fields.all("accept-encoding"))
    wanted = accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", 0.0)))
    return wanted > 0 and wanted >= accepted.get("identity", 0.0)


def _compressed(body: Body, level: int, *, is_head: bool) -> Body:
    ready = body.ready
    if ready is not None and len(ready) <= _INLINE_BYTES:
        return Body(gzip.compress(ready, level, mtime=0))
    return Body(nothing() if is_head else _pieces(body, level))


async def _pieces(body: Body, level: int) -> AsyncIterator[bytes]:
    # 16 more than the size of the window has zlib write the header of gzip.
    squeeze = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS + 16)
    is_live = body.length is None

    def compressed(piece: bytes) -> bytes:
        # Whoever sends as it comes is not to wait for what comes next.
        return squeeze.compress(piece) + (squeeze.flush(zlib.Z_SYNC_FLUSH) if is_live else b"")

    async for part in body:
        for at in range(0, len(part), _PIECE_BYTES):
            piece = part[at : at + _PIECE_BYTES]
            in_place = len(piece) <= _INLINE_BYTES
            octets = compressed(piece) if in_place else await asyncio.to_thread(compressed, piece)
            if octets:
                yield octets
    yield squeeze.flush()
