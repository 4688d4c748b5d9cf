"""DNS over HTTPS beside DNS over TLS, on one port, asked by curl and kdig."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.processes import PATIENCE_S, ROOT, Running, pierhead_command

from pierhead.protocols import dns

ZONE = ROOT / "examples" / "zones" / "example.zone"
QUERY = bytes.fromhex("00000100000100000000000003777777076578616d706c650000010001")
IN_TEXT = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlAAABAAE"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    folder = tmp_path_factory.mktemp("doh")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "dns.pem"))
    (folder / "query").write_bytes(QUERY)
    address = f"tls+tcp:127.0.0.1:0?cert={folder}/dns.pem&alpn=http/1.1,dot"
    with Running(
        [*pierhead_command(), "serve", "dns", "--zone", str(ZONE), "-l", address]
    ) as running:
        port = re.search(r":(\d+)$", running.line("ready "))
        assert port, str(running)
        yield int(port[1]), folder
        assert running.stop() == 0, str(running)
        assert not any("Traceback" in line for line in running.err), str(running)


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_S)


@pytest.mark.rfc("8484", "4.1")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_curl_gets_the_answer(program, served, method) -> None:
    port, folder = served
    url = f"https://localhost:{port}/dns-query"
    words = [program("curl"), "-sf", "--cacert", str(folder / "authority.pem")]
    if method == "GET":
        done = run(*words, f"{url}?dns={IN_TEXT}")
    else:
        kind = "Content-Type: application/dns-message"
        done = run(*words, "-H", kind, "--data-binary", f"@{folder}/query", url)
    assert done.returncode == 0, done
    assert done.stdout.endswith(bytes([192, 0, 2, 80]))
    assert dns.max_age(done.stdout) == 300


def test_curl_resolves_names_by_it(program, served) -> None:
    port, _ = served
    words = ["--doh-url", f"https://localhost:{port}/dns-query", "--doh-insecure"]
    done = run(program("curl"), "-sv", "--connect-timeout", "2", *words, "http://www.example:9/")
    assert b"DoH A: 192.0.2.80" in done.stderr, done


@pytest.mark.rfc("7858", "3.1")
def test_kdig_asks_over_tls_on_the_same_port(program, served) -> None:
    port, folder = served
    authority = f"+tls-ca={folder}/authority.pem"
    words = [f"-p{port}", authority, "+tls-hostname=localhost", "www.example.", "+short"]
    assert run(program("kdig"), "@127.0.0.1", *words).stdout == b"192.0.2.80\n"


@pytest.mark.rfc("9112", "9.3")
def test_a_connection_carries_one_message_after_another(program, served) -> None:
    port, folder = served
    url = f"https://localhost:{port}/dns-query?dns={IN_TEXT}"
    words = ["-sfv", "--cacert", str(folder / "authority.pem"), url, "-o", "/dev/null", url]
    done = run(program("curl"), *words, "-o", "/dev/null")
    assert done.returncode == 0, done
    assert b"Re-using existing connection" in done.stderr
