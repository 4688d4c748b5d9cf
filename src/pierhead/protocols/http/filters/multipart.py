"""Forms with files (RFC 7578), read part by part as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from pierhead.extra import missing_extra
from pierhead.limits import Limit
from pierhead.protocols.http.filters.filter import Filter
from pierhead.protocols.http.filters.negotiation import media_type
from pierhead.protocols.http.filters.rejection import Rejected, Stage
from pierhead.protocols.http.filters.route import Asked
from pierhead.protocols.http.wire import Body

if TYPE_CHECKING:
    from multipart import MultipartSegment

__all__ = ["LIMITS", "Part", "multipart"]

LIMITS = (
    Limit(
        "max_parts",
        1_000,
        1,
        100_000,
        "parts",
        "how many parts a form may have",
        "Werkzeug: max_form_parts",
        "none: the request is answered with 400",
        "new filters",
    ),
)

_EXPECTED = "multipart/form-data"

#: The longest field of a part, and how many: RFC 7578 has three, of which one may be a file name.
_MAX_FIELD_BYTES = 4_096
_MAX_FIELDS = 8


class Part:
    """One part of a form: a field, or a file.

    Its content is read once, before the next part: by `read`, or in pieces by ``async for``.

    Attributes:
        name: the field's name.
        filename: what the client calls the file, which is no path to write to; None for a field.
        content_type: its media type, in lower case.
    """

    __slots__ = ("_events", "_is_over", "content_type", "filename", "name")

    def __init__(self, segment: MultipartSegment, events: AsyncIterator[Any]) -> None:
        self.name: str = segment.name
        self.filename: str | None = segment.filename
        self.content_type: str = segment.content_type or "text/plain"
        self._events = events
        self._is_over = False

    async def read(self, limit: int) -> bytes:
        """Return all of it.

        Raises:
            Rejected: it has more octets than this, or breaks off.
        """
        found = bytearray()
        async for octets in self:
            found += octets
            if len(found) > limit:
                raise Rejected(413, f"part {self.name!r} has more than {limit} octets")
        return bytes(found)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._is_over:
            event = await anext(self._events)
            if event is None:
                self._is_over = True
            else:
                yield bytes(event)

    async def skip(self) -> None:
        """Read what is left of it, and forget it."""
        async for _ in self:
            pass

    def __repr__(self) -> str:
        return f"<Part {self.name!r}>"


def multipart(*, max_parts: int = 1_000) -> Filter[AsyncIterator[Part]]:
    """Extract the parts of ``multipart/form-data``, as they arrive.

    What is malformed raises `Rejected` in the handler that reads it: 400. A part that is not read
    is skipped; nothing is kept in memory but what the handler keeps.

    Raises:
        UsageError: the package ``multipart`` is not installed.
    """
    most = int(LIMITS[0].check(max_parts))
    library = _library()

    def check(asked: Asked) -> tuple[()] | Rejected:
        field = asked.request.fields.get("content-type")
        if media_type(field) == _EXPECTED and library.parse_options_header(field)[1].get(
            "boundary"
        ):
            return ()
        detail = f"expected {_EXPECTED} with a boundary"
        return Rejected(415, detail, fields=[("Accept", _EXPECTED)], stage=Stage.HEAD)

    def take(asked: Asked) -> tuple[AsyncIterator[Part]] | Rejected:
        if asked.spent is not None:
            return asked.spent
        asked.spent = Rejected(400, "the content is read already", stage=Stage.CONTENT)
        _, options = library.parse_options_header(asked.request.fields["content-type"])
        # Not its strict mode, in which it matters how the octets are cut: a line end after the last
        # boundary is data after the end if it arrives by itself.
        parser = library.PushMultipartParser(
            options["boundary"],
            max_header_size=_MAX_FIELD_BYTES,
            max_header_count=_MAX_FIELDS,
            max_segment_count=most,
        )
        return (_parts(_events(asked.request.body, parser, library.MultipartError)),)

    checked: Filter[()] = Filter.taking(Stage.HEAD, check, 0)
    taken: Filter[AsyncIterator[Part]] = Filter.taking(Stage.CONTENT, take, 1)
    return checked & taken


def _library() -> Any:
    try:
        import multipart
    except ModuleNotFoundError as error:
        raise missing_extra("http", error) from None
    return multipart


async def _parts(events: AsyncIterator[Any]) -> AsyncIterator[Part]:
    async for segment in events:
        part = Part(segment, events)
        yield part
        await part.skip()


async def _events(body: Body, parser: Any, malformed: type[Exception]) -> AsyncIterator[Any]:
    """Give a segment, pieces of its content and None, again and again."""
    try:
        async for octets in body:
            for event in parser.parse(octets):
                yield event
        parser.close()
    except malformed as error:
        raise Rejected(400, f"malformed form: {error}") from None
