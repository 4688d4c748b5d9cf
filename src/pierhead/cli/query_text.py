"""What ``pierhead query`` prints: a table for people, JSON for programs.

Nothing received reaches the terminal unescaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pierhead.errors import DecodeError
from pierhead.protocols.dns.option_text import option_words
from pierhead.protocols.dns.response import ResourceRecord, Response
from pierhead.protocols.dns.trace import Step
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import AA, AD, CD, OPCODE_MASK, QR, RD, TC
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.tsig.key import Key
from pierhead.protocols.dns.zone.rdata_format import format_unknown

__all__ = ["Answer", "Paint", "show_json", "show_short", "show_table"]

_RA = 0x0080
_FLAGS = {
    QR: ("qr", ""),
    AA: ("aa", "authoritative"),
    TC: ("tc", "truncated"),
    RD: ("rd", "recursion desired"),
    _RA: ("ra", "recursion available"),
    AD: ("ad", "authentic data"),
    CD: ("cd", "checking disabled"),
}
_WIDEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """A response and how it was obtained.

    Attributes:
        response: the response received.
        time_s: how long it took; None if no server was queried.
        ignored: how many messages were ignored because they did not answer the query.
        steps: how the answer came about; None if not asked for.
        key: what it is signed with, and was verified; None if it was not to be signed.
    """

    response: Response
    time_s: float | None = None
    ignored: int = 0
    steps: tuple[Step, ...] | None = None
    key: Key | None = None


class Paint:
    """Colours, if wanted.

    Args:
        wanted: False prints everything plain.
    """

    _CODES = {  # noqa: RUF012  # never changed
        "good": "32",
        "bad": "31",
        "odd": "33",
        "head": "1",
        "type": "36",
        "faint": "2",
    }

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def __call__(self, style: str, text: str) -> str:
        """Return the text in a style: good, bad, odd, head, type or faint."""
        return f"\x1b[{self._CODES[style]}m{text}\x1b[0m" if self._wanted and text else text


def show_short(answer: Answer) -> str:
    """Return the data of the answer section, one record per line."""
    return "\n".join(_data(record) for record in answer.response.answer)


def show_table(answer: Answer, shown: set[str], paint: Paint) -> str:
    """Return everything that should be shown, in aligned columns."""
    response = answer.response
    blocks: list[list[str]] = []
    if "comments" in shown:
        blocks.append([_status(response, paint)])
    if "question" in shown and response.question is not None:
        blocks.append([paint("head", "QUESTION"), f"  {_question(response)}"])
    sections = [(title, getattr(response, title)) for title in ("answer", "authority")]
    sections.append(("additional", response.additional))
    records = [record for title, section in sections if title in shown for record in section]
    widths = _widths(records)
    for title, section in sections:
        if title in shown and section:
            rows = [f"  {_row(record, widths, paint)}" for record in section]
            blocks.append([paint("head", title.upper()), *rows])
    if "comments" in shown and response.edns is not None:
        blocks.append(list(_edns_lines(response, paint)))
    if "comments" in shown and answer.key is not None:
        blocks.append([f"{paint('head', 'TSIG')}  {_key_text(answer.key)}, verified"])
    if answer.steps is not None:
        blocks.append([paint("head", "EXPLANATION"), *_step_lines(answer.steps, paint)])
    if "stats" in shown:
        blocks.append([paint("faint", line) for line in _stats(answer)])
    separator = "\n\n" if "comments" in shown else "\n"
    if not shown & {"comments", "stats"} and answer.steps is None:
        # +noall +answer: only records, for other programs.
        blocks = [[line.lstrip() for line in block[1:]] for block in blocks]
    return separator.join("\n".join(block) for block in blocks)


def show_json(answer: Answer) -> str:
    """Return the answer as JSON; the shape is documented in docs/howto/query.md."""
    response = answer.response
    edns = response.edns
    shown: dict[str, Any] = {
        "status": iana.rcode_text(response.rcode),
        "rcode": response.rcode,
        "id": response.id,
        "opcode": iana.opcode_text((response.flags & OPCODE_MASK) >> 11),
        "flags": [text for bit, (text, _) in _FLAGS.items() if response.flags & bit],
        "question": _question_json(response),
        **{
            section: [_record_json(record) for record in getattr(response, section)]
            for section in ("answer", "authority", "additional")
        },
        "edns": edns
        and {
            "version": edns.version,
            "payload": edns.payload,
            "do": edns.do,
            "options": [
                {
                    "code": code,
                    "name": iana.option_text(code),
                    "text": option_words(code, data),
                    "hex": data.hex(),
                }
                for code, data in edns.options
            ],
        },
        "server": response.server or None,
        "time_ms": None if answer.time_s is None else round(answer.time_s * 1000, 3),
        "size": len(response.frame),
        "ignored": answer.ignored,
    }
    if answer.key is not None:
        shown["signed_by"] = answer.key.text
    if answer.steps is not None:
        shown["explanation"] = [
            {"layer": step.layer, "text": step.text, "rule": step.rule} for step in answer.steps
        ]
    return json.dumps(shown, indent=2)


# The parts of the table


def _status(response: Response, paint: Paint) -> str:
    style = {iana.NOERROR: "good", iana.NXDOMAIN: "odd"}.get(response.rcode, "bad")
    opcode = (response.flags & OPCODE_MASK) >> 11
    words = [words for bit, (_, words) in _FLAGS.items() if words and response.flags & bit]
    if opcode:
        words.insert(0, f"opcode {iana.opcode_text(opcode)}")
    status = paint(style, iana.rcode_text(response.rcode))
    return "  ".join(part for part in (status, ", ".join(words), f"id {response.id}") if part)


def _question(response: Response) -> str:
    assert response.question is not None
    qname, qtype, qclass = response.question
    return f"{to_text(qname)}  {iana.class_text(qclass)}  {iana.type_text(qtype)}"


def _widths(records: list[ResourceRecord]) -> tuple[int, int, int]:
    # One very long name must not push all the others to the right.
    names = [len(record.name) for record in records if len(record.name) <= _WIDEST_NAME]
    ttls = [len(str(record.ttl)) for record in records]
    types = [len(record.type) for record in records]
    return max(names, default=1), max(ttls, default=1), max(types, default=1)


def _row(record: ResourceRecord, widths: tuple[int, int, int], paint: Paint) -> str:
    name, ttl, rtype = widths
    return "  ".join(
        (
            f"{record.name:{name}}",
            paint("faint", f"{record.ttl:>{ttl}}"),
            paint("faint", iana.class_text(record.rclass)),
            paint("type", f"{record.type:{rtype}}"),
            _data(record),
        )
    ).rstrip()


def _data(record: ResourceRecord) -> str:
    try:
        return record.data
    except DecodeError:
        return format_unknown(record.octets)


def _edns_lines(response: Response, paint: Paint) -> Iterator[str]:
    edns = response.edns
    assert edns is not None
    dnssec = ", DNSSEC OK" if edns.do else ""
    yield f"{paint('head', 'EDNS')}  version {edns.version}, payload {edns.payload}{dnssec}"
    for code, data in edns.options:
        shown = f"{iana.option_text(code)}  {option_words(code, data)}".rstrip()
        yield f"  {paint('odd', shown) if code == iana.OPTION_EXTENDED_ERROR else shown}"


def _key_text(key: Key) -> str:
    return f"{key.text} {key.algorithm_text}"


def _step_lines(steps: tuple[Step, ...], paint: Paint) -> Iterator[str]:
    width = max((len(step.layer) for step in steps), default=0)
    for step in steps:
        rule = paint("faint", f"  [{step.rule}]") if step.rule else ""
        yield f"  {paint('type', f'{step.layer:{width}}')}  {step.text}{rule}"
    if not steps:
        yield "  nothing is known beyond the answer itself"


def _stats(answer: Answer) -> Iterator[str]:
    response = answer.response
    took = "" if answer.time_s is None else f"{answer.time_s * 1000:.1f} ms, "
    place = f" from {response.server}" if response.server else ""
    yield f"{took}{len(response.frame)} octets{place}"
    if answer.ignored:
        plural = "message was" if answer.ignored == 1 else "messages were"
        yield f"{answer.ignored} {plural} ignored: no answer to this question"


# The parts of JSON


def _question_json(response: Response) -> dict[str, str] | None:
    if response.question is None:
        return None
    qname, qtype, qclass = response.question
    texts = to_text(qname), iana.type_text(qtype), iana.class_text(qclass)
    return dict(zip(("name", "type", "class"), texts, strict=True))


def _record_json(record: ResourceRecord) -> dict[str, str | int]:
    return {
        "name": record.name,
        "ttl": record.ttl,
        "class": iana.class_text(record.rclass),
        "type": record.type,
        "data": _data(record),
    }
