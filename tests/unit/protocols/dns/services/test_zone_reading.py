"""What a zone is read from: real files of every kind, standard input, links, folders."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.warm import pierhead

from pierhead.cli.zone import zone
from pierhead.errors import ConfigError
from pierhead.protocols.dns.services.zones import find_zone_files, load_zones
from pierhead.protocols.dns.zone.bounds import ZoneBounds

ZONE = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
LINES = "www 300 A 192.0.2.2\n"


def invoke(*arguments: object, stdin: str | bytes | None = None):
    return CliRunner().invoke(zone, [str(argument) for argument in arguments], input=stdin)


def fault(source: str | Path, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        load_zones(source, **options)
    (found,) = caught.value.faults
    return str(found)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("pipe", "it is a pipe, expected a regular file"),
        ("directory", "it is a directory, expected a regular file"),
        ("socket", "it is a socket, expected a regular file"),
        ("zero", "it is a device, expected a regular file"),
        ("link to zero", "it is a device, expected a regular file"),
        ("nothing", "No such file"),
        ("circle", "symbolic links"),
        ("sparse", "at most 1073741824 are read (zone_octets=1073741824)"),
    ],
)
def test_anything_but_a_regular_file_is_refused_at_once(
    tmp_path: Path, kind: str, told: str
) -> None:
    path = tmp_path / "z"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(path))
        case "zero":
            path = Path("/dev/zero")
        case "link to zero":
            path.symlink_to("/dev/zero")
        case "circle":
            path.symlink_to(path)
        case "sparse":
            with path.open("wb") as file:
                file.truncate(1 << 40)
    shown = fault(f"example={path}")
    assert told in shown
    result = invoke("check", f"example={path}")
    assert (result.exit_code, told in result.stderr) == (4, True)


def test_a_pipe_is_sent_to_standard_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "z")
    assert "give - as the file" in fault(f"example={tmp_path}/z")


def test_a_file_without_permission_names_the_user(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "z").write_text(ZONE)

    def refuse(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pierhead.files.os.open", refuse)
    assert f"the user with number {os.geteuid()} needs permission to" in fault(
        f"example={tmp_path}/z"
    )


def test_a_file_that_grows_while_it_is_read_is_bounded() -> None:
    # /proc files say that they have no octets.
    assert "at most 1024 are read" in fault(
        "example=/proc/self/smaps", bounds=ZoneBounds(zone_octets=1024)
    )


def test_a_zone_may_be_reached_through_links(tmp_path: Path) -> None:
    # As Kubernetes mounts a ConfigMap.
    real = tmp_path / "..2026_11_28"
    real.mkdir()
    (real / "example.zone").write_text(ZONE + "$INCLUDE hosts\n")
    (real / "hosts").write_text(LINES)
    (tmp_path / "..data").symlink_to(real.name)
    for name in ("example.zone", "hosts"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    (found,) = load_zones(tmp_path)
    assert sum(len(rrset.rdatas) for rrset in found.rrsets()) == 4


@pytest.mark.parametrize("name", ["-", "example=-"])
def test_a_zone_is_read_from_standard_input(name: str) -> None:
    text = "$ORIGIN example.\n" + ZONE.replace("@ 300 SOA", "example. 300 SOA")
    result = invoke("check", name, stdin=text)
    assert (result.exit_code, result.stdout) == (0, "zone example.: 3 records, serial 1\n")


def test_faults_of_standard_input_have_its_name() -> None:
    result = invoke("check", "example=-", stdin=ZONE + "a 300 A x\n")
    assert "error: standard input:4:9: 'x' is not an IPv4 address" in result.stderr
    assert "standard input: 1 error" in result.stderr


def test_the_same_text_is_given_at_each_reading_of_standard_input(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ZONE.encode())))
    (file,) = find_zone_files("example=-")
    assert file.read() == file.read() == ZONE.encode()


def test_standard_input_has_a_bound(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ZONE.encode() * 1000)))
    assert "longer than 1024 octets" in fault("example=-", bounds=ZoneBounds(zone_octets=1024))


def test_a_file_with_that_name_is_reached_by_its_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_text(ZONE)
    result = invoke("check", "example=./-", stdin="")
    assert result.exit_code == 0


def test_standard_input_is_formatted() -> None:
    result = invoke("format", "example=-", stdin=ZONE)
    assert result.stdout.startswith("example.\t300\tIN\tSOA\t")


@pytest.mark.parametrize("path", ["{}/common/hosts", "../common/hosts"])
def test_an_include_outside_needs_its_folder_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "zones").mkdir()
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "hosts").write_text(LINES)
    file = tmp_path / "zones" / "example.zone"
    file.write_text(f"{ZONE}$INCLUDE {path.format(tmp_path)}\n")
    refused = invoke("check", file)
    assert refused.exit_code == 4
    assert "--include-dir DIR" in refused.stderr
    # The remedy mends it.
    result = invoke("check", "--include-dir", tmp_path / "common", file)
    assert (result.exit_code, "4 records" in result.stdout) == (0, True)
    elsewhere = invoke("check", "--include-dir", tmp_path / "zones", file)
    assert "it leads out of the zone's directory; --include-dir" in elsewhere.stderr


def test_a_link_out_of_the_folder_is_allowed_by_the_folder_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "zones").mkdir()
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "hosts").write_text(LINES)
    (tmp_path / "zones" / "hosts").symlink_to("../common/hosts")
    file = tmp_path / "zones" / "example.zone"
    file.write_text(f"{ZONE}$INCLUDE hosts\n")
    assert "--include-dir" in invoke("check", file).stderr
    assert invoke("check", "--include-dir", tmp_path / "common", file).exit_code == 0


def test_standard_input_includes_from_named_folders_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hosts").write_text(LINES)
    text = f"{ZONE}$INCLUDE hosts\n"
    refused = invoke("check", "example=-", stdin=text)
    assert "standard input has no directory to include from; --include-dir" in refused.stderr
    assert invoke("check", "--include-dir", ".", "example=-", stdin=text).exit_code == 0


@pytest.mark.parametrize("kind", ["pipe", "directory", "socket"])
def test_what_is_included_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    match kind:
        case "pipe":
            os.mkfifo(tmp_path / "more")
        case "directory":
            (tmp_path / "more").mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(tmp_path / "more"))
    (tmp_path / "example.zone").write_text(f"{ZONE}$INCLUDE more\n")
    assert f"it is a {kind}, expected a regular file" in fault(tmp_path / "example.zone")


def test_a_link_put_in_after_the_look_is_not_followed(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "more").write_text(LINES)
    (tmp_path / "secret").write_text("precious\n")
    (tmp_path / "zones" / "example.zone").write_text(f"{ZONE}$INCLUDE more\n")
    really = Path.resolve

    def resolve(path, strict=False):
        found = really(path, strict=strict)
        if path.name == "more":
            path.unlink()
            path.symlink_to("../secret")
        return found

    monkeypatch.setattr(Path, "resolve", resolve)
    shown = fault(tmp_path / "zones" / "example.zone")
    assert "it is a symbolic link, expected a regular file" in shown
    assert "precious" not in shown


def test_a_whole_command_ends_at_once_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "z")
    done = pierhead("serve", "dns", "--zone", f"example={tmp_path}/z")
    assert (done.returncode, "it is a pipe" in done.stderr) == (4, True)
