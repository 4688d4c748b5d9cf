"""One log line for each query, with the result."""

from __future__ import annotations

import json
import logging
from typing import Any, ClassVar

from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service import Reply as AnyReply
from pierhead.service import Service, ServiceFunction, as_service
from pierhead.service.context import Context

__all__ = ["QueryLog", "query_log"]


def query_log(logger: logging.Logger | None = None) -> QueryLog:
    """Return the layer that logs each query at INFO.

        peer=192.0.2.1:5353 via=udp:127.0.0.1:5300 query=www.example./IN/A flags=+ED rcode=NOERROR

    The name is escaped as in a zone file, so that no octet of it can end the field or the line.
    Flags: ``+`` recursion desired, ``E`` EDNS, ``D`` DNSSEC OK, ``T`` not a datagram. In place of
    an RCODE there may be ``silence``, ``several`` (many replies) or the name of an exception.

    Args:
        logger: None for ``pierhead.dns.query``.
    """
    return QueryLog(logger or logging.getLogger("pierhead.dns.query"))


class QueryLog(Layer):
    """The layer that logs; created by `query_log`."""

    name: ClassVar[str] = "query_log"

    def __init__(self, logger: logging.Logger) -> None:
        self._log = logger

    def __call__(self, service: ServiceFunction[Query, Reply]) -> Service[Query, Reply]:
        """Return the service with this layer around it."""
        inner = as_service(service)
        log = self._log

        async def logged(query: Query, context: Context) -> AnyReply[Reply]:
            if not log.isEnabledFor(logging.INFO):
                return await inner(query, context)
            try:
                reply = await inner(query, context)
            except BaseException as error:
                _write(log, query, context, type(error).__name__)
                raise
            _write(log, query, context, _outcome(reply))
            return reply

        return logged


def _write(log: logging.Logger, query: Query, context: Context, outcome: str) -> None:
    log.info(
        "peer=%s via=%s query=%s/%s/%s flags=%s rcode=%s",
        _quoted(str(context.peer)),
        _quoted(context.via.listener),
        query.name,
        iana.class_text(query.qclass),
        query.rtype if query.has_question else "-",
        _flags(query, context),
        outcome,
    )


def _flags(query: Query, context: Context) -> str:
    flags = (
        ("+", query.recursion_desired),
        ("E", query.edns is not None),
        ("D", query.dnssec_ok),
        ("T", context.connection is not None),
    )
    return "".join(letter for letter, is_set in flags if is_set) or "-"


def _outcome(reply: Any) -> str:
    if isinstance(reply, Reply):
        return iana.rcode_text(reply.rcode)
    return "silence" if reply is None else "several"


def _quoted(text: str) -> str:
    """Return a name chosen by a peer or an operator as one field of a line."""
    is_plain = text.isascii() and text.isprintable() and not set(text) & set(' "\\')
    return text if is_plain else json.dumps(text)
