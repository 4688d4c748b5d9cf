"""One log line per request, in the forms that programs for logs of web servers read."""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Literal

from pierhead.clock import Clock, SystemClock
from pierhead.errors import UsageError
from pierhead.printable import printable
from pierhead.protocols.http.wire import Request, Response
from pierhead.service import Middleware, Service, as_service
from pierhead.service.context import Context

__all__ = ["request_log"]

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def request_log(
    form: Literal["common", "combined", "json"] = "common",
    logger: logging.Logger | None = None,
    clock: Clock | None = None,
) -> Middleware:
    """Return a layer that logs each request at INFO when its response begins.

        192.0.2.1 - - [30/Nov/2026:07:22:11 +0000] "GET /a HTTP/1.1" 200 5

    Everything that a client sent is escaped, so that it can neither end a line nor a field. A
    service that raises is logged with status 500.

    Args:
        form: that of the Common Log Format, the same with referrer and agent, or objects of JSON.
        logger: None for ``pierhead.access``.
        clock: None for the machine's.

    Raises:
        UsageError: there is no such form.
    """
    if form not in ("common", "combined", "json"):
        raise UsageError(f"form is {form!r}, expected common, combined or json")
    log = logger if logger is not None else logging.getLogger("pierhead.access")
    times = clock if clock is not None else SystemClock()
    write = _as_json if form == "json" else _as_text

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service = as_service(function)

        async def logged(request: Request, context: Context) -> Any:
            began, found = times.monotonic(), None
            try:
                response = await service(request, context)
                if isinstance(response, Response):
                    found = response
                return response
            finally:
                if log.isEnabledFor(logging.INFO):
                    ms = (times.monotonic() - began) * 1000
                    facts = _facts(request, context, found, times.wall(), ms)
                    log.info("%s", write(facts, is_combined=form == "combined"))

        return logged

    return layer


def _facts(
    request: Request, context: Context, response: Response | None, now: float, ms: float
) -> dict[str, Any]:
    return {
        "time": now,
        "peer": context.peer.host,
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "status": 500 if response is None else response.status,
        "length": None if response is None else response.body.length,
        "ms": round(ms, 3),
        "referrer": request.fields.get("referer"),
        "agent": request.fields.get("user-agent"),
    }


def _as_json(facts: dict[str, Any], *, is_combined: bool) -> str:
    at = time.gmtime(facts["time"])
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{int(facts['time'] * 1000) % 1000:03}Z"
    return json.dumps({**facts, "time": stamp})


def _as_text(facts: dict[str, Any], *, is_combined: bool) -> str:
    at = time.gmtime(facts["time"])
    stamp = f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{time.strftime('%H:%M:%S', at)}"
    peer = facts["peer"].replace(" ", "\\x20") or "-"
    asked = f"{facts['method']} {facts['target']} HTTP/{facts['version']}"
    length = "-" if facts["length"] is None else facts["length"]
    line = f"{peer} - - [{stamp} +0000] {_quoted(asked)} {facts['status']} {length}"
    if is_combined:
        line += f" {_quoted(facts['referrer'])} {_quoted(facts['agent'])}"
    return line


def _quoted(text: str | None) -> str:
    return '"-"' if text is None else '"' + printable(text).replace('"', "\\x22") + '"'
