"""Filters of the content: octets, text, forms, JSON, or as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from pierhead.codec.json import Json
from pierhead.errors import DecodeError
from pierhead.limits import Limit
from pierhead.protocols.http.filters.conversion import from_pairs
from pierhead.protocols.http.filters.filter import Filter
from pierhead.protocols.http.filters.head import pairs_of, place
from pierhead.protocols.http.filters.negotiation import media_type
from pierhead.protocols.http.filters.rejection import Rejected, Stage
from pierhead.protocols.http.filters.route import Asked
from pierhead.protocols.http.wire.body import ContentTooLarge

__all__ = ["LIMITS", "body", "form", "json", "stream", "text"]

T = TypeVar("T")

LIMITS = (
    Limit(
        "max_bytes",
        1_048_576,
        0,
        2**31 - 1,
        "bytes",
        "the longest content that a filter reads whole",
        "nginx: client_max_body_size 1m",
        "none: the request is answered with 413",
        "new filters",
    ),
)

_MAX_BYTES = LIMITS[0]
_FORM = "application/x-www-form-urlencoded"


def body(*, max_bytes: int = 1_048_576) -> Filter[bytes]:
    """Extract the content as octets, of any media type."""
    return _read(lambda octets: octets, max_bytes)


def text(*, max_bytes: int = 1_048_576) -> Filter[str]:
    """Extract the content as text: ``text/*`` in UTF-8."""

    def decode(octets: bytes) -> str:
        try:
            return octets.decode()
        except UnicodeDecodeError as error:
            raise DecodeError("text that is not UTF-8", error.start) from None

    return _read(decode, max_bytes, lambda media: media.startswith("text/"), "text/plain")


def json(kind: type[T], *, max_bytes: int = 1_048_576) -> Filter[T]:
    """Extract the content as a value of this type, from ``application/json``.

    What is not JSON is 400. JSON of another type is 422, with the path to the field at fault:
    ``$.number: expected int, got str``.
    """
    return _read(
        Json(kind).decode,
        max_bytes,
        lambda media: media == "application/json" or media.endswith("+json"),
        "application/json",
    )


def form(kind: type[T], *, max_bytes: int = 1_048_576) -> Filter[T]:
    """Extract the fields of a form as an object of this type."""
    convert = from_pairs(kind)

    def decode(octets: bytes) -> T:
        try:
            pairs = pairs_of(octets.decode("ascii"))
            value: T = convert(pairs)
        except ValueError as error:
            raise DecodeError(f"malformed form: {error}") from None
        return value

    return _read(decode, max_bytes, lambda media: media == _FORM, _FORM)


def stream() -> Filter[AsyncIterator[bytes]]:
    """Extract the content as it comes; it can be read once, and has no limit but the reader's."""

    def take(asked: Asked) -> tuple[AsyncIterator[bytes]] | Rejected:
        if asked.spent is not None:
            return asked.spent
        if asked.request.body.ready is None:
            asked.spent = Rejected(400, "the content is read already", stage=Stage.CONTENT)
        return (aiter(asked.request.body),)

    return Filter.taking(Stage.CONTENT, take, 1)


def _read(
    decode: Callable[[bytes], T],
    max_bytes: int,
    is_expected: Callable[[str], bool] | None = None,
    expected: str = "",
) -> Filter[T]:
    limit = int(_MAX_BYTES.check(max_bytes))

    def check(asked: Asked) -> tuple[()] | Rejected:
        """Refuse by the head what need not be read."""
        fields = asked.request.fields
        media = media_type(fields.get("content-type"))
        if is_expected is not None and not is_expected(media):
            found = f"the content is {media}" if media else "the content has no media type"
            accepts = [("Accept", expected)]
            return Rejected(415, f"{found}, expected {expected}", fields=accepts, stage=Stage.HEAD)
        coding = fields.get("content-encoding", "identity")
        if coding != "identity":
            accepts = [("Accept-Encoding", "identity")]
            return Rejected(
                415, f"the content is {coding}, expected identity", fields=accepts, stage=Stage.HEAD
            )
        length = asked.request.body.length
        if length is not None and length > limit:
            return _too_large(length, limit)
        return ()

    async def take(asked: Asked) -> tuple[T] | Rejected:
        if asked.spent is not None:
            return asked.spent
        try:
            octets = await asked.request.body.read(max(limit, asked.most_bytes))
        except ContentTooLarge as error:
            asked.spent = Rejected(413, error.reason, stage=Stage.CONTENT)
            return asked.spent
        if len(octets) > limit:
            return _too_large(len(octets), limit)
        try:
            return (decode(octets),)
        except DecodeError as error:
            return _refused(error)

    checked: Filter[()] = Filter.taking(Stage.HEAD, check, 0)
    taking: Callable[[Asked], Awaitable[Any]] = take
    taken: Filter[T] = Filter.taking(Stage.CONTENT, taking, 1, waits=True, max_bytes=limit)
    return checked & taken


def _too_large(length: int, limit: int) -> Rejected:
    detail = f"the content has {length} octets, expected {limit} at most"
    return Rejected(413, detail, stage=Stage.CONTENT)


def _refused(error: DecodeError) -> Rejected:
    path = place(error.reason)
    if path is None and error.reason != "null is not a message":
        return Rejected(400, str(error), stage=Stage.CONTENT)
    return Rejected(422, error.reason, path=path or "$", stage=Stage.CONTENT)
