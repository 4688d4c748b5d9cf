"""Writes docs/reference/addresses.md from the tables of `pierhead.address`.

    python docs/generate_addresses.py            write the page
    python docs/generate_addresses.py --check    exit with 1 if the page is not up to date

What stands here by hand is checked: an address has to parse, a scheme needs a form, a flag of
tokio-listener a row, and a feature the test that shows it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tokio_listener_features import FEATURES, Feature

from pierhead.address import OPTIONS, SCHEMES, WRAPPERS, ListenSpec, Option
from pierhead.address.option import Effect, Side
from pierhead.address.schemes import LINUX, POSIX
from pierhead.errors import PierheadError

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path(__file__).parent / "reference" / "addresses.md"

INTRODUCTION = """\
# Addresses

What a server listens on, and what a client dials, is one string, the same in a program, on the
command line and in what a server prints:

    [wrapper+]*scheme:target[?key=value&…]

- A scheme says what is listened on, a wrapper what stands between it and the protocol.
- Options come behind the first `?`, with `&` between them. A key that is unknown, given twice or
  not for this address is an error. A key alone switches on.
- `%` and two hexadecimal digits stand for an octet in paths, names and values: `%3F` for `?`,
  `%26` for `&`, `%25` for `%`.
- A client takes the same text for any address that leads to one place: one host and port, a path, a
  name. Of the options, some are for listening, some for dialling, some for both; those of the
  wrong side are refused.
- An address has one canonical spelling, which `str(ListenSpec.parse(text))` and
  `pierhead address explain` print; it parses back to an equal value.
- A configuration file may have [a table](../howto/configuration.md) of address and options instead.

This page is written by `docs/generate_addresses.py` from the tables of `pierhead.address`
(`make pages`). Why the grammar is as it is: [decision 1](../decisions/0001-address-grammar.md).
"""


OPTIONS_INTRODUCTION = """\
## Options

Times are whole numbers with `ms`, `s` or `m`, sizes have `B`, `KiB` or `MiB`. An option exists
wherever its address does, unless systems are named. Those that would have no effect are refused.

The table says what an option is for, which part applies it, and when a change of it can take effect
while a server runs: at once, for new connections, or with a new listener, for which the address is
bound again.
"""


class Form(NamedTuple):
    """One way to write an address."""

    text: str
    meaning: str


SHORT_FORMS = (
    Form("127.0.0.1:8080", "the protocol's defaults: UDP and TCP for DNS, TCP for lines"),
    Form("[::1]:8080", "likewise; IPv6 in brackets"),
    Form("[fe80::1%eth0]:8080", "likewise, on one interface"),
    Form("localhost:8080", "every address of a host, resolved when opened"),
    Form(":8080", "every IPv4 and IPv6 address of this host"),
    Form("*:8080", "the same"),
    Form("/run/app.sock", "a Unix domain socket"),
    Form("./app.sock", "the same, from the current directory"),
    Form("../app.sock", "the same, from the parent directory"),
    Form("@app", "a name in Linux's abstract namespace"),
    Form("sd-listen", "the only socket that systemd passes; also `sd_listen`, `sd-listen-unix`"),
    Form("sd-listen:web", "all that systemd passes under this name; also `sd_listen:web`"),
    Form("sd-listen:*", "all that systemd passes"),
    Form("inetd", "standard input and output"),
    Form("stdio", "the same"),
    Form("-", "the same"),
)

FORMS = {
    "tcp": (
        Form("tcp:127.0.0.1:8080", "one address and port"),
        Form("tcp:[::]:8080", "IPv6; whether IPv4 as well is up to the system, or `v6only`"),
        Form("tcp::8080", "every IPv4 and IPv6 address of this host: a socket for each family"),
        Form("tcp:127.0.0.1:0", "a port that the system chooses; `server.addresses` has it"),
        Form("tcp:127.0.0.1:8000-8003", "a range of ports, with a listener for each; at most 1024"),
        Form("tcp:localhost:8080", "every address of a host, resolved when opened"),
        Form("tcp://127.0.0.1:8080", "`//` may precede a host"),
    ),
    "udp": (
        Form("udp:127.0.0.1:5353", "as for tcp"),
        Form("udp:239.1.2.3:5000?multicast=join", "a multicast group"),
    ),
    "quic": (Form("quic::443?cert=a.pem", "parsed and explained; this version does not open it"),),
    "unix": (
        Form("unix:/run/app.sock?mode=0660", "a path, which begins with `/`, `./` or `../`"),
        Form("unix:/run/%FF.sock", "a path is octets"),
        Form("unix:@app", "an abstract name"),
        Form("unix:@app?pad=full", "the same, padded with NUL, as in HAProxy"),
    ),
    "unixgram": (Form("unixgram:/run/log.sock", "paths and names as for unix"),),
    "unixseq": (Form("unixseq:/run/control.sock", "paths and names as for unix"),),
    "fd": (
        Form("fd:7", "an inherited socket of any type"),
        Form("fd:5,6?type=dgram", "several, and only if they are of this type"),
    ),
    "sd": (
        Form("sd:", "the only socket; several are an error that lists their names"),
        Form("sd:web", "every socket of this name"),
        Form("sd:web#1", "the second of this name"),
        Form("sd:#0", "the first of all"),
        Form("sd:web*", "every socket whose name begins with this"),
        Form("sd:*?optional", "every socket, or none"),
    ),
    "launchd": (Form("launchd:Listeners", "a key of `Sockets` in the job's property list"),),
    "inetd": (
        Form("inetd", "one accepted connection, on standard input and output"),
        Form("inetd?mode=wait", "standard input is a socket to wait on"),
    ),
    "vsock": (
        Form("vsock:any:5000", "a port of any CID of this machine"),
        Form("vsock:2:5000", "a CID and a port; `hypervisor` is 0, `local` 1, `host` 2"),
        Form("vsock:any:any", "a port that the system chooses"),
    ),
    "vsockseq": (Form("vsockseq:any:5000", "CID and port as for vsock"),),
    "mem": (Form("mem:app", "a name in the memory network of this event loop, for tests"),),
    "memgram": (
        Form("memgram:app?loss=0.01&seed=7", "a name for datagrams, some of which are lost"),
    ),
}

WRAPPED = (
    Form("tls+tcp::853?cert=dns.pem", "TLS"),
    Form("tls+tcp:dns.example:853?ca=authority.pem", "TLS, from a client"),
    Form("tls+127.0.0.1:853?cert=dns.pem", "TLS; a short form has the protocol's defaults"),
    Form("tls+sd:https?cert=a.pem&cert=b.pem", "TLS on what systemd passes, two certificates"),
    Form("proxy+tcp::80?proxy.from=10.0.0.0/8", "the client's address from a PROXY header"),
    Form("proxy+udp::53?proxy.from=10.0.0.0/8", "the same, a header in each datagram"),
    Form("proxy+tls+tcp::443?cert=a.pem&proxy.from=10.0.0.0/8", "the header first, then TLS"),
    Form("tls+proxy+tcp::443?cert=a.pem&proxy.from=10.0.0.0/8", "the header inside TLS"),
)

#: What parses and no listener applies: options of `quic:`, which is not opened at all.
NOT_APPLIED = frozenset({"retry", "0rtt"})


_FEATURES_INTRODUCTION = """\
## For users of tokio-listener

The addresses of the Rust library tokio-listener mean here what they mean there, but for what is
remarked; its flags are options of the address, and [flags](command-line.md#flags-for-addresses)
under their own names. [How to come from there](../howto/coming-from-tokio-listener.md) says what
that means for a program. Each row names the test that shows it. Neither has, yet: QUIC,
and the hand-over of a listening socket to the next version of the program.
"""


def page() -> str:
    """Return the text of the page."""
    _check_tables()
    parts = [INTRODUCTION, "## Short forms\n", *_forms(SHORT_FORMS), "## Schemes\n"]
    for name, scheme in SCHEMES.items():
        kind = scheme.kind or "as the socket"
        parts.append(
            f"### `{name}:`\n\n{_capital(scheme.meaning)}: {kind}, {_on(scheme.platforms)}.\n"
        )
        parts += _forms(FORMS[name])
    parts += ["## Wrappers\n", "Written in the order on the wire.\n"]
    parts.append("".join(f"- `{name}+`: {meaning}\n" for name, meaning in WRAPPERS.items()))
    parts += [*_forms(WRAPPED), OPTIONS_INTRODUCTION]
    head = ["| option | for | applied by | a change takes effect |", "|---|---|---|---|"]
    parts.append("\n".join([*head, *map(_row, OPTIONS), ""]))
    parts += ["\n".join(_option(option)) for option in OPTIONS]
    parts.append(_FEATURES_INTRODUCTION)
    for title, features in FEATURES.items():
        rows = [_feature(feature) for feature in features]
        head = ["| feature | written here | remark | shown by |", "|---|---|---|---|"]
        parts += [f"### {title}\n", "\n".join([*head, *rows, ""])]
    return "\n".join(parts)


def _check_tables() -> None:
    if list(FORMS) != list(SCHEMES):
        raise SystemExit(f"FORMS has {', '.join(FORMS)}; expected {', '.join(SCHEMES)}")
    for scheme, forms in FORMS.items():
        for form in forms:
            if _parse(form.text).address.scheme != scheme:
                raise SystemExit(f"{form.text} is no form of {scheme}:")
    named = " ".join(feature.name for feature in FEATURES["Options"])
    for option in OPTIONS:
        if option.flag and f"`{option.flag}`" not in named:
            raise SystemExit(f"FEATURES has no row for {option.flag}")


def _parse(text: str) -> ListenSpec:
    try:
        return ListenSpec.parse(text)
    except PierheadError as error:
        raise SystemExit(f"the page would show an address that is none: {error}") from None


def _checked(text: str) -> str:
    _parse(text)
    return text


def _forms(forms: tuple[Form, ...]) -> Iterator[str]:
    yield "| written | canonical | means |\n|---|---|---|"
    for form in forms:
        canonical = str(_parse(form.text))
        shown = "the same" if canonical == form.text else f"`{canonical}`"
        yield f"| `{form.text}` | {shown} | {form.meaning} |"
    yield ""


def _row(option: Option) -> str:
    layers = ", and ".join(layer.value for layer in option.applied_by)
    effect = option.effect.value
    is_for_datagrams = bool(option.schemes & _DATAGRAMS)
    if option.effect is Effect.NEW_CONNECTIONS and is_for_datagrams:
        effect += ", on datagrams at once"
    if Side.LISTEN not in option.sides:
        effect = "for new connections"
    return f"| {_title(option)} | {_sides(option)} | {layers} | {effect} |"


def _sides(option: Option) -> str:
    return " and ".join(side.value for side in Side if side in option.sides)


#: Schemes of datagrams that this version opens.
_DATAGRAMS = frozenset(s.name for s in SCHEMES.values() if s.kind == "datagram" and s.is_opened)


def _title(option: Option) -> str:
    several = [one for one in OPTIONS if one.key == option.key]
    of = f" of {', '.join(sorted(option.schemes))}" if len(several) > 1 else ""
    return f"`{option.key}`{of}"


def _option(option: Option) -> Iterator[str]:
    yield f"### {_title(option)}\n\n{_capital(option.meaning)}.\n"
    yield f"- example: `{option.example}`"
    yield f"- value: {_value(option)}"
    yield f"- default: {_default(option)}"
    systems = f", {_on(option.platforms)}" if option.platforms else ""
    yield f"- for {_for(option)}{systems}; for {_sides(option)}"
    if option.other_side:
        yield f"- on the other side: `{option.other_side}`"
    if option.repeats:
        yield "- may be given more than once"
    if option.stands_for:
        yield f"- kept and printed as `{option.stands_for}`"
    if option.flag:
        yield f"- flag of tokio-listener: `{option.flag}`"
    if option.key in NOT_APPLIED:
        yield "- not supported in this version: an address with it is not opened"
    yield ""


def _value(option: Option) -> str:
    unit = option.type.unit
    says_unit = unit in option.type.expected
    alone = "; as a bare key it means on" if option.type.bare is True else ""
    return option.type.expected + ("" if says_unit else f" ({_UNITS.get(unit, unit)})") + alone


#: How a program gets the value, where it is not in the unit that is written.
_UNITS = {"s": "a program gets seconds"}


def _default(option: Option) -> str:
    if option.default is None:
        return option.default_note
    return option.type.show(option.default) or "on"


def _for(option: Option) -> str:
    """Say which addresses an option is for."""
    words = [f"`{name}`" for name in SCHEMES if name in option.schemes]
    if option.schemes == frozenset(SCHEMES):
        words = ["every scheme"]
    words += [f"`{wrapper}+`" for wrapper in sorted(option.wrappers)]
    names = {None: "", True: " (abstract names)", False: " (paths)"}[option.abstract]
    return ", ".join(words) + names


_SYSTEMS = {"darwin": "macOS", "ios": "iOS", "freebsd": "FreeBSD", "sunos": "Solaris"}


def _on(platforms: tuple[str, ...]) -> str:
    """Say on which systems; short where the table has a name for all of them."""
    if not platforms:
        return "on every system"
    if set(platforms) == set(POSIX):
        return "on every system but Windows"
    missing = [_SYSTEMS.get(name, name) for name in POSIX if name not in platforms]
    if len(missing) < 3:
        return f"on every system but {', '.join(['Windows', *missing])}"
    rest = [_SYSTEMS[name] for name in platforms if name not in LINUX]
    linux = ["Linux"] if set(LINUX) <= set(platforms) else []
    return f"on {', '.join([*linux, *rest])}"


def _feature(feature: Feature) -> str:
    written = ", ".join(f"`{_checked(text)}`" for text in feature.written.split())
    path, _, name = feature.test.partition("::")
    if name not in _tests(path):
        raise SystemExit(f"{feature.name}: there is no test {feature.test}")
    text = name.removeprefix("test_").replace("_", " ")
    return f"| {feature.name} | {written} | {feature.note} | [{text}](../../{path}) |"


@cache
def _tests(path: str) -> frozenset[str]:
    file = ROOT / path
    tree = ast.parse(file.read_text(encoding="utf-8") if file.exists() else "")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/reference/addresses.md is not up to date; run: make pages", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
