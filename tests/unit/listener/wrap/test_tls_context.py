"""What can be wrong with certificates, said before anybody connects."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import socket
import subprocess

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from tls_client import Certificates

from pierhead.address import ListenSpec
from pierhead.errors import ListenError
from pierhead.listener.wrap.tls_context import load_contexts


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def load(query):
    return load_contexts(ListenSpec.parse(f"tls+tcp:127.0.0.1:0?{query}"))


def refusal(query):
    with pytest.raises(ListenError) as caught:
        load(query)
    assert caught.value.remedy
    return str(caught.value)


def test_a_certificate_and_its_key_may_stand_in_one_file_or_in_two(certificates, tmp_path):
    issued = certificates.authority.issue_cert("two.example")
    (tmp_path / "key").touch(0o600)
    issued.private_key_pem.write_to_path(str(tmp_path / "key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    in_two = load(f"cert={tmp_path}/cert&key={tmp_path}/key")
    in_one = load(f"cert={certificates.issue('two.example')}")
    assert set(in_two.by_name) == set(in_one.by_name) == {"two.example"}


def test_names_are_found_by_exact_name_then_by_wildcard(certificates):
    files = [certificates.issue("a.example", "b.example"), certificates.issue("*.b.example")]
    contexts = load("&".join(f"cert={file}" for file in files))
    first, second = contexts.default, contexts.by_name["*.b.example"]
    assert first is not second
    assert [
        contexts.for_name(name)
        for name in ("a.example", "b.example", "x.b.example", "x.y.b.example", "c", "", None)
    ] == [first, first, second, first, first, first, first]


def test_without_alternative_names_the_common_name_is_the_name(tmp_path):
    file = tmp_path / "old.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj"]
    subject = "/O=Old/CN=Old.example"
    try:
        subprocess.run(
            [*command, subject, "-keyout", f"{file}.key", "-out", file],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed (Debian: apt-get install openssl)")
    assert set(load(f"cert={file}&key={file}.key").by_name) == {"old.example"}


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert f"cannot read {tmp_path}/none: No such file" in refusal(f"cert={tmp_path}/none")


def test_a_file_that_may_not_be_read_is_named(certificates):
    file = certificates.issue("secret.example")
    os.chmod(file, 0)
    with _nobody_in_particular():
        text = refusal(f"cert={file}")
    assert f"cannot read {file}: Permission denied" in text


@contextlib.contextmanager
def _nobody_in_particular():
    """Be somebody who may not read everything, where the tests are run by root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_key_that_others_can_read_causes_a_warning_or_an_error(certificates, caplog):
    file = certificates.issue("open.example")
    os.chmod(file, 0o644)
    load(f"cert={file}")
    (record,) = caplog.records
    assert f"the key in {file} can be read or changed by everybody" in record.getMessage()
    assert f"chmod 600 {file}" in record.getMessage()
    assert "can be read or changed by everybody" in refusal(f"cert={file}&strict-permissions")
    os.chmod(file, 0o600)  # the remedy
    load(f"cert={file}&strict-permissions")


def test_a_world_readable_certificate_causes_no_warning(certificates, tmp_path, caplog):
    issued = certificates.authority.issue_cert("two.example")
    (tmp_path / "key").touch(0o600)
    issued.private_key_pem.write_to_path(str(tmp_path / "key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    os.chmod(tmp_path / "cert", 0o644)
    load(f"cert={tmp_path}/cert&key={tmp_path}/key&strict-permissions")
    assert not caplog.records


@pytest.mark.parametrize("option", ["cert", "key", "client-ca"])
def test_anything_but_a_regular_file_is_refused_at_once(certificates, tmp_path, option):
    file = certificates.issue("regular.example")
    os.mkfifo(tmp_path / "pipe")
    given = {"cert": file, option: tmp_path / "pipe"}
    text = refusal("&".join(f"{key}={path}" for key, path in given.items()))
    assert f"cannot read {tmp_path}/pipe: it is a pipe, expected a regular file" in text
    given[option] = "/dev/zero"
    text = refusal("&".join(f"{key}={path}" for key, path in given.items()))
    assert "cannot read /dev/zero: it is a device, expected a regular file" in text


def test_certificates_are_reached_by_the_links_of_certbot_and_kubernetes(certificates, tmp_path):
    first, second = certificates.issue("first.example"), certificates.issue("second.example")
    # certbot: live/NAME/fullchain.pem -> ../../archive/NAME/fullchain1.pem
    live, archive = tmp_path / "live" / "a", tmp_path / "archive" / "a"
    live.mkdir(parents=True)
    archive.mkdir(parents=True)
    for number, file in enumerate((first, second), 1):
        os.rename(file, archive / f"fullchain{number}.pem")
    (live / "fullchain.pem").symlink_to("../../archive/a/fullchain1.pem")
    before = load(f"cert={live}/fullchain.pem&strict-permissions")
    (live / "fullchain.pem").unlink()
    (live / "fullchain.pem").symlink_to("../../archive/a/fullchain2.pem")
    after = load(f"cert={live}/fullchain.pem&strict-permissions")
    assert set(before.by_name) == {"first.example"}
    assert set(after.by_name) == {"second.example"}
    # Kubernetes: tls.pem -> ..data/tls.pem, and ..data -> ..2026_11_28
    mounted = tmp_path / "mounted"
    (mounted / "..2026_11_28").mkdir(parents=True)
    os.rename(archive / "fullchain1.pem", mounted / "..2026_11_28" / "tls.pem")
    (mounted / "..data").symlink_to("..2026_11_28")
    (mounted / "tls.pem").symlink_to("..data/tls.pem")
    assert set(load(f"cert={mounted}/tls.pem").by_name) == {"first.example"}


def test_a_key_that_is_not_there_is_named(certificates, tmp_path):
    file = certificates.issue("k.example")
    assert f"cannot read {tmp_path}/none" in refusal(f"cert={file}&key={tmp_path}/none")


def test_a_key_of_another_certificate_is_refused(certificates):
    one, other = certificates.issue("one.example"), certificates.issue("other.example")
    text = refusal(f"cert={one}&key={other}")
    assert f"the key in {other} is not the key of the certificate in {one}" in text


def test_a_file_without_certificate_is_refused(tmp_path):
    (tmp_path / "x").write_text("nothing of the kind")
    assert "has no certificate in PEM form" in refusal(f"cert={tmp_path}/x")


def test_a_certificate_that_is_damaged_is_refused(tmp_path):
    parts = ("CERTIFICATE", "PRIVATE KEY")
    text = "".join(f"-----BEGIN {part}-----\nAAAA\n-----END {part}-----\n" for part in parts)
    (tmp_path / "x").write_text(text)
    assert "OpenSSL refuses" in refusal(f"cert={tmp_path}/x")


def test_an_encrypted_key_is_refused_without_asking_the_terminal(certificates, tmp_path):
    issued = certificates.authority.issue_cert("locked.example")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    (tmp_path / "key").write_bytes(locked)
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    text = refusal(f"cert={tmp_path}/cert&key={tmp_path}/key")
    assert f"the key in {tmp_path}/key is encrypted" in text


def test_authorities_of_clients_are_certificates(certificates, tmp_path):
    cert = certificates.issue("c.example")
    (tmp_path / "x").write_text("nothing of the kind")
    assert "has no certificate in PEM form" in refusal(f"cert={cert}&client-ca={tmp_path}/x")
    assert "cannot read" in refusal(f"cert={cert}&client-ca={tmp_path}/none")


def test_a_certificate_for_clients_alone_is_refused(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("only.example")
    parsed = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    usages = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usages  # as trustme makes them, which is accepted
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(parsed.subject)
        .issuer_name(parsed.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
    )
    (tmp_path / "cert").write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    issued.private_key_pem.write_to_path(str(tmp_path / "key"))
    text = refusal(f"cert={tmp_path}/cert&key={tmp_path}/key")
    assert "no client would accept the certificate" in text


def test_an_expired_certificate_is_served_with_a_warning(certificates, caplog):
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    file = certificates.issue("late.example", not_after=yesterday)
    assert set(load(f"cert={file}").by_name) == {"late.example"}
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"the certificate in {file} expired on" in record.getMessage()


def test_a_certificate_of_tomorrow_is_served_with_a_warning(certificates, caplog):
    now = datetime.datetime.now(datetime.UTC)
    file = certificates.issue(
        "early.example",
        not_before=now + datetime.timedelta(days=1),
        not_after=now + datetime.timedelta(days=2),
    )
    load(f"cert={file}")
    assert "is not valid before" in caplog.text


async def test_without_certificate_there_is_no_tls(opened):
    with pytest.raises(ListenError, match="TLS needs a certificate"):
        await opened("tls+mem:a")


async def test_nothing_stays_open_when_a_certificate_is_wrong(opened, tmp_path):
    with pytest.raises(ListenError, match="cannot read"):
        await opened("mem:first", f"tls+mem:second?cert={tmp_path}/none")
    await opened("mem:first", "mem:second")


async def test_tls_over_datagrams_that_were_passed_is_refused(opened, passed, certificates):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    passed(sock)
    with pytest.raises(ListenError, match="needs a stream"):
        await opened(f"tls+sd:?cert={certificates.issue('dns.example')}")


async def test_tls_over_a_socket_that_was_passed_is_served(opened, passed, certificates):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    passed(sock)
    (listener,) = await opened(f"tls+sd:?cert={certificates.issue('dns.example')}")
    assert listener.local.startswith("tls+")
    assert repr(listener).startswith("<TlsListener tls+")
