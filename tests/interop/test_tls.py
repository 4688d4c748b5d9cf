"""DNS over TLS, asked by kdig; and what the openssl program may and may not do with us."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from tests.processes import PATIENCE_S, ROOT, Running, pierhead_command

ZONE = ROOT / "examples" / "zones" / "example.zone"


@dataclass(frozen=True)
class Served:
    """A name server that answers over TLS at this port."""

    port: int
    authority: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued = authority.issue_cert("ns.example", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "dns.pem"))
    address = f"tls+tcp:127.0.0.1:0?cert={folder}/dns.pem"
    command = [*pierhead_command(), "serve", "dns", "--zone", str(ZONE), "-l", address]
    with Running(command) as running:
        port = re.search(r"tls\+tcp:127\.0\.0\.1:(\d+)", running.line("ready "))
        assert port, str(running)
        yield Served(int(port[1]), folder / "authority.pem")
        assert running.stop() == 0, str(running)
        assert not any("Traceback" in line for line in running.err), str(running)


def run(*command: str, asks: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=asks, capture_output=True, text=True, timeout=PATIENCE_S, errors="replace"
    )


@pytest.mark.rfc("7858", "3.1")
def test_kdig_is_answered_over_tls_by_a_server_it_has_verified(program, served) -> None:
    done = run(
        program("kdig"),
        "@127.0.0.1",
        f"-p{served.port}",
        f"+tls-ca={served.authority}",
        "+tls-hostname=ns.example",
        "www.example.",
        "AAAA",
    )
    assert "status: NOERROR" in done.stdout, done
    assert "2001:db8::80" in done.stdout
    assert "TLS session (TLS1.3)" in done.stdout


@pytest.mark.rfc("7858", "3.3")
def test_kdig_sends_many_queries_on_one_connection(program, served) -> None:
    queries = [("www.example.", "AAAA"), ("example.", "SOA"), ("no.example.", "A")] * 5
    words = [word for query in queries for word in query]
    done = run(program("kdig"), "@127.0.0.1", f"-p{served.port}", "+tls", "+keepopen", *words)
    assert done.stdout.count("status: NOERROR") == 10, done
    assert done.stdout.count("status: NXDOMAIN") == 5


def test_openssl_agrees_on_dot_by_alpn_and_on_nothing_else(program, served) -> None:
    good = s_client(program, served, "-alpn", "dot")
    assert "ALPN protocol: dot" in good.stdout
    assert "Verify return code: 0 (ok)" in good.stdout
    bad = s_client(program, served, "-alpn", "h2")
    assert "no application protocol" in bad.stderr.lower()


@pytest.mark.rfc("9325", "3.1.1")
def test_old_versions_are_refused(program, served) -> None:
    assert "TLSv1.2" in s_client(program, served, "-tls1_2").stdout
    for version in ("-tls1", "-tls1_1"):
        done = s_client(program, served, version, "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in done.stdout, done


@pytest.mark.rfc("9325", "3.5")
def test_a_client_that_wants_to_renegotiate_is_refused(program, served) -> None:
    done = s_client(program, served, "-tls1_2", asks="R\n")
    assert "RENEGOTIATING" in done.stderr
    assert "no renegotiation" in done.stderr


def s_client(program, served: Served, *words: str, asks: str = "Q\n"):
    return run(
        program("openssl"),
        "s_client",
        "-connect",
        f"127.0.0.1:{served.port}",
        "-CAfile",
        str(served.authority),
        "-servername",
        "ns.example",
        *words,
        asks=asks,
    )
