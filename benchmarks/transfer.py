"""Copying a file from process to process over loopback: `pierhead send` and `listen`, and socat.

    python benchmarks/transfer.py               1 GiB, three rounds of each, in turn
    python benchmarks/transfer.py --mib 64      less

Each round copies a file of random octets through a UNIX socket and through TCP, compares the digest
and measures the time, from the start of the sender to the end of the receiver, and the largest
resident memory of either. The programs:

    pierhead    `pierhead listen --once --as raw ADDRESS > copy`, `pierhead send ADDRESS < file`
    socat       `socat -u -b 262144 LISTEN - > copy`, `socat -u -b 262144 - CONNECT < file`
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = "262144"
ROUNDS = 3
PIERHEAD = [sys.executable, "-m", "pierhead"]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def commands(program: str, network: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return the command lines of the receiver and of the sender."""
    port = free_port()
    if program == "pierhead":
        address = f"tcp:127.0.0.1:{port}" if network == "tcp" else f"unix:{folder}/s"
        return [*PIERHEAD, "listen", "--once", "--as", "raw", address], [
            *PIERHEAD,
            "send",
            address,
        ]
    listen, connect = (
        (f"TCP-LISTEN:{port},bind=127.0.0.1", f"TCP:127.0.0.1:{port}")
        if network == "tcp"
        else (f"UNIX-LISTEN:{folder}/s", f"UNIX-CONNECT:{folder}/s")
    )
    socat = ["socat", "-u", "-b", BLOCK]
    return [*socat, listen, "-"], [*socat, "-", f"{connect},retry=50,interval=0.1"]


def wait_for(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Return the exit code and the largest resident memory in MiB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / 1024


def copy(program: str, network: str, file: Path, folder: Path) -> tuple[float, float]:
    """Return seconds, and the memory of the larger process in MiB."""
    receive, send = commands(program, network, folder)
    received = folder / "copy"
    with received.open("wb") as target, file.open("rb") as source:
        receiver = subprocess.Popen(receive, stdout=target, stderr=subprocess.PIPE)
        assert receiver.stderr
        if program == "pierhead":
            next(line for line in receiver.stderr if line.startswith(b"ready"))
        else:
            time.sleep(0.5)
        began = time.perf_counter()
        sender = subprocess.Popen(send, stdin=source, stdout=subprocess.DEVNULL)
        codes, memory = zip(wait_for(sender), wait_for(receiver), strict=True)
        seconds = time.perf_counter() - began
        receiver.stderr.close()
    assert codes == (0, 0), codes
    assert digest(received) == digest(file), "the copy differs"
    received.unlink()
    (folder / "s").unlink(missing_ok=True)
    return seconds, max(memory)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    programs = ["pierhead", *(["socat"] if shutil.which("socat") else [])]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        file = folder / "file"
        with file.open("wb") as target:
            for _ in range(arguments.mib):
                target.write(os.urandom(1 << 20))
        for network in ("unix", "tcp"):
            found: dict[str, list[tuple[float, float]]] = {program: [] for program in programs}
            for _ in range(arguments.rounds):
                for program in programs:
                    found[program].append(copy(program, network, file, folder))
            for program, rounds in found.items():
                seconds = statistics.median(one[0] for one in rounds)
                speed = arguments.mib / seconds
                memory = max(one[1] for one in rounds)
                print(f"{network:5}{program:10}{speed:8.0f} MiB/s {memory:6.0f} MiB of memory")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
