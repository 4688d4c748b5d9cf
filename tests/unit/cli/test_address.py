"""The command that explains addresses."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pierhead.cli.address import address


def invoke(*arguments: str):
    return CliRunner().invoke(address, ["explain", *arguments])


def test_each_listener_of_a_short_form_is_printed() -> None:
    result = invoke("--for", "dns", "127.0.0.1:5300?nodelay")
    assert result.exit_code == 0
    assert "  udp:127.0.0.1:5300\n    datagram: UDP datagrams" in result.stdout
    assert "  tcp:127.0.0.1:5300?nodelay\n    stream: TCP connections" in result.stdout
    assert "    nodelay = on: small writes leave at once" in result.stdout


@pytest.mark.parametrize("protocol", ["lines", "http"])
def test_a_short_form_is_tcp_for_protocols_of_streams(protocol) -> None:
    result = invoke("--for", protocol, "127.0.0.1:80")
    assert "  tcp:127.0.0.1:80\n" in result.stdout
    assert "udp" not in result.stdout


def test_a_bad_address_exits_2_with_the_place_on_stderr() -> None:
    result = invoke("tcp:h:80", "tcp:h:80a")
    assert result.exit_code == 2
    assert result.stdout.startswith("tcp:h:80\n")
    assert "not a port" in result.stderr
    assert "  tcp:h:80a\n          ^" in result.stderr
    assert "Traceback" not in result.stderr


def test_every_bad_address_is_reported() -> None:
    result = invoke("a", "b")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("error:") == 2


def test_json_has_the_same_facts() -> None:
    result = invoke("--json", "tls+unix:/a?cert=c.pem&mode=0660")
    (explanation,) = json.loads(result.stdout)
    assert explanation["canonical"] == "tls+unix:/a?cert=c.pem&mode=0660"
    (listener,) = explanation["listeners"]
    assert (listener["scheme"], listener["kind"]) == ("unix", "stream")
    assert [option["key"] for option in listener["options"]] == ["cert", "mode"]


def test_octets_that_are_no_text_are_printed_escaped() -> None:
    result = invoke("/run/\udcff")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "unix:/run/%FF")


def test_a_client_s_side_is_explained_on_request() -> None:
    result = invoke("--client", "tls+tcp:dns.example:853?ca=authority.pem")
    assert result.exit_code == 0
    assert "stream: TCP connections, to dns.example, port 853" in result.stdout
    assert "ca = authority.pem: PEM file with the authorities" in result.stdout
    refused = invoke("--client", "tcp:dns.example:853?backlog=5")
    assert refused.exit_code == 2
    assert "backlog is for listening" in refused.stderr
