"""Remedies for addresses that cannot be opened: each is followed, and the address opens."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Generator

import pytest
from inheriting import bound
from test_refused_at_opening import Around, around  # noqa: F401  # a fixture
from tests.processes import require_program
from tls_client import Certificates

from pierhead.address import ListenSpec
from pierhead.listener.open import open_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="most of it in Linux's words")

Addresses = list[str]
#: Yields what is refused, is sent the remedy, and yields what is opened then, way by way.
Case = Callable[[Around], Generator[Addresses, str, None]]
CASES: list[Case] = []


def case(prepare: Case) -> Case:
    CASES.append(prepare)
    return prepare


@case
def a_folder_is_missing(it):
    remedy = yield [f"unix:{it.folder}/no/s"]
    subprocess.run(shlex.split(remedy.partition(": ")[2]), check=True)
    yield [f"unix:{it.folder}/no/s"]


@case
def a_path_that_others_have(it):
    it.path.write_text("precious")
    remedy = yield [f"unix:{it.path}?unlink=always"]
    assert remedy == "it is left alone: move it away, or choose another path"
    yield [f"unix:{it.folder}/other"]
    it.path.rename(it.folder / "elsewhere")
    yield [f"unix:{it.path}"]


@case
def a_path_that_is_served(it):
    live = it.stack.enter_context(socket.socket(socket.AF_UNIX))
    live.bind(str(it.path))
    live.listen()
    remedy = yield [f"unix:{it.path}"]
    assert remedy == "stop it first, or choose another path"
    yield [f"unix:{it.folder}/other"]
    live.close()
    yield [f"unix:{it.path}"]


@case
def a_user_that_is_unknown(it):
    remedy = yield [f"unix:{it.path}?user=no-one"]
    assert remedy == "name another, or its number"
    yield [f"unix:{it.path}?user={os.getuid()}"]


@case
def a_descriptor_of_another_type(it):
    number = it.leave(bound())
    remedy = yield [f"fd:{number}?type=dgram"]
    assert remedy == "name another descriptor, or correct type="
    yield [f"fd:{it.leave(bound(socket.SOCK_DGRAM))}?type=dgram"]
    yield [f"fd:{number}?type=stream"]


@case
def a_descriptor_that_is_no_socket(it):
    reading, writing = os.pipe()
    for number in (reading, writing):
        it.stack.callback(os.close, number)
    remedy = yield [f"fd:{reading}"]
    assert remedy == "name another descriptor"
    yield [f"fd:{it.leave(bound())}"]


@case
def a_descriptor_twice(it):
    number = it.leave(bound())
    remedy = yield [f"fd:{number}", f"fd:{number}?name=again"]
    assert remedy.startswith("remove one of the two addresses")
    yield [f"fd:{number}"]


def _passed_to_another(variables):
    def passed_to_another(it):
        it.passed(bound(), **variables)
        remedy = yield ["sd:"]
        assert "?pid=ignore takes the sockets anyway" in remedy
        yield ["sd:?pid=ignore"]

    return passed_to_another


for _variables in ({"LISTEN_PID": "1"}, {"LISTEN_PID": "x"}, {"LISTEN_PIDFDID": "1"}):
    case(_passed_to_another(_variables))


@case
def names_that_are_too_few(it):
    it.passed(bound(), bound(), names="a")
    remedy = yield ["sd:"]
    assert remedy == "give one name for each, separated by :"
    it.passed(bound(), bound(), names="a:b")
    yield ["sd:*"]


@case
def one_of_several_that_were_passed(it):
    it.passed(bound(), bound(), names="a:b")
    remedy = yield ["sd:"]
    for written in re.fullmatch(r"write (\S+), (\S+) or (\S+) for all of them", remedy).groups():
        it.passed(bound(), bound(), names="a:b")
        yield [written]


@case
def a_name_that_none_has(it):
    it.passed(bound(), bound(), names="a:b")
    remedy = yield ["sd:x"]
    for number, name in re.findall(r"descriptor (\d+) \((\w)\)", remedy):
        assert int(number) in (700, 701)
        it.passed(bound(), bound(), names="a:b")
        yield [f"sd:{name}"]


@case
def a_port_that_is_taken(it):
    taken = it.stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    remedy = yield [f"tcp:127.0.0.1:{port}"]
    assert "stop that program, choose another port, or port 0 for any free one" in remedy
    yield ["tcp:127.0.0.1:0"]
    taken.close()
    yield [f"tcp:127.0.0.1:{port}"]


@case
def two_addresses_that_overlap(it):
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    remedy = yield [f"tcp:0.0.0.0:{port}", f"tcp::{port}"]
    assert remedy.endswith("leave one out")
    yield [f"tcp:0.0.0.0:{port}"]
    yield [f"tcp::{port}"]


@case
def no_certificate(it):
    remedy = yield ["tls+tcp:127.0.0.1:0"]
    assert remedy == "add cert=FILE to the address"
    yield [f"tls+tcp:127.0.0.1:0?cert={Certificates(it.folder).issue('a.example')}"]


@case
def a_certificate_without_its_key(it):
    cert, key = _apart(it)
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}"]
    assert remedy.startswith("add key=FILE")
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case
def a_key_of_another(it):
    made = Certificates(it.folder)
    first, second = made.issue("a.example"), made.issue("b.example")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={first}&key={second}"]
    assert remedy == "name the key that belongs to the certificate"
    yield [f"tls+tcp:127.0.0.1:0?cert={first}&key={first}"]


@case
def a_key_that_is_a_certificate(it):
    cert, key = _apart(it)
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={it.folder}/authority.pem"]
    assert remedy == "name the file that has the private key: it begins with -----BEGIN"
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case
def a_certificate_that_is_a_key(it):
    cert, key = _apart(it)
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={key}&key={key}"]
    assert remedy == "name the file that has the certificate: it begins with -----BEGIN"
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case
def a_certificate_in_der_form(it):
    cert, key = _apart(it)
    der = _converted(it, "x509", cert, "-outform", "DER")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={der}&key={key}"]
    made = _run(remedy)
    yield [f"tls+tcp:127.0.0.1:0?cert={made}&key={key}&strict-permissions"]


@case
def a_key_in_der_form(it):
    cert, key = _apart(it)
    der = _converted(it, "pkey", key, "-outform", "DER")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={der}"]
    made = _run(remedy)
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={made}&strict-permissions"]


@case
def a_key_that_is_encrypted(it):
    cert, key = _apart(it)
    hidden = _converted(it, "pkey", key, "-aes256", "-passout", "pass:secret")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={hidden}"]
    made = _run(remedy, "-passin", "pass:secret")
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={made}&strict-permissions"]


def _apart(it) -> tuple[str, str]:
    """Return a certificate and its key, each in a file of its own."""
    whole = Certificates(it.folder).issue("a.example")
    cert, key = it.folder / "cert.pem", it.folder / "key.pem"
    shutil.copy(whole, key)
    text = key.read_text()
    first = text.index("-----BEGIN CERTIFICATE")
    key.write_text(text[:first])
    cert.write_text(text[first:])
    return str(cert), str(key)


def _converted(it, command: str, path: str, *arguments: str) -> str:
    made = f"{it.folder}/a file"
    openssl = require_program("openssl")
    subprocess.run([openssl, command, "-in", path, "-out", made, *arguments], check=True)
    os.chmod(made, 0o600)
    return made.replace(" ", "%20")


def _run(remedy: str, *more: str) -> str:
    """Run the command of a remedy; return the file that comes out, as addresses have it."""
    command = shlex.split(remedy.partition(": ")[2])
    subprocess.run([*command, *more], check=True, capture_output=True)
    return command[command.index("-out") + 1].replace(" ", "%20")


@pytest.mark.filterwarnings("ignore:unclosed <socket")  # what a test passed and nobody took
@pytest.mark.parametrize("prepare", CASES, ids=lambda prepare: prepare.__name__)
async def test_following_the_remedy_opens(prepare: Case, around: Around, refusal) -> None:  # noqa: F811
    ways = prepare(around)
    refused = next(ways)
    error = await refusal(*refused)
    tried = 0
    addresses = ways.send(error.remedy)
    while addresses is not None:
        groups = [(ListenSpec.parse(one),) for one in addresses]
        for listener in await open_all(groups, process_sockets=around.process):
            listener.close()
        tried += 1
        addresses = next(ways, None)
    assert tried
