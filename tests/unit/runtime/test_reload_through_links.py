"""A server in operation reads again what links lead to, as certbot and Kubernetes change them."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from tests.processes import PATIENCE_S, pierhead_command, ready_port, wait_until
from tests.warm import Running, pierhead

ZONE = "@ 300 SOA ns h {serial} 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


class Certbot:
    """``live/NAME/fullchain.pem`` is a link into ``archive/NAME``; each is replaced by itself."""

    def __init__(self, folder: Path) -> None:
        self._archive, self._live = folder / "archive" / "a", folder / "live" / "a"
        self._archive.mkdir(parents=True)
        self._live.mkdir(parents=True)
        self._number = 0
        self.cert, self.key = self._live / "fullchain.pem", self._live / "privkey.pem"

    def issue(self, cert: bytes, key: bytes) -> None:
        """Put new files beside the old ones, and point the links at them."""
        self._number += 1
        for link, content in ((self.cert, cert), (self.key, key)):
            name = f"{link.stem}{self._number}.pem"
            write(self._archive / name, content)
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../archive/a/{name}")


class Volume:
    """``..data`` is a link to a folder, and replaced at once; every name is a link through it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "volume"
        self._folder.mkdir()
        self._number = 0

    def publish(self, **files: bytes) -> None:
        """Write all files into a new folder, turn ``..data`` to it, and remove the old one."""
        self._number += 1
        new = self._folder / f"..2026_11_{self._number}"
        new.mkdir()
        for name, content in files.items():
            write(new / name.replace("_", "."), content)
        (self._folder / "..data_tmp").symlink_to(new.name)
        old = (self._folder / "..data").resolve()
        os.rename(self._folder / "..data_tmp", self._folder / "..data")
        for name in files:
            link = self._folder / name.replace("_", ".")
            if not link.is_symlink():
                link.symlink_to(f"..data/{link.name}")
        if self._number > 1:
            for left in old.iterdir():
                left.unlink()
            old.rmdir()

    def __truediv__(self, name: str) -> Path:
        return self._folder / name


def write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def issued(name: str) -> tuple[bytes, bytes]:
    leaf = trustme.CA().issue_cert(name)
    return b"".join(pem.bytes() for pem in leaf.cert_chain_pems), leaf.private_key_pem.bytes()


def presented(port: int) -> bytes:
    """Return the certificate that a client is shown, in PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock,
        context.wrap_socket(sock) as secured,
    ):
        found = secured.getpeercert(binary_form=True)
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found).encode()


def serial(port: int) -> str:
    return pierhead("query", f"@127.0.0.1:{port}", "example.", "SOA", "+short").stdout.split()[2]


def test_certificates_that_certbot_has_renewed(tmp_path: Path) -> None:
    certbot = Certbot(tmp_path)
    certificates = [issued(f"{name}.example") for name in ("first", "second", "third")]
    certbot.issue(*certificates[0])
    address = f"tls+tcp:127.0.0.1:0?cert={certbot.cert}&key={certbot.key}&strict-permissions"
    with Running([*pierhead_command(), "serve", "echo", "-l", address]) as running:
        port = ready_port(running)
        assert certificates[0][0].startswith(presented(port))
        for one in certificates[1:]:
            certbot.issue(*one)
            reload(running)
            assert one[0].startswith(presented(port))
        assert running.stop() == 0
    assert "Traceback" not in str(running)


def test_a_zone_and_a_certificate_in_volumes_of_kubernetes(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    certificates = [issued(f"{name}.example") for name in ("first", "second", "third")]

    def publish(number: int) -> None:
        cert, key = certificates[number - 1]
        zone = ZONE.format(serial=number).encode()
        volume.publish(tls_crt=cert, tls_key=key, example_zone=zone)

    publish(1)
    cert = f"cert={volume / 'tls.crt'}&key={volume / 'tls.key'}"
    served = ["--zone", str(volume / "example.zone")]
    addresses = ["-l", "127.0.0.1:0", "-l", f"tls+tcp:127.0.0.1:0?{cert}"]
    with Running([*pierhead_command(), "serve", "dns", *served, *addresses]) as running:
        ports = [int(word.partition("?")[0].rpartition(":")[2]) for word in ready(running)]
        plain, secured = ports[0], ports[-1]
        assert serial(plain) == "1"
        assert certificates[0][0].startswith(presented(secured))
        for number in (2, 3):
            publish(number)
            reload(running)
            assert serial(plain) == str(number)
            assert certificates[number - 1][0].startswith(presented(secured))
        assert running.stop() == 0
    assert "Traceback" not in str(running)


@pytest.mark.parametrize("becomes", ["nothing", "a pipe", "a loop"])
def test_a_link_that_leads_nowhere_keeps_what_is_in_force(tmp_path: Path, becomes: str) -> None:
    certbot = Certbot(tmp_path)
    cert, key = issued("first.example")
    certbot.issue(cert, key)
    address = f"tls+tcp:127.0.0.1:0?cert={certbot.cert}&key={certbot.key}"
    os.mkfifo(tmp_path / "pipe")
    with Running([*pierhead_command(), "serve", "echo", "-l", address]) as running:
        port = ready_port(running)
        certbot.cert.unlink()
        target = {"nothing": "none", "a pipe": tmp_path / "pipe", "a loop": certbot.cert.name}
        certbot.cert.symlink_to(target[becomes])
        running.process.send_signal(signal.SIGHUP)
        running.line("not reloaded")
        assert any(f"cannot read {certbot.cert}" in line for line in running.err), str(running)
        assert cert.startswith(presented(port))
        assert running.stop() == 0
    assert "Traceback" not in str(running)


def reload(running: Running) -> None:
    """Send SIGHUP, and return when everything has been read."""
    before = running.err.count("reloaded")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: running.err.count("reloaded") > before, running)


def ready(running: Running) -> list[str]:
    return running.line("ready").split()[1:]
