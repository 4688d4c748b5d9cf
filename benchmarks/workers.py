"""What several workers cost, and how evenly they share: CPU per DNS query beside one worker.

    python benchmarks/workers.py               one worker and two, three rounds of 4 s each
    python benchmarks/workers.py --workers 4

dnsperf asks from 64 source ports, over UDP. CPU is the kernel's account of the processes that
serve, user and system; the split is that of the CPU time among the workers.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORTS = 64
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=4)
    given = arguments.parse_args()
    if shutil.which("dnsperf") is None:
        raise SystemExit("dnsperf is not installed: apt-get install dnsperf")
    costs: dict[int, list[float]] = {1: [], given.workers: []}
    for _ in range(given.rounds):
        for workers, found in costs.items():
            cost, shares = measured(workers, given.seconds)
            found.append(cost)
            split = " ".join(f"{share:.0%}" for share in shares)
            print(f"{workers} workers: {cost:.1f} µs of CPU per query; split {split}")
    one, several = (statistics.median(found) for found in costs.values())
    print(f"{given.workers} workers take {several / one:.2f} times the CPU of one")


def measured(workers: int, seconds: int) -> tuple[float, list[float]]:
    """Return µs of CPU per query, and each worker's share of it."""
    command = [
        *(sys.executable, "-m", "pierhead", "serve", "dns", "--zone", str(ROOT / "examples/zones")),
        *("-l", "udp:127.0.0.1:0", "--workers", str(workers)),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            assert server.stderr is not None
            port = next(
                found[1]
                for line in server.stderr
                if (found := re.match(r"ready udp:127\.0\.0\.1:(\d+)", line))
            )
            pids = children(server.pid) if workers > 1 else [server.pid]
            before = [cpu_s(pid) for pid in pids]
            answered = ask(port, seconds)
            used = [cpu_s(pid) - began for pid, began in zip(pids, before, strict=True)]
        finally:
            server.send_signal(signal.SIGTERM)
    return 1e6 * sum(used) / answered, [one / sum(used) for one in used]


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def ask(port: str, seconds: int) -> int:
    """Return how many queries were answered."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as questions:
        questions.write("www.example. A\nnothing.example. A\nshop.example. A\n")
        questions.flush()
        done = subprocess.run(
            [
                "dnsperf",
                "-s",
                "127.0.0.1",
                "-p",
                port,
                "-d",
                questions.name,
                "-c",
                str(PORTS),
                "-l",
                str(seconds),
                "-q",
                "256",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"Queries completed:\s+(\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1])


if __name__ == "__main__":
    main()
