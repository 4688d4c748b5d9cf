"""The servers that tests and benchmarks compare: BIND, NSD, Knot DNS and ours, on loopback.

Each is a context manager that yields a `Peer` once it answers and leaves nothing behind.
No root is needed; as root none of them changes its user, so that it can read a private folder.
"""

from __future__ import annotations

import base64
import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
from tests.processes import (
    Running,
    find_program,
    free_port,
    pierhead_command,
    wait_until,
)

from pierhead.protocols.dns.wire.tsig import Key, bind_text

__all__ = [
    "Peer",
    "bind_secondary",
    "bind_server",
    "knot_secondary",
    "knot_server",
    "nsd_secondary",
    "nsd_server",
    "pierhead_server",
]

#: How often a start is retried if another program took the free port in between.
ATTEMPTS = 3


@dataclass(frozen=True)
class Peer:
    """A name server that answers at this address, by UDP and TCP."""

    name: str
    host: str
    port: int
    running: Running

    @property
    def pid(self) -> int:
        """The process to measure, with its children."""
        return self.running.process.pid


@contextlib.contextmanager
def nsd_server(
    zones: Mapping[str, Path], directory: Path, *, wrap: Sequence[str] = ()
) -> Iterator[Peer]:
    """Run NSD with these zones (origin to file), its files in this directory."""
    program = find_program("nsd")
    assert program, "nsd is not installed"

    def command(port: int) -> list[str]:
        config = directory / "nsd.conf"
        config.write_text(_nsd_config(zones, directory, port))
        return [*wrap, program, "-d", "-c", str(config)]

    with _serving("nsd", command, next(iter(zones))) as peer:
        yield peer


def _nsd_config(zones: Mapping[str, Path], directory: Path, port: int) -> str:
    listed = "".join(
        f'zone:\n  name: "{origin}"\n  zonefile: "{path.resolve()}"\n'
        for origin, path in zones.items()
    )
    return f"""\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: ""
  database: ""
  pidfile: "{directory}/nsd.pid"
  zonelistfile: "{directory}/zone.list"
  xfrdfile: "{directory}/xfrd.state"
  xfrdir: "{directory}"
  logfile: "{directory}/nsd.log"
  server-count: 1
  tcp-count: 200
  rrl-ratelimit: 0
  minimal-responses: yes
  refuse-any: no
  round-robin: no
  zonefiles-check: no
remote-control:
  control-enable: no
{listed}"""


@contextlib.contextmanager
def knot_server(
    zones: Mapping[str, Path],
    directory: Path,
    *,
    wrap: Sequence[str] = (),
    keys: Sequence[Key] = (),
) -> Iterator[Peer]:
    """Run Knot DNS with these zones (origin to file), its files in this directory."""
    program = find_program("knotd")
    assert program, "knotd is not installed"

    def command(port: int) -> list[str]:
        config = directory / "knot.conf"
        config.write_text(_knot_keys(keys) + _knot_config(zones, directory, port, keys))
        return [*wrap, program, "-c", str(config)]

    with _serving("knot", command, next(iter(zones))) as peer:
        yield peer


def _knot_keys(keys: Sequence[Key]) -> str:
    if not keys:
        return ""
    listed = "".join(
        f'  - id: "{key.text}"\n    algorithm: {key.algorithm_text}\n'
        f'    secret: "{base64.b64encode(key.secret).decode()}"\n'
        for key in keys
    )
    names = ", ".join(f'"{key.text}"' for key in keys)
    signed = f"  - id: signed\n    key: [{names}]\n    action: [query, transfer]\n"
    return f"key:\n{listed}acl:\n{signed}  - id: unsigned\n    action: query\n"


def _knot_config(
    zones: Mapping[str, Path], directory: Path, port: int, keys: Sequence[Key] = ()
) -> str:
    access = "    acl: [signed, unsigned]\n" if keys else ""
    listed = "".join(
        f'  - domain: "{origin}"\n    file: "{path.resolve()}"\n{access}'
        for origin, path in zones.items()
    )
    return f"""\
server:
  rundir: "{directory}"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: "{directory}"
template:
  - id: default
    storage: "{directory}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
zone:
{listed}"""


@contextlib.contextmanager
def bind_server(
    zones: Mapping[str, Path],
    directory: Path,
    *,
    wrap: Sequence[str] = (),
    keys: Sequence[Key] = (),
) -> Iterator[Peer]:
    """Run BIND with these zones (origin to file), its files in this directory."""
    program = find_program("named")
    assert program, "named is not installed"

    def command(port: int) -> list[str]:
        config = directory / "named.conf"
        known = "".join(bind_text(key) for key in keys)
        config.write_text(known + _bind_config(zones, directory, port, keys))
        return [*wrap, program, "-g", "-n", "1", "-c", str(config)]

    with _serving("bind", command, next(iter(zones))) as peer:
        yield peer


def _bind_config(
    zones: Mapping[str, Path], directory: Path, port: int, keys: Sequence[Key] = ()
) -> str:
    secondaries = "".join(f'key "{key.text}"; ' for key in keys) or "none;"
    # A zone's name is quoted text: a backslash in it is one of the name's own.
    listed = "".join(
        f'zone "{origin}" {{ type primary; file "{path.resolve()}"; }};\n'
        for origin, path in zones.items()
    )
    return f"""\
options {{
  directory "{directory}";
  pid-file "{directory}/named.pid";
  session-keyfile "{directory}/session.key";
  managed-keys-directory "{directory}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  allow-query {{ any; }};
  allow-transfer {{ {secondaries} }};
  notify no;
  empty-zones-enable no;
  answer-cookie no;
  minimal-responses yes;
  minimal-any yes;
  message-compression yes;
  check-names primary ignore;
  check-integrity no;
  check-wildcard no;
  check-mx ignore;
  check-sibling no;
  zone-statistics none;
}};
controls {{ }};
{listed}"""


@contextlib.contextmanager
def nsd_secondary(origin: str, primary: Peer, directory: Path) -> Iterator[Peer]:
    """Run NSD as a secondary that asks every other second whether the zone has changed."""
    program = find_program("nsd")
    assert program, "nsd is not installed"

    def command(port: int) -> list[str]:
        config = directory / "nsd.conf"
        zone = f"""\
zone:
  name: "{origin}"
  zonefile: "{directory}/copy.zone"
  request-xfr: {primary.host}@{primary.port} NOKEY
  allow-notify: 127.0.0.1 NOKEY
  provide-xfr: 127.0.0.1 NOKEY
  min-refresh-time: 1
  max-refresh-time: 1
  min-retry-time: 1
  max-retry-time: 1
"""
        config.write_text(_nsd_config({}, directory, port) + zone)
        return [program, "-d", "-c", str(config)]

    with _serving("nsd", command, origin) as peer:
        yield peer


@contextlib.contextmanager
def knot_secondary(origin: str, primary: Peer, directory: Path) -> Iterator[Peer]:
    """Run Knot DNS as a secondary that asks every other second whether the zone has changed."""
    program = find_program("knotd")
    assert program, "knotd is not installed"

    def command(port: int) -> list[str]:
        config = directory / "knot.conf"
        config.write_text(f"""\
server:
  rundir: "{directory}"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: "{directory}"
remote:
  - id: primary
    address: {primary.host}@{primary.port}
acl:
  - id: here
    address: 127.0.0.1
    action: [transfer, notify]
zone:
  - domain: "{origin}"
    storage: "{directory}"
    file: copy.zone
    master: primary
    acl: here
    refresh-min-interval: 2
    refresh-max-interval: 2
    retry-min-interval: 1
    retry-max-interval: 1
""")
        return [program, "-c", str(config)]

    with _serving("knot", command, origin) as peer:
        yield peer


@contextlib.contextmanager
def bind_secondary(origin: str, primary: Peer, directory: Path) -> Iterator[Peer]:
    """Run BIND as a secondary that asks every other second whether the zone has changed."""
    program = find_program("named")
    assert program, "named is not installed"

    def command(port: int) -> list[str]:
        config = directory / "named.conf"
        zone = f"""\
zone "{origin}" {{
  type secondary;
  file "{directory}/copy.zone";
  masterfile-format text;
  primaries {{ {primary.host} port {primary.port}; }};
  allow-transfer {{ 127.0.0.1; }};
  allow-notify {{ 127.0.0.1; }};
  min-refresh-time 1;
  max-refresh-time 1;
  min-retry-time 1;
  max-retry-time 1;
}};
"""
        config.write_text(_bind_config({}, directory, port) + zone)
        return [program, "-g", "-n", "1", "-c", str(config)]

    with _serving("bind", command, origin) as peer:
        yield peer


@contextlib.contextmanager
def pierhead_server(
    *arguments: str, zones: Sequence[Path] = (), wrap: Sequence[str] = ()
) -> Iterator[Peer]:
    """Run ``pierhead serve dns`` on a port that the system chooses, with more arguments."""
    files = [part for zone in zones for part in ("--zone", str(zone))]
    serve = ["serve", "dns", *files, "-l", "127.0.0.1:0", *arguments]
    with ready_server("pierhead", [*wrap, *pierhead_command(), *serve]) as peer:
        yield peer


@contextlib.contextmanager
def ready_server(name: str, command: Sequence[str]) -> Iterator[Peer]:
    """Run a program that says ``ready`` and where; it must end well, without a traceback."""
    with Running(command) as running:
        host, port = _bound(running.line("ready "))
        yield Peer(name, host, port, running)
        code = running.stop()
        assert code == 0, f"stopped with exit code {code}: {running}"
        assert not any("Traceback" in line for line in running.err), str(running)


def _bound(ready: str) -> tuple[str, int]:
    """Return the host and port in ``ready udp:127.0.0.1:5300 tcp:127.0.0.1:5300``."""
    bound = dict(word.split(":", 1) for word in ready.split()[1:])
    assert {"udp", "tcp"} <= set(bound), f"expected a UDP and a TCP address in {ready!r}"
    assert bound["udp"] == bound["tcp"], f"expected one port for UDP and TCP in {ready!r}"
    host, _, port = bound["udp"].rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def _serving(name: str, command, origin: str) -> Iterator[Peer]:
    """Start a server on a given port, and on another port if that one has been taken."""
    for attempt in range(1, ATTEMPTS + 1):
        port = free_port()
        running = Running(command(port))
        try:
            wait_until(functools.partial(_answers, port, origin), running)
        except AssertionError:
            running.kill()
            if attempt == ATTEMPTS:
                raise
            continue
        with running:
            yield Peer(name, "127.0.0.1", port, running)
        return


def _answers(port: int, origin: str) -> bool:
    """Tell whether the zone is answered from with authority, by UDP and TCP."""
    query = dns.message.make_query(origin, "SOA")
    try:
        by_udp = dns.query.udp(query, "127.0.0.1", timeout=0.5, port=port)
        by_tcp = dns.query.tcp(query, "127.0.0.1", timeout=0.5, port=port)
    except (dns.exception.Timeout, OSError, EOFError):
        return False
    return all(reply.flags & dns.flags.AA for reply in (by_udp, by_tcp))
