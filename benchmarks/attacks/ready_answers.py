"""Queries that differ after the question, to fill memory with ready answers.

    python benchmarks/attacks/ready_answers.py

Sends 24,000 queries of 60,000 octets for one name to a server of one zone, each with another record
after the question, waits for each answer, and prints by how much the server has grown.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

QUERIES = 24_000
JUNK = 60_000
ZONE = "$ORIGIN example.\n$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
QUESTION = b"\x02ns\x07example\x00\x00\x01\x00\x01"


def query(number: int) -> bytes:
    """Return a query with an unused record that is different in each."""
    head = struct.pack("!HHHHHH", number & 0xFFFF, 0, 1, 0, 0, 1)
    record = struct.pack("!BHHIH", 0, 16, 1, 0, JUNK)
    return head + QUESTION + record + struct.pack("!I", number) + bytes(JUNK - 4)


def resident_kb(pid: int) -> int:
    """Return how much memory a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit("no VmRSS in /proc")


def attack(port: int, pid: int) -> str:
    """Send the queries and return the effect."""
    before = resident_kb(pid)
    answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1.0)
        sender.connect(("127.0.0.1", port))
        for number in range(QUERIES):
            sender.send(query(number))
            try:
                sender.recv(4096)
                answered += 1
            except TimeoutError:
                pass
    grown = (resident_kb(pid) - before) / 1024
    return f"{QUERIES} queries of {JUNK} octets, {answered} answered: {grown:+.1f} MB resident"


def main() -> None:
    """Start a server, attack it, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        zone = Path(folder, "example.zone")
        zone.write_text(ZONE)
        command = [sys.executable, "-m", "pierhead", "serve", "dns", "--zone", str(zone)]
        with subprocess.Popen(
            [*command, "-l", "udp:127.0.0.1:0"], stderr=subprocess.PIPE, text=True
        ) as server:
            assert server.stderr is not None
            ready = next(line for line in server.stderr if line.startswith("ready "))
            print(attack(int(ready.rpartition(":")[2]), server.pid))
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
