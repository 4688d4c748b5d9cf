"""The commands that check and print zone files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pierhead.cli.zone import zone
from pierhead.errors import UsageError

GOOD = "@ 3600 SOA ns hm 7 7200 900 1209600 300\n@ 3600 NS ns\nns 300 A 192.0.2.1\n"
BAD = "@ 3600 SOA ns hm 7 7200 900 1209600 300\nwww A 192.0.2.300\nwww MX ten mail\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.example.zone").write_text(GOOD)
    (tmp_path / "bad.example.zone").write_text(BAD)
    return tmp_path


def invoke(*arguments: object):
    return CliRunner().invoke(zone, [str(argument) for argument in arguments])


def test_a_valid_zone_is_summed_up_in_a_line(folder: Path) -> None:
    result = invoke("check", folder / "good.example.zone")
    assert (result.exit_code, result.stdout) == (0, "zone good.example.: 3 records, serial 7\n")


def test_every_fault_is_shown_with_its_place_and_the_exit_code_is_4(folder: Path) -> None:
    result = invoke("check", folder / "bad.example.zone")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "bad.example.zone:2:7: '192.0.2.300' is not an IPv4 address" in result.stderr
    assert "one is 192.0.2.1" in result.stderr
    assert "bad.example.zone:3:8: 'ten' is not a number" in result.stderr
    assert "has no NS records" in result.stderr
    assert result.stderr.rstrip().endswith("3 errors")


def test_one_bad_zone_does_not_hide_the_others(folder: Path) -> None:
    result = invoke("check", folder, folder / "absent.zone", "/dev/null")
    assert result.exit_code == 4
    assert "zone good.example.: 3 records" in result.stdout
    assert "absent.zone: cannot be read: No such file" in result.stderr
    assert "/dev/null: cannot be read: it is a device, expected a regular file" in result.stderr
    assert "absent.zone: 1 error\n" in result.stderr


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    result = invoke("check", tmp_path)
    assert result.exit_code == 4
    assert "the directory has no *.zone file" in result.stderr


def test_warnings_are_shown_and_leave_the_zone_valid(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_text(GOOD.replace("ns 300 A 192.0.2.1", "ns2 300 A 192.0.2.1"))
    result = invoke("check", f"example={path}")
    assert (result.exit_code, result.stdout) == (
        0,
        "zone example.: 3 records, serial 7, 1 warning\n",
    )
    assert "warning: " in result.stderr
    assert "has no address in this zone" in result.stderr
    quiet = invoke("check", "-q", f"example={path}")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_zones_that_are_checked_together_answer_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.test.zone").write_text(f"{GOOD}@ 300 MX 1 mail.b.test.\n@ 300 MX 2 ns.b.test.\n")
    (tmp_path / "b.test.zone").write_text(GOOD)
    result = invoke("check", tmp_path)
    assert result.exit_code == 0
    line = 1 + GOOD.count("\n")
    expected = f"a.test.zone:{line}:1: the mail exchange mail.b.test. of a.test. has no address in"
    assert expected in result.stderr
    assert result.stdout.splitlines()[0].endswith("records, serial 7, 1 warning")
    first, second = json.loads(invoke("check", "--json", tmp_path).stdout)
    assert [fault["code"] for fault in first["warnings"]] == ["target"]
    assert "add an A or AAAA record for mail.b.test." in first["warnings"][0]["remedy"]
    assert second["warnings"] == []


def test_signatures_are_judged_by_the_time_of_now(tmp_path: Path) -> None:
    path = tmp_path / "db"
    key = "@ DNSKEY 256 3 13 AQID\n"
    path.write_text(f"{GOOD}{key}@ RRSIG SOA 13 1 3600 20200101000000 20190101000000 1 @ AQID\n")
    result = invoke("check", f"example={path}")
    assert result.exit_code == 0
    assert "the signature of example. SOA expired at 2020-01-01 00:00:00 UTC" in result.stderr


def test_a_signed_zone_is_said_to_be_signed(tmp_path: Path) -> None:
    path = tmp_path / "db"
    signature = "13 1 3600 20300101000000 20200101000000 2063 example. AQID"
    path.write_text(
        f"{GOOD}@ NSEC ns NS SOA RRSIG NSEC DNSKEY\n@ RRSIG SOA {signature}\n"
        f"@ RRSIG NSEC {signature}\nns NSEC @ A RRSIG NSEC\nns RRSIG NSEC {signature}\n"
        f"@ DNSKEY 256 3 13 AQID\n@ RRSIG NS {signature}\n@ RRSIG DNSKEY {signature}\n"
        f"ns RRSIG A {signature}\n"
    )
    result = invoke("check", f"example={path}")
    assert ", signed, " in result.stdout, result.output
    assert "does not match the records, or the key that made it" in result.stderr
    unverified = invoke("check", "--no-verify", f"example={path}")
    assert ", signed (not verified)" in unverified.stdout
    assert "does not match" not in unverified.stderr
    (verdict,) = json.loads(invoke("check", "--json", "--no-verify", f"example={path}").stdout)
    assert (verdict["signed"], verdict["verified"]) == (True, False)


def test_without_the_extra_nothing_is_verified_and_that_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pierhead.protocols.dns.zone.verify", None)
    monkeypatch.delitem(sys.modules, "pierhead.protocols.dns.zone.verify")
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    assert invoke("check", folder / "good.example.zone").exit_code == 0
    refused = invoke("check", "--verify", folder / "good.example.zone")
    assert isinstance(refused.exception, UsageError)
    assert "pip install 'pierhead[dnssec]'" in str(refused.exception)


def test_json_has_every_zone_and_every_fault(folder: Path) -> None:
    result = invoke("check", "--json", folder)
    bad, good = json.loads(result.stdout)
    assert result.exit_code == 4
    assert good | {"file": ""} == {
        "file": "",
        "valid": True,
        "zone": "good.example.",
        "class": "IN",
        "serial": 7,
        "records": 3,
        "signed": False,
        "verified": False,
        "errors": [],
        "warnings": [],
    }
    assert (bad["valid"], bad["zone"], len(bad["errors"])) == (False, None, 3)
    assert {"line", "column", "message", "remedy", "code"} <= bad["errors"][0].keys()


def test_a_zone_is_printed_in_canonical_form(folder: Path) -> None:
    result = invoke("format", folder / "good.example.zone")
    assert result.exit_code == 0
    assert result.stdout == (
        "good.example.\t3600\tIN\tSOA\tns.good.example. hm.good.example. 7 7200 900 1209600 300\n"
        "good.example.\t3600\tIN\tNS\tns.good.example.\n"
        "ns.good.example.\t300\tIN\tA\t192.0.2.1\n"
    )


def test_files_already_canonical_are_recognized(folder: Path) -> None:
    path = folder / "good.example.zone"
    changed = invoke("format", "--check", path)
    assert (changed.exit_code, changed.stdout) == (1, f"not canonical: {path}\n")
    path.write_text(invoke("format", path).stdout)
    again = invoke("format", "--check", path)
    assert (again.exit_code, again.output) == (0, "")


def test_only_one_zone_is_printed_at_a_time(folder: Path) -> None:
    result = invoke("format", folder)
    assert isinstance(result.exception, UsageError)
    assert "2 zones; print one at a time" in str(result.exception)


def test_the_difference_of_two_versions_is_printed(tmp_path: Path) -> None:
    head = "@ 60 SOA ns h {} 1 1 1 1\n@ 60 NS ns.o.\n"
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(head.format(1) + "a 60 A 192.0.2.1\nB 60 A 192.0.2.2\n")
    new.write_text(head.format(2) + "b 60 A 192.0.2.2 ; moved up\na 60 A 192.0.2.3\n")
    result = invoke("diff", f"example.={old}", f"example.={new}")
    assert result.exit_code == 1
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "- example. 60 IN SOA ns.example. h.example. 1 1 1 1 1",
        "- a.example. 60 IN A 192.0.2.1",
        "+ example. 60 IN SOA ns.example. h.example. 2 1 1 1 1",
        "+ a.example. 60 IN A 192.0.2.3",
    ]
    same = invoke("diff", f"example.={old}", f"example.={old}")
    assert (same.exit_code, same.output) == (0, "")


def test_only_versions_of_one_zone_are_compared(tmp_path: Path) -> None:
    file = tmp_path / "x.zone"
    file.write_text("@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns.o.\n")
    result = invoke("diff", file, f"other.={file}")
    assert isinstance(result.exception, UsageError)
    assert "is another zone" in str(result.exception)
