"""``pierhead address``: explain what an address means, without opening or dialling it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from pierhead.address import Explanation, ListenerExplanation, OptionExplanation, explain
from pierhead.address.registry import Side
from pierhead.errors import AddressError

__all__ = ["address"]

#: What ``host:port`` means to each stock protocol.
_SHORT_FORMS = {"dns": ("udp", "tcp"), "http": ("tcp",), "lines": ("tcp",)}

_EPILOG = """\b
Examples:
  pierhead address explain --for dns 127.0.0.1:5300
  pierhead address explain --client 'tls+tcp:dns.example:853?ca=authority.pem'
  pierhead address explain 'unix:/run/app.sock?mode=0660' 'tls+tcp::853?cert=dns.pem'

Exit codes: 0 ok, 2 an address does not parse.
"""


@click.group()
def address() -> None:
    """Explain addresses."""


@address.command("explain", epilog=_EPILOG)
@click.argument("addresses", metavar="ADDR...", nargs=-1, required=True)
@click.option(
    "--for",
    "protocol",
    type=click.Choice(sorted(_SHORT_FORMS)),
    help="Protocol that a short form such as 127.0.0.1:5300 is for. [default: left open]",
)
@click.option(
    "--client", "is_client", is_flag=True, help="Explain what a client dials. [default: a listener]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON. [default: text]")
@click.pass_context
def explain_addresses(
    ctx: click.Context,
    addresses: Sequence[str],
    protocol: str | None,
    is_client: bool,
    as_json: bool,
) -> None:
    """Explain each address and what this platform would refuse, without opening anything."""
    side = Side.DIAL if is_client else Side.LISTEN
    explanations = []
    faults = []
    for text in addresses:
        try:
            short_form = _SHORT_FORMS[protocol] if protocol else None
            explanations.append(explain(text, short_form, side=side))
        except AddressError as error:
            faults.append(error)
    if as_json:
        click.echo(json.dumps([asdict(explanation) for explanation in explanations], indent=2))
    else:
        click.echo(
            "\n\n".join(_show(explanation) for explanation in explanations), nl=bool(explanations)
        )
    for fault in faults:
        click.echo(f"error: {fault}", err=True)
    if faults:
        ctx.exit(2)


def _show(explanation: Explanation) -> str:
    lines = [explanation.canonical]
    for listener in explanation.listeners:
        if listener.canonical != explanation.canonical:
            lines.append(f"  {listener.canonical}")
        lines += [f"    {line}" for line in _listener_lines(listener, explanation.platform)]
    return "\n".join(lines)


def _listener_lines(listener: ListenerExplanation, platform: str) -> Iterator[str]:
    kind = listener.kind or ("as the socket is" if listener.scheme else "as the protocol is")
    yield f"{kind}: {listener.meaning}"
    for layer in listener.layers:
        yield f"through {layer}"
    for option in listener.options:
        yield _option_line(option)
    for refusal in listener.refusals:
        yield f"refused on {platform}: {refusal}"


def _option_line(option: OptionExplanation) -> str:
    return f"{option.key} = {option.value}: {option.meaning} (default: {option.default})"
