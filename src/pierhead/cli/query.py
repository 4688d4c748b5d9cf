"""``pierhead query``: query a DNS server, with dig's syntax.

Exit codes are dig's: 0 answered, whatever the answer; 1 usage; 9 no reply; 10 internal.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import aclosing

import click

from pierhead.address import InetAddress, ListenSpec
from pierhead.cli.query_text import Answer, Paint, show_json, show_short, show_table
from pierhead.cli.query_words import PLUS_WORDS, Words, parse_words
from pierhead.errors import (
    ConfigError,
    ConnectError,
    PeerError,
    PierheadError,
    TimedOut,
    UsageError,
)
from pierhead.printable import visible
from pierhead.protocols.dns.client import Client
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.tsig.key import Key

__all__ = ["query"]

_ANSWERED, _USAGE, _NO_REPLY, _INTERNAL = 0, 1, 9, 10

_EPILOG = (
    """\b
Words beginning with +; most can be switched off with +no…, and all can be abbreviated:
"""
    + "\n".join(
        f"  {f'+{word}{takes}':<22} {meaning}" for word, (_, takes, meaning) in PLUS_WORDS.items()
    )
    + """

\b
Examples:
  pierhead query @127.0.0.1:5300 www.example. AAAA +dnssec
  pierhead query @::1 -p 5300 -x 192.0.2.1 +tcp +short
  pierhead query @127.0.0.1:5300 example. SOA +noall +answer
  pierhead query --explain --zone examples/zones/example.zone a.b.example. MX

Exit codes: 0 answered (whatever the answer), 1 usage, 9 no reply, 10 internal.
"""
)


@click.command(
    epilog=_EPILOG,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
    short_help="Query a DNS server.",
)
@click.argument(
    "words", metavar="[@SERVER[:PORT]] NAME [TYPE] [CLASS]", nargs=-1, type=click.UNPROCESSED
)
@click.pass_context
def query(ctx: click.Context, words: Sequence[str]) -> None:
    """Send a DNS server one question and print the answer.

    \b
    @SERVER      a host, an address with or without a port, or any address that can be
                 served: @127.0.0.1:5300, @[::1]:53, @tcp:ns1.example, @unix:./dns.sock,
                 @tls+ns1.example (port 853), @tls+tcp:127.0.0.1:853?ca=authority.pem
    -p PORT      the port; default 53
    AXFR, IXFR=SERIAL   transfer a zone, or what has changed in it since a version; a
                 record on each line
    -t TYPE, -c CLASS, -q NAME   the question, where a plain word would be ambiguous
    -x ADDR      the reverse name of an address, and type PTR
    -b ADDR[#PORT]   the source address
    -k FILE      sign the question with the key in this file, and verify the answer
    -y [ALGORITHM:]NAME:SECRET   the same; other users can see the command line
    -4, -6       use only IPv4 or only IPv6
    --zone [NAME=]FILE   answer from a zone file instead of a server; may be repeated
    --explain    show the steps that led to the answer
    --json, --short   print JSON, or only the data of the answer
    --color auto|always|never   [default: auto, unless NO_COLOR is set]
    """
    ctx.exit(_run(words))


def _run(words: Sequence[str]) -> int:
    try:
        asked = parse_words(words)
        if iana.type_number(asked.rtype) in (iana.AXFR, iana.IXFR):
            asyncio.run(_transfer(asked))
            return _ANSWERED
        answer = asyncio.run(_answer(asked))
    except UsageError as error:
        return _complain(str(error), _USAGE)
    except (TimedOut, PeerError) as error:
        return _complain(str(error), _NO_REPLY)
    except ConnectError as error:
        code = _complain(f"{asked.server}: {error.reason}", _NO_REPLY)
        if error.remedy:
            click.echo(f"  {visible(error.remedy)}", err=True)
        return code
    except OSError as error:
        return _complain(f"{asked.server}: {_reason(error)}", _NO_REPLY)
    except PierheadError as error:
        return _complain(str(error), _INTERNAL)
    _print(asked, answer)
    return _ANSWERED


def _read_key(file: str) -> Key:
    """Return the only key of a file.

    Raises:
        UsageError: there is none, or more than one.
    """
    from pierhead.protocols.dns.key_file import read_keys

    try:
        keys = read_keys(file)
    except ConfigError as error:  # of the command line, as every mistake in what is asked
        raise UsageError(f"-k {error}") from None
    if len(keys) > 1:
        names = ", ".join(key.text for key in keys)
        raise UsageError(f"-k {file}: it has {len(keys)} keys, expected one: {names}")
    return keys[0]


async def _answer(asked: Words) -> Answer:
    if asked.zones:
        return await _explained(asked)
    assert asked.server is not None
    key = _read_key(asked.key_file) if asked.key_file else asked.key
    client = Client(
        asked.server,
        attempts=asked.attempts,
        timeout=asked.timeout_s,
        source=asked.source,
        key=key,
    )
    async with client:
        clock = asyncio.get_running_loop().time
        start = clock()
        response = await client.query(
            asked.name,
            asked.rtype,
            rclass=asked.rclass,
            edns=asked.edns,
            flags=asked.flags,
            accept_truncated="ignore" in asked.on,
        )
        taken = clock() - start
        steps = None
        if asked.explain:
            from pierhead.protocols.dns.explanation import conclude

            steps = conclude(response)
        return Answer(response, taken, client.ignored, steps, key)


async def _transfer(asked: Words) -> None:
    """Print the records of a zone, or what has changed in it, as they arrive."""
    from pierhead.protocols.dns.client import over_tcp
    from pierhead.protocols.dns.transfer.incoming import receive

    if asked.server is None:
        raise UsageError(f"{asked.rtype} asks a server; give @server instead of --zone")
    is_incremental = iana.type_number(asked.rtype) == iana.IXFR
    if is_incremental and asked.serial is None:
        raise UsageError("IXFR asks for changes since a version; write IXFR=SERIAL")
    target = asked.server.address
    is_plain = target.scheme in (None, "udp") and isinstance(target, InetAddress)
    server = asked.server
    if is_plain and isinstance(target, InetAddress):
        inet = InetAddress(None, target.host, target.port)
        server = ListenSpec(asked.server.wrappers, inet, asked.server.options).to_dial("tcp")
    serial = asked.serial if is_incremental else None
    source = None if asked.source is None else over_tcp(asked.source)
    transfer = receive(
        str(server),
        asked.name,
        serial=serial,
        source=source,
        tsig_key=_read_key(asked.key_file) if asked.key_file else asked.key,
        patience=asked.timeout_s,
    )
    async with aclosing(transfer) as messages:
        async for records in messages:
            click.echo("\n".join(visible(str(record)) for record in records))


async def _explained(asked: Words) -> Answer:
    """Answer from zone files, as a server of these zones would."""
    from pierhead.protocols.dns.explanation import explain
    from pierhead.protocols.dns.services.zones import zones
    from pierhead.protocols.dns.stacking import standard

    explanation = await explain(
        standard(zones(*asked.zones)),
        asked.name,
        asked.rtype,
        rclass=asked.rclass,
        edns=asked.edns,
        flags=asked.flags,
    )
    if explanation.response is None:
        raise TimedOut(f"a server of these zones would not reply: {explanation}")
    return Answer(explanation.response, steps=explanation.steps if asked.explain else None)


def _print(asked: Words, answer: Answer) -> None:
    if "json" in asked.on:
        text = show_json(answer)
    elif "short" in asked.on:
        text = show_short(answer)
    else:
        text = show_table(answer, asked.on, Paint(_wants_color(asked.color)))
    click.echo(text, nl=bool(text), color=True)


def _wants_color(color: str) -> bool:
    # https://no-color.org: set and not empty.
    automatic = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return color == "always" or (color == "auto" and automatic)


def _reason(error: OSError) -> str:
    # asyncio writes its own sentences over the system's; those of getaddrinfo are good.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error.strerror or error)


def _complain(reason: str, code: int) -> int:
    click.echo(f"error: {visible(reason)}", err=True)
    return code
