"""Messages of another protocol over HTTP, one for each request, as DNS is (RFC 8484).

    endpoint = http.beside(dns.serve(site), "application/dns-message", max_age=dns.max_age)
    run(endpoint, "127.0.0.1:53", "tls+tcp:[::]:443?cert=ns.pem&alpn=http/1.1,dot")

A client sends a message as the content of a POST request, or in the query of a GET request, which
caches can answer for. This module knows no other protocol: it has a handler of frames.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

from pierhead.errors import PierheadError, ServiceFailed, UsageError
from pierhead.protocols.http.serving.serve import serve
from pierhead.protocols.http.wire.body import ContentTooLarge
from pierhead.protocols.http.wire.message import Request, Response
from pierhead.protocols.http.wire.refusal import problem
from pierhead.server.by_alpn import ByAlpn
from pierhead.server.connection import ConnectionScope, ServedConnection
from pierhead.server.endpoint import Endpoint, GoesOn, StreamHandler
from pierhead.server.makes_endpoint import makes_endpoint
from pierhead.service import FrameHandler, Service, is_many
from pierhead.service.admission import Admission, Answer
from pierhead.service.context import Context

__all__ = ["beside", "messages"]

#: The largest message of DNS, and of every protocol with a length of two octets.
_MOST_BYTES = 65_535

#: Given the octets of a reply, for how many seconds it may be kept; None for not at all.
MaxAge = Callable[[bytes], int | None]


def messages(
    handler: FrameHandler,
    media_type: str,
    *,
    path: str = "/dns-query",
    parameter: str = "dns",
    max_age: MaxAge | None = None,
    admission: Sequence[Admission] = (),
) -> Service[Request, Response]:
    """Return a service of HTTP that answers messages by a handler of frames.

    Args:
        handler: answers the octets of one message with those of another.
        media_type: of messages.
        path: where they are taken.
        parameter: of the query in which GET has the message, in base64url without padding.
        max_age: for the Cache-Control field of a response to GET; None to leave it out.
        admission: checks on every message; one that is dropped gets status 403.
    """

    async def answer(request: Request, context: Context) -> Response:
        if request.raw_path != path:
            return problem(404, f"messages are taken at {path}")
        asked = await _message(request, media_type, parameter)
        if isinstance(asked, Response):
            return asked
        reply = await _reply(handler, admission, asked, context)
        if isinstance(reply, Response):
            return reply
        age = None if max_age is None else max_age(reply)
        fields = {} if age is None else {"Cache-Control": f"max-age={age}"}
        return Response(200, reply, fields, content_type=media_type)

    return answer


@makes_endpoint
def beside(
    endpoint: Endpoint,
    media_type: str,
    *,
    path: str = "/dns-query",
    parameter: str = "dns",
    max_age: MaxAge | None = None,
) -> Endpoint:
    """Return an endpoint that serves its messages over HTTP too, where TLS negotiates HTTP.

    Args:
        endpoint: one whose streams are frames.
        media_type, path, parameter, max_age: as of `messages`.

    Raises:
        UsageError: the endpoint has no streams of frames.
    """
    if not isinstance(endpoint.stream, GoesOn):
        raise UsageError(f"the {endpoint.name} endpoint has no streams of frames")
    service = messages(
        endpoint.stream.handler,
        media_type,
        path=path,
        parameter=parameter,
        max_age=max_age,
        admission=endpoint.admission,
    )
    over_http = serve(service)
    assert over_http.stream is not None
    by_name = dict.fromkeys(over_http.alpn, _Unchecked(over_http.stream))
    return dataclasses.replace(endpoint, stream=ByAlpn(endpoint.stream, by_name))


@dataclasses.dataclass(frozen=True, slots=True)
class _Unchecked:
    """Takes connections whose requests are no frames: the checks on frames come later."""

    handler: StreamHandler

    def __call__(self, scope: ConnectionScope) -> ServedConnection:
        scope.admission = None
        return self.handler(scope)


async def _message(request: Request, media_type: str, parameter: str) -> bytes | Response:
    """Return the message of a request, or what to refuse it with."""
    if request.method == "POST":
        given = (request.fields.get("content-type") or "").partition(";")[0].strip().lower()
        if given != media_type:
            return problem(415, f"the content is {given or 'of no type'}, expected {media_type}")
        try:
            return await request.body.read(_MOST_BYTES)
        except ContentTooLarge as error:
            return problem(413, str(error))
    if request.method not in ("GET", "HEAD"):
        allowed = {"Allow": "GET, HEAD, POST"}
        return problem(405, "a message comes by GET or by POST", fields=allowed)
    values = parse_qs(request.query, keep_blank_values=True, max_num_fields=20).get(parameter, [])
    if len(values) != 1:
        return problem(400, f"the query has {len(values)} parameters {parameter}, expected one")
    try:
        text = values[0].encode("ascii")
        message = base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return problem(400, f"parameter {parameter} is not base64url (RFC 4648 section 5)")
    if b"=" in text:
        return problem(400, f"parameter {parameter} is padded, expected base64url without padding")
    return message if len(message) <= _MOST_BYTES else problem(414, "the message is too long")


async def _reply(
    handler: FrameHandler, admission: Sequence[Admission], frame: bytes, context: Context
) -> bytes | Response:
    """Return the reply to a message, or what to refuse its request with."""
    for check in admission:
        verdict = check(frame, context.peer, context.via)
        if isinstance(verdict, Answer):
            return verdict.frame
        if verdict is not None:
            return problem(403, f"the message is not admitted: {verdict.reason}")
    if handler.answer_now is not None:
        ready = handler.answer_now(frame, context.peer, context.via)
        if ready is not None:
            return ready
    try:
        reply = await handler.service(frame, context)
    except PierheadError as error:
        refusal = None if handler.reject is None else handler.reject(error, frame)
        if refusal is None:
            raise
        return refusal
    if is_many(reply):
        if (close := getattr(reply, "aclose", None)) is not None:
            await close()
        return problem(400, "the message has many replies, which HTTP does not carry")
    if reply is None:
        return problem(403, "the message is not answered")
    if not isinstance(reply, bytes):
        raise ServiceFailed(f"the service returned {type(reply).__name__}, expected bytes")
    return reply
