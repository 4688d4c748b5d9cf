"""The files that `pierhead init` prints are what their readers accept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.processes import ROOT

from pierhead.cli.init import init
from pierhead.cli.init_files import ADMIN_PORT, Deployment
from pierhead.cli.serve import serve

ECHO = ["--", "serve", "echo", "-l", "tcp:0.0.0.0:7000", "-l", "udp:0.0.0.0:7000"]


def printed(*words: str) -> str:
    result = CliRunner().invoke(init, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def understood(words: list[str]) -> None:
    """Check that a command line is one of `pierhead serve`, without serving."""
    assert words[0] == "serve"
    result = CliRunner().invoke(serve, [*words[1:], "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="apt install systemd")
@pytest.mark.parametrize(
    "words",
    [ECHO, ["--name", "site-dns", "--", "serve", "dns", "--zone", "/etc/a b%", "-l", "0.0.0.0:53"]],
)
def test_systemd_finds_no_fault_in_a_unit(words: list[str], tmp_path: Path) -> None:
    text = printed("systemd", *words)
    # It looks for the program too, which is wherever it was installed.
    unit = tmp_path / "one.service"
    unit.write_text(text.replace("/usr/bin/pierhead", sys.executable))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, timeout=30
    )
    assert (checked.returncode, checked.stderr.decode()) == (0, "")

    unit.write_text(unit.read_text().replace("Type=notify", "Tipe=notify"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, timeout=30
    )
    assert b"Tipe" in checked.stderr  # it would have said so


def test_a_unit_has_a_privilege_only_for_a_low_port_and_its_words_as_they_are() -> None:
    low = printed("systemd", "--", "serve", "dns", "--zone", 'a "b" $c %d', "-l", "0.0.0.0:53")
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in low
    assert r'--zone "a \"b\" $$c %%d" -l 0.0.0.0:53' in low
    assert "AmbientCapabilities" not in printed("systemd", *ECHO)
    assert "\nCapabilityBoundingSet=\n" in printed("systemd", *ECHO)


def test_a_container_file_runs_the_server_itself_with_a_probe() -> None:
    text = printed("container", *ECHO)
    words = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])  # type: ignore[index]
    probe = json.loads(re.search(r"CMD (\[.*\])$", text, re.MULTILINE)[1])  # type: ignore[index]

    assert words[0] == "pierhead"
    understood(words[1:])
    assert f":{ADMIN_PORT}/ready" in probe[-1]
    compile(probe[-1], "probe", "exec")
    assert re.findall(r"^EXPOSE (.*)$", text, re.MULTILINE) == ["7000/tcp", "7000/udp", "9100/tcp"]
    assert "USER 65532" in text


def test_manifests_have_every_port_the_probes_and_a_lame_duck() -> None:
    deployment, service = yaml.safe_load_all(printed("kubernetes", "--name", "echo", *ECHO))
    (one,) = deployment["spec"]["template"]["spec"]["containers"]

    understood(one["args"])
    assert one["args"][-2:] == ["--lame-duck", "5"]
    assert {(p["containerPort"], p["protocol"]) for p in one["ports"]} == {
        (7000, "TCP"),
        (7000, "UDP"),
        (9100, "TCP"),
    }
    assert {p["port"] for p in service["spec"]["ports"]} == {7000}
    assert len({p["name"] for p in one["ports"]}) == 3
    for probe, path in (("startup", "/startup"), ("readiness", "/ready"), ("liveness", "/health")):
        assert one[f"{probe}Probe"]["httpGet"] == {"path": path, "port": ADMIN_PORT}
    assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_an_admin_address_that_is_given_stays() -> None:
    words = ("serve", "echo", "-l", ":7000", "--admin", "0.0.0.0:9100", "--lame-duck", "9")
    assert Deployment("a", words).with_lame_duck == words
    assert Deployment("a", ("serve", "dns", "-l", ":5300")).ports == [("udp", 5300), ("tcp", 5300)]
    assert Deployment("a", ("serve", "echo", "-l", "./a.sock")).ports == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["systemd", "--name", "a/../b", *ECHO], "--name is 'a/../b', expected lower-case"),
        (["systemd", "--", "query", "a"], "begins with 'query', expected serve"),
        (["container", "--", "serve", "a\nUSER root"], "a word has a control character"),
        (["kubernetes"], "Missing argument"),
        (["docker", *ECHO], "is not one of"),
    ],
)
def test_what_does_not_fit_into_a_file_is_refused(words: list[str], said: str) -> None:
    result = CliRunner().invoke(init, words)
    assert result.exit_code == 2
    assert said in result.output


DNS = ["--name", "pierhead-dns", "--", "serve", "dns", "--zone", "/zones", "-l", "0.0.0.0:53"]


@pytest.mark.parametrize(
    ("kind", "file"),
    [("container", "container/Containerfile"), ("kubernetes", "kubernetes/pierhead-dns.yaml")],
)
def test_the_files_of_deploy_are_what_is_printed(kind: str, file: str) -> None:
    assert (ROOT / "deploy" / file).read_text() == printed(kind, *DNS)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="apt install systemd")
def test_systemd_finds_no_fault_in_the_units_of_deploy(tmp_path: Path) -> None:
    for path in (ROOT / "deploy" / "systemd").iterdir():
        text = re.sub(r"/usr/bin/pierhead|/opt/web/bin/python", sys.executable, path.read_text())
        (tmp_path / path.name).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir() if "@" not in path.name)
    assert len(units) >= 5
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, timeout=30
    )
    assert (checked.returncode, checked.stderr.decode()) == (0, "")
