"""The interpreter that `tests.warm` forks programs from: it has Pierhead loaded, and waits.

Started with the number of its end of a pair of sockets. Each message there is a program: words,
folder and environment as JSON, a pipe for what becomes of it, and its descriptors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import types
import warnings

#: What the programs of the tests import. None of it starts a thread.
LOADED = (
    "click.shell_completion",
    "pierhead.cli.address",
    "pierhead.cli.query",
    "pierhead.cli.serve_dns",
    "pierhead.cli.serving",
    "pierhead.cli.zone",
    "pierhead.protocols.dns.endpoint",
    "pierhead.protocols.dns.middleware",
    "pierhead.protocols.dns.services.zones",
    "pierhead.protocols.lines",
    "pierhead.runtime.run",
    "uvloop",
)

MOST_BYTES = 2**20
MOST_DESCRIPTORS = 32


@dataclasses.dataclass
class Job:
    """A program to become."""

    words: list[str]
    cwd: str
    env: dict[str, str]
    numbers: list[int]  # of its descriptors, as it is to see them
    descriptors: list[int]  # the same, as they are now


def main() -> None:
    """Become the programs that are asked for, or end with the tests."""
    for module in LOADED:
        importlib.import_module(module)
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # is for the tests; we end when they do
    gc.freeze()
    job = forked(control)
    if job is not None:
        become(job)


def forked(control: socket.socket) -> Job | None:
    """Fork for each message; return its job in the child, and None once there are no more."""
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    reports: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([control, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
            _report_ends(reports)
        if control not in readable:
            continue
        data, descriptors, _, _ = socket.recv_fds(control, MOST_BYTES, MOST_DESCRIPTORS)
        if not data:
            return None
        report, *descriptors = descriptors
        if not (pid := os.fork()):
            signal.set_wakeup_fd(-1)
            control.detach()
            return Job(**json.loads(data), descriptors=descriptors)
        os.write(report, b"%d\n" % pid)
        reports[pid] = report
        for number in descriptors:
            os.close(number)


def _report_ends(reports: dict[int, int]) -> None:
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        report = reports.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for this end any more
            os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(report)


def become(job: Job) -> None:
    """Run the program in this process, as a new interpreter would."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    _take(job.descriptors, job.numbers)
    os.chdir(job.cwd)
    os.environ.clear()
    os.environ.update(job.env)
    sys.path[1:1] = list(filter(None, job.env.get("PYTHONPATH", "").split(os.pathsep)))
    run(job.words)


def _take(descriptors: list[int], numbers: list[int]) -> None:
    """Put descriptors where the program expects them, and close all others but input.

    Standard input is ours, which has none.
    """
    far = max(numbers) + 1
    moved = [fcntl.fcntl(one, fcntl.F_DUPFD, far) for one in descriptors]
    for source, target in zip(moved, numbers, strict=True):
        os.dup2(source, target)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number not in (0, *numbers):
            with contextlib.suppress(OSError):  # the one of the listing itself is gone
                os.close(number)


def run(words: list[str]) -> None:
    """Run what follows ``python`` on a command line, and leave through `SystemExit` as it does."""
    while words[0] == "-W":
        warnings.simplefilter(words[1])
        words = words[2:]
    match words:
        case ["-m", name, *rest]:
            sys.argv, sys.path[0] = [name, *rest], os.getcwd()
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        case ["-c", code, *rest]:
            sys.argv, sys.path[0] = ["-c", *rest], ""
            _run(code, "<string>")
        case [file, *rest]:
            sys.argv, sys.path[0] = [file, *rest], os.path.dirname(os.path.abspath(file))
            with open(file, encoding="utf-8") as source:
                code = source.read()
            _run(code, file)


def _run(code: str, file: str) -> None:
    program = sys.modules["__main__"] = types.ModuleType("__main__")
    program.__dict__.update(__file__=file, __builtins__=__builtins__)
    exec(compile(code, file, "exec"), program.__dict__)


if __name__ == "__main__":
    main()
