"""Writes docs/reference/limits.md from the tables of limits beside the code that obeys them.

python docs/generate_limits.py            write the page
python docs/generate_limits.py --check    exit with 1 if the page is not up to date
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from pierhead.limits import Limit

PAGE = Path(__file__).parent / "reference" / "limits.md"

#: Every module that declares `LIMITS`: heading, and where its limits are given.
SECTIONS = {
    "pierhead.server.options": (
        "Servers",
        "Give any of them to `Server`, `run` or, while running, to `Server.reconfigure`, as a keyword. "
        "`pierhead.ServerLimits` is the type of these keywords. `pierhead serve` takes them as "
        "`--limit request-timeout=5s`; [how to change limits](../howto/limits.md) has examples.",
    ),
    "pierhead.client.options": (
        "Clients",
        "Give any of them to `connect` as a keyword; `pierhead.ClientLimits` is their type.",
    ),
    "pierhead.blocking.threads": ("Blocking functions", "Given to `threaded`."),
    "pierhead.client.balance_options": (
        "Choosing among several",
        "Given to `Balance` as keywords.",
    ),
    "pierhead.client.policies": ("Hedged requests", "Given to `Hedged`."),
    "pierhead.backplane.peers": ("Backplanes without a broker", "Given to `peers`."),
    "pierhead.backplane.brokered": (
        "Backplanes with a broker",
        "Given to `redis_streams` and `jetstream`.",
    ),
    "pierhead.connection.liveness": ("Liveness", "Given to `Liveness`."),
    "pierhead.connection.room": ("Rooms", "Given to `Room`."),
    "pierhead.service.admission.rate": ("A rate for each source", "Given to `per_source_rate`."),
    "pierhead.middleware.limit": ("Concurrent requests in a service", "Given to `limit`."),
    "pierhead.middleware.timeout": ("Time for a whole answer", "Given to `timeout`."),
    "pierhead.middleware.retry": ("Retries", "Given to `retry`."),
    "pierhead.codec.lines": ("Lines", "Given to `Lines`."),
    "pierhead.codec.delimited": ("Delimited frames", "Given to `Delimited`."),
    "pierhead.codec.length_prefixed": ("Length-prefixed frames", "Given to `LengthPrefixed`."),
    "pierhead.codec.varint_prefixed": ("Varint-prefixed frames", "Given to `VarintPrefixed`."),
    "pierhead.codec.netstring": ("Netstrings", "Given to `Netstring`."),
    "pierhead.codec.cobs": ("COBS packets", "Given to `Cobs`."),
    "pierhead.codec.slip": ("SLIP packets", "Given to `Slip`."),
    "pierhead.codec.stomp_framing": ("STOMP blocks", "Given to `StompFraming`."),
    "pierhead.codec.syslog_framing": ("Syslog messages", "Given to `SyslogFraming`."),
    "pierhead.protocols.http.client.options": (
        "HTTP clients",
        "Given to `http.Client`, which takes those of clients too; its `max_connections` is 10 unless given.",
    ),
    "pierhead.protocols.proxying.forward": ("Relays", "Given to `proxying.forward`."),
    "pierhead.protocols.http.wire.limits": ("HTTP requests", "Given to `http.serve`."),
    "pierhead.protocols.dns.codec": ("DNS messages", "Given to `dns.serve`."),
    "pierhead.protocols.dns.answer_cache": ("Ready DNS answers", "Given to `dns.serve`."),
    "pierhead.protocols.dns.zone.bounds": (
        "The size of a zone",
        "Given to `dns.zones` as `bounds=ZoneBounds(…)`.",
    ),
    "pierhead.protocols.dns.middleware.rate_limit": (
        "Response rate limiting",
        "Given to `dns.rate_limit`.",
    ),
    "pierhead.protocols.dns.middleware.tsig": ("Signed DNS messages", "Given to `dns.tsig`."),
    "pierhead.protocols.dns.middleware.padding": ("DNS padding", "Given to `dns.padding`."),
    "pierhead.protocols.dns.services.forward": ("Forwarding DNS", "Given to `dns.forward`."),
    "pierhead.protocols.dns.transfer.outgoing": ("Zone transfers", "Given to `dns.transfers`."),
    "pierhead.protocols.dns.transfer.notify": (
        "Notifying secondaries",
        "Given to `pierhead.protocols.dns.transfer.notify.Notifier`.",
    ),
    "pierhead.protocols.dns.wire.batch": (
        "Messages of a transfer",
        "Given to `dns.transfers` and `dns.batch`.",
    ),
    "pierhead.protocols.dns.zone.history": (
        "The history of a zone",
        "Given to `pierhead.protocols.dns.zone.history.History`.",
    ),
    "pierhead.protocols.http.filters.content": (
        "Content of HTTP requests",
        "Given to the filters that read it: `http.json`, `http.form`, `http.text` and `http.body`.",
    ),
    "pierhead.protocols.http.filters.multipart": ("Forms with files", "Given to `http.multipart`."),
    "pierhead.protocols.http.filters.compress": ("Compression", "Given to `http.compress`."),
    "pierhead.protocols.http.filters.events": ("Server-sent events", "Given to `http.events`."),
    "pierhead.protocols.dns.client": ("The DNS client", "Given to `dns.Client`."),
}

INTRODUCTION = """\
# Limits

Every tunable number: what it is for, its default and where that comes from, its range, and the
metric that moves when it is reached.

This page is written by `docs/generate_limits.py` from the tables beside the code (`make limits`).
"""


def page() -> str:
    """Return the text of the page."""
    parts = [INTRODUCTION]
    for module, (title, where) in SECTIONS.items():
        parts.append(f"## {title}, in `{module}`\n\n{where}\n")
        parts += ["\n".join(_entry(limit)) for limit in importlib.import_module(module).LIMITS]
    return "\n".join(parts)


def _entry(limit: Limit) -> Iterator[str]:
    yield f"### `{limit.name}`\n\n{limit.meaning}\n"
    low, high = _shown(limit.minimum), _shown(limit.maximum)
    yield f"- default {_shown(limit.default)} {limit.unit}, from {low} to {high}"
    yield f"- source of the default: {limit.source}"
    is_counted = not limit.metric.startswith("none")
    yield f"- metric: `{limit.metric}`" if is_counted else f"- metric: {limit.metric}"
    yield f"- a change takes effect {limit.effect}\n"


def _shown(number: float) -> str:
    return f"{number:,}" if number != int(number) else f"{int(number):,}"


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/reference/limits.md is not up to date; run: make limits", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
