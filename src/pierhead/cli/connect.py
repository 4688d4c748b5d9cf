"""``pierhead connect`` and ``pierhead send``: speak to anything that listens.

Exit codes: 0 the input had ended, 1 the peer ended first or was cut off, 2 usage, 130 Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import click

from pierhead.address import ListenSpec
from pierhead.client.route import DATAGRAMS
from pierhead.console.descriptors import Input, Output
from pierhead.console.forms import FORMS, form
from pierhead.console.link import open_link
from pierhead.console.screen import PlainScreen, Screen, is_interactive, line_editor
from pierhead.console.session import Ended, Session, Settings, transfer
from pierhead.printable import visible
from pierhead.runtime.run import event_loop_runner
from pierhead.runtime.say import say

__all__ = ["as_option", "connect", "send"]

_ENDED_BY_PEER = 1
_PROMPT = "> "
_BY_ADDRESS = "By default raw, and lines to an address of datagrams."

_EPILOG = """\b
Examples:
  pierhead connect tcp:127.0.0.1:7000
  pierhead connect unix:./chat.sock --exit-word exit
  printf '7f 45\\n' | pierhead connect tcp:127.0.0.1:7000 --as hex
  pierhead connect tcp:127.0.0.1:7000 --as raw < request > reply

Exit codes: 0 the input had ended, 1 the peer ended first, 2 usage, 130 Ctrl-C.
"""
_SEND_EPILOG = """\b
Examples:
  pierhead send tcp:127.0.0.1:7000 < picture.png
  printf 'one\\ntwo\\n' | pierhead send udp:127.0.0.1:7000

Exit codes: 0 sent, 1 the peer ended first, 2 usage, 130 Ctrl-C.
"""


def _listed() -> str:
    return "; ".join(f"{one.name}: {one.meaning}" for one in FORMS.values())


def as_option(default: str | None) -> Callable[[Any], Any]:
    """Return the option ``--as``; the function gets ``form_name``."""
    return click.option(
        "--as",
        "form_name",
        type=click.Choice(list(FORMS)),
        default=default,
        show_default=default is not None,
        help=f"The form of messages. {_listed()}." + ("" if default else f" {_BY_ADDRESS}"),
    )


@click.command("connect", epilog=_EPILOG, short_help="Speak to anything that listens.")
@click.argument("address")
@as_option("lines")
@click.option(
    "--exit-word",
    metavar="WORD",
    help="A line that ends the session; by default none does. [example: exit]",
)
@click.option("--reconnect", is_flag=True, help="Connect again when the peer has gone.")
@click.option("--json", "is_json", is_flag=True, help="Show each message as a JSON object.")
@click.option("--timing", is_flag=True, help="Show the time since the last line that was sent.")
@click.option(
    "--history",
    metavar="FILE",
    help="Keep the lines that are typed in this file; by default they are forgotten.",
)
@click.option(
    "--source", metavar="ADDRESS", help="The address of this end; by default the system chooses."
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86_400),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for datagrams when the input has ended.",
)
def connect(
    address: str,
    form_name: str,
    *,
    exit_word: str | None,
    reconnect: bool,
    is_json: bool,
    timing: bool,
    history: str | None,
    source: str | None,
    wait_s: float,
) -> int:
    """Send what is typed, a message in each line, and show what comes at once.

    When the input ends (Ctrl-D), this side of the connection ends; the peer may go on, and the
    session ends with it. When the peer ends first, so does the session. What the peer sends is
    shown in visible characters; --as raw passes octets on as they are.
    """
    spec = ListenSpec.parse(address)
    settings = Settings(
        form=form(form_name),
        exit_word=exit_word,
        reconnects=reconnect,
        is_json=is_json,
        has_timing=timing,
        wait_s=wait_s,
    )
    if settings.form.is_raw and not is_json:
        _refuse_with_raw(exit_word, reconnect, timing)
        return _copy(spec, source, wait_s)
    return _converse(spec, settings, source, history)


@click.command("send", epilog=_SEND_EPILOG, short_help="Send standard input to an address.")
@click.argument("address")
@as_option(None)
@click.option(
    "--source", metavar="ADDRESS", help="The address of this end; by default the system chooses."
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for datagrams in reply.",
)
def send(address: str, form_name: str | None, source: str | None, wait_s: float) -> int:
    """Send standard input, and write what comes back to standard output.

    To a stream it is sent as it is, and the end of the input ends this side; to an address of
    datagrams each line is one. --as chooses another form.
    """
    spec = ListenSpec.parse(address)
    default = "lines" if spec.address.scheme in DATAGRAMS else "raw"
    chosen = form(form_name or default)
    if chosen.is_raw:
        return _copy(spec, source, wait_s)
    return _converse(spec, Settings(form=chosen, wait_s=wait_s), source, None)


def _refuse_with_raw(exit_word: str | None, reconnect: bool, timing: bool) -> None:
    given = {"--exit-word": exit_word is not None, "--reconnect": reconnect, "--timing": timing}
    for option, is_given in given.items():
        if is_given:
            raise click.UsageError(f"{option} is for messages, and --as raw has none")


def _copy(spec: ListenSpec, source: str | None, wait_s: float) -> int:
    async def work() -> Ended:
        async with open_link(spec, None, source) as link:
            with Output() as output:
                return await transfer(link, Input(), output, wait_s=wait_s)

    return _told(spec, event_loop_runner(work()))


def _converse(spec: ListenSpec, settings: Settings, source: str | None, history: str | None) -> int:
    opened = partial(open_link, spec, settings.form.framing, source)
    with ExitStack() as undo:
        editor = line_editor(_PROMPT, history, say) if is_interactive() else None
        output = undo.enter_context(Output())
        screen: Screen = PlainScreen(output)
        if editor is not None:
            screen = undo.enter_context(editor)
        session = Session(settings, opened, screen, say)
        return _told(spec, event_loop_runner(session.run()))


def _told(spec: ListenSpec, ended: Ended) -> int:
    if ended is not Ended.BY_PEER:
        return 0
    say(f"{visible(str(spec))}: the peer has ended the connection")
    return _ENDED_BY_PEER
