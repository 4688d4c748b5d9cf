"""Time to load a large zone of simple records, beside what NSD and Knot DNS take.

    python benchmarks/zone_loading.py              200,000 records, five rounds
    python benchmarks/zone_loading.py --json       the same, for a program to read

A whole process is measured, including its start: ``nsd-checkzone``, ``kzonecheck`` and a Python
process that loads the zone and exits. For ours the loading alone and the peak of memory are shown
as well (for another program's peak the system reports at least that of its parent).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.dns_queries import machine
from tests.processes import find_program

ORIGIN = "large.test"

#: Loads the zone and says how long the loading itself took, and the peak of memory in KiB.
OURS = """\
import sys, time
from pierhead.protocols import dns
dns.zones
started = time.perf_counter()
service = dns.zones(sys.argv[1])
print(time.perf_counter() - started)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Sample:
    """What one process took."""

    wall_s: float
    cpu_s: float
    loading_s: float | None = None
    peak_mib: float | None = None


def write_zone(folder: Path, records: int) -> Path:
    """Write a zone of this many records: A, AAAA, MX and TXT by turns."""
    path = folder / f"{ORIGIN}.zone"
    kinds = ("A 192.0.2.{n}", "AAAA 2001:db8::{n:x}", "MX 10 h0", 'TXT "record {n}"')
    with path.open("w") as file:
        file.write(f"$ORIGIN {ORIGIN}.\n$TTL 3600\n@ SOA ns hostmaster 1 3600 900 604800 300\n")
        file.write("@ NS ns\nns A 192.0.2.53\n")
        for number in range(records - 3):
            kind = kinds[number % 4].format(n=number % 250 + 1)
            file.write(f"h{number} {kind}\n")
    return path


def run(command: Sequence[str]) -> Sample:
    """Run a program to its end and return the resources it used."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    cpu_s = used.ru_utime + used.ru_stime
    if command[0] != sys.executable:
        return Sample(wall_s, cpu_s)
    loading_s, peak_kib = map(float, said.split())
    return Sample(wall_s, cpu_s, loading_s, peak_kib / 1024)


def commands(zone: Path) -> dict[str, list[str]]:
    """Return how each loads the zone, for those that are installed."""
    wanted = {
        "nsd-checkzone": ["nsd-checkzone", ORIGIN, str(zone)],
        "kzonecheck": ["kzonecheck", "-o", ORIGIN, str(zone)],
        "pierhead": [sys.executable, "-c", OURS, str(zone)],
    }
    found = {name: find_program(command[0]) for name, command in wanted.items()}
    for name in (name for name, path in found.items() if path is None):
        print(f"{name} is not installed: left out", file=sys.stderr)
    return {name: [path, *wanted[name][1:]] for name, path in found.items() if path}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()

    where = machine()
    with tempfile.TemporaryDirectory() as name:
        todo = commands(write_zone(Path(name), options.records))
        samples: dict[str, list[Sample]] = {one: [] for one in todo}
        for _ in range(options.rounds):
            for one, command in todo.items():
                samples[one].append(run(command))
    rows = {one: _row(group) for one, group in samples.items()}
    if options.json:
        print(json.dumps({"machine": where, "records": options.records, "rows": rows}, indent=2))
        return
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    print(f"| {options.records:,} records | whole process, s | CPU, s | loading, s | peak, MiB |")
    print("|---|---|---|---|---|")
    for one, row in rows.items():
        print(
            f"| {one} | " + " | ".join("" if v is None else f"{v:.2f}" for v in row.values()), "|"
        )


def _row(group: list[Sample]) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for field in ("wall_s", "cpu_s", "loading_s", "peak_mib"):
        values = [getattr(sample, field) for sample in group]
        row[field] = None if None in values else statistics.median(values)
    return row


if __name__ == "__main__":
    main()
