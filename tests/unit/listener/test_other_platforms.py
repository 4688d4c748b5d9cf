"""Systems that lack things: every module can still be imported, and says what it lacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pierhead.address import ListenSpec
from pierhead.errors import ListenError
from pierhead.listener.open import open_all

#: Runs in a process of its own: takes away what another system lacks, then imports everything.
PRETEND = """
import asyncio, ctypes, importlib, logging, multiprocessing, pkgutil, select, socket, ssl
import subprocess, sys
import concurrent.futures, email.utils, json, pathlib, platform, signal, tempfile, tomllib
import click, dns.rdata, dns.rdatatype, dns.zone, dns.tokenizer

platform, missing_modules, missing_names = sys.argv[1:]
for name in missing_names.split(","):
    if hasattr(socket, name):
        delattr(socket, name)
for name in missing_modules.split(","):
    sys.modules[name] = None  # an import of it fails
sys.platform = platform
import pierhead
for module in pkgutil.walk_packages(pierhead.__path__, "pierhead."):
    package, _, name = module.name.rpartition(".")
    # These import the library that they host (`hosting.uvicorn.site`).
    is_theirs = package.startswith("pierhead.hosting.") or name in ("typer", "plugin")
    if name != "__main__" and not is_theirs:
        importlib.import_module(module.name)
"""

WINDOWS = (
    "win32",
    "fcntl,grp,pwd,termios,resource,uvloop",
    "AF_UNIX,AF_VSOCK,SO_REUSEPORT,MSG_NOSIGNAL,MSG_DONTWAIT,IPV6_RECVPKTINFO,SO_PEERCRED",
)
MACOS = ("darwin", "uvloop", "AF_VSOCK,MSG_NOSIGNAL,SO_PEERCRED,SO_BINDTODEVICE,TCP_KEEPIDLE")


@pytest.mark.parametrize("lacks", [WINDOWS, MACOS], ids=["windows", "macos"])
def test_every_module_can_be_imported(lacks) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PRETEND, *lacks], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "address",
    ["unix:./s", "unixgram:@a", "fd:5", "sd:", "inetd", "vsock:any:1", "launchd:L"],
)
async def test_options_that_windows_lacks_are_refused_by_name(address, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    scheme = ListenSpec.parse(address).address.scheme
    with pytest.raises(ListenError, match=f"win32 has no {scheme}: "):
        await open_all([(ListenSpec.parse(address),)])


async def test_macos_has_no_seqpacket(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ListenError, match="darwin has no unixseq"):
        await open_all([(ListenSpec.parse("unixseq:./s"),)])


async def test_only_linux_has_abstract_names(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd14")
    with pytest.raises(ListenError, match="freebsd14 has no abstract names"):
        await open_all([(ListenSpec.parse("unix:@a"),)])
