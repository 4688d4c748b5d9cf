"""CPU per DNS query of the whole server process, beside NSD and Knot DNS.

    python benchmarks/dns_queries.py            UDP and pipelined TCP, five rounds of 4 s each
    python benchmarks/dns_queries.py --json     the same, for a program to read

Why CPU time and not queries per second: on a shared machine, the rate says how busy others are.
User and system time of the server and its children, divided by the queries answered, says what a
query costs. The server is pinned to one core and the load to another; the servers take turns, and
the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.interop.peers import Peer, knot_server, nsd_server, pierhead_server, ready_server
from tests.processes import find_program

ORIGIN = "example.test."
NAMES = 1_000
QUERIES = 20_000
TRANSPORTS = ("udp", "tcp")
US_PER_TICK = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """What one server did in one round: microseconds of CPU per query, and the rate."""

    server: str
    transport: str
    user_us: float
    system_us: float
    queries: int
    lost: int
    seconds: float

    @property
    def total_us(self) -> float:
        return self.user_us + self.system_us


def write_zone(folder: Path) -> Path:
    """Write a zone of NAMES names with one address each; the file is named after the origin."""
    head = f"$ORIGIN {ORIGIN}\n$TTL 3600\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\n"
    hosts = "".join(f"h{n} A 192.0.2.{n % 250 + 1}\n" for n in range(NAMES))
    path = folder / "example.test.zone"
    path.write_text(f"{head}ns A 192.0.2.53\n{hosts}")
    return path


def write_queries(folder: Path) -> Path:
    """Write the questions in a random order that is always the same."""
    chance = random.Random(1)
    path = folder / "queries.txt"
    path.write_text("".join(f"h{chance.randrange(NAMES)}.{ORIGIN} A\n" for _ in range(QUERIES)))
    return path


def pinned(core: int | None) -> list[str]:
    """Return a command prefix that pins to one core; empty if there is only one."""
    return [] if core is None else ["taskset", "-c", str(core)]


def cores() -> tuple[int | None, int | None]:
    """Return the core of the server and the core of the load."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


@contextlib.contextmanager
def servers(folder: Path, core: int | None, wanted: list[str]) -> Iterator[list[Peer]]:
    """Run every wanted server that is installed."""
    zone = write_zone(folder)
    with contextlib.ExitStack() as running:
        peers = []
        for name, program, start in (
            ("nsd", "nsd", nsd_server),
            ("knot", "knotd", knot_server),
        ):
            if name not in wanted:
                continue
            if find_program(program) is None:
                print(f"{name} is not installed: left out", file=sys.stderr)
                continue
            own = folder / name
            own.mkdir()
            peers.append(running.enter_context(start({ORIGIN: zone}, own, wrap=pinned(core))))
        if "pierhead" in wanted:
            peers.append(running.enter_context(pierhead_server(zones=[zone], wrap=pinned(core))))
        for layers in ("standard", "mandatory"):
            if (name := f"pierhead-{layers}") in wanted:
                script = Path(__file__).with_name("serve_the_long_way.py")
                command = [*pinned(core), sys.executable, str(script), str(zone), layers]
                peers.append(running.enter_context(ready_server(name, command)))
        yield peers


def cpu_ticks(pid: int) -> tuple[int, int]:
    """Return user and system time of a process and all below it, in clock ticks."""
    user = system = 0
    for one in [pid, *_descendants(pid)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended just now
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            # utime, stime, and the same of children that have ended: fields 14 to 17 of proc(5).
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return user, system


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def measure(peer: Peer, transport: str, queries: Path, seconds: float, core: int | None) -> Sample:
    """Load one server for a while; return CPU time per answer."""
    command = [
        *pinned(core),
        *("dnsperf", "-s", peer.host, "-p", str(peer.port), "-d", str(queries), "-m", transport),
        *("-l", str(seconds), "-c", "16", "-q", "500", "-T", "1"),
    ]
    before = cpu_ticks(peer.pid)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = cpu_ticks(peer.pid)
    completed = _number(r"Queries completed:\s+(\d+)", output)
    answered = _number(r"NOERROR (\d+)", output)
    if not completed or answered < completed:
        raise SystemExit(f"{peer.name} did not answer as it should by {transport}:\n{output}")
    return Sample(
        server=peer.name,
        transport=transport,
        user_us=(after[0] - before[0]) * US_PER_TICK / completed,
        system_us=(after[1] - before[1]) * US_PER_TICK / completed,
        queries=completed,
        lost=_number(r"Queries lost:\s+(\d+)", output),
        seconds=seconds,
    )


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def rounds(
    peers: list[Peer], queries: Path, options: argparse.Namespace, core: int | None
) -> list[Sample]:
    """Measure all of them in turn, as often as asked; the first, short turn does not count."""
    samples: list[Sample] = []
    for transport in options.transport:
        for peer in peers:
            measure(peer, transport, queries, min(1.0, options.seconds), core)
        for number in range(options.rounds):
            print(f"{transport}, round {number + 1} of {options.rounds}", file=sys.stderr)
            samples += [measure(p, transport, queries, options.seconds, core) for p in peers]
    return samples


def summary(samples: list[Sample]) -> list[dict[str, object]]:
    """Return one row for each server and transport: medians, spread, and ours as a multiple."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.transport, sample.server), []).append(sample)
    ours = {
        transport: statistics.median(s.total_us for s in group)
        for (transport, server), group in groups.items()
        if server == "pierhead"
    }
    rows: list[dict[str, object]] = []
    for (transport, server), group in groups.items():
        totals = [s.total_us for s in group]
        median = statistics.median(totals)
        rows.append(
            {
                "transport": transport,
                "server": server,
                "us_per_query": round(median, 2),
                "lowest": round(min(totals), 2),
                "highest": round(max(totals), 2),
                "user_us": round(statistics.median(s.user_us for s in group), 2),
                "system_us": round(statistics.median(s.system_us for s in group), 2),
                "queries_per_s": round(statistics.median(s.queries / s.seconds for s in group)),
                "lost": sum(s.lost for s in group),
                "pierhead_to_this": (
                    round(ours[transport] / median, 2) if transport in ours else None
                ),
            }
        )
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| transport | server | µs of CPU per query | range | user + system | queries/s | lost "
        "| Pierhead to this |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row["pierhead_to_this"]
        lines.append(
            f"| {row['transport']} | {row['server']} | {row['us_per_query']} "
            f"| {row['lowest']}–{row['highest']} | {row['user_us']} + {row['system_us']} "
            f"| {row['queries_per_s']} | {row['lost']} | {'' if ratio is None else f'{ratio} ×'} |"
        )
    return "\n".join(lines)


def machine() -> dict[str, object]:
    """Say where the figures come from."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", info)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--transport", choices=TRANSPORTS, nargs="+", default=list(TRANSPORTS))
    parser.add_argument(
        "--server",
        nargs="+",
        default=["nsd", "knot", "pierhead", "pierhead-standard", "pierhead-mandatory"],
        help="pierhead is what the command serves; the others use no ready answers, with the "
        "standard layers or only the mandatory one",
    )
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    for program, package in (("dnsperf", "dnsperf"), ("taskset", "util-linux")):
        if find_program(program) is None:
            raise SystemExit(f"{program} is not installed (Debian: apt-get install {package})")
    server_core, load_core = cores()
    if server_core is None:
        print("one core only: server and load share it", file=sys.stderr)
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queries = write_queries(folder)
        with servers(folder, server_core, options.server) as peers:
            rows = summary(rounds(peers, queries, options, load_core))
    if options.json:
        print(json.dumps({"machine": where, "rows": rows}, indent=2))
    else:
        print(", ".join(f"{key} {value}" for key, value in where.items()))
        print(table(rows))


if __name__ == "__main__":
    main()
