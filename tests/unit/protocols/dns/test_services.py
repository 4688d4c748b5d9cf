from __future__ import annotations

import errno
import json
from pathlib import Path

import dns.message
import pytest
from click.testing import CliRunner

from pierhead.cli.zone import zone as zone_command
from pierhead.errors import ConfigError, UsageError
from pierhead.protocols import dns as ours
from pierhead.protocols.dns.services.zones import load_zones
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.name import from_text, to_text
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.service.context import Context, Peer, Transport, Via

CONTEXT = Context(
    Peer("test"),
    0.0,
    Via(transport=Transport.DATAGRAM, scheme="memgram", local="memgram:a", listener="memgram:a"),
)
ZONE = """\
$TTL 300
@ SOA ns host 1 7200 3600 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.80
sub NS ns.sub
ns.sub A 192.0.2.54
"""


def ask(name, rtype="A", edns=None):
    frame = build_query(7, from_text(name), iana.type_number(rtype), edns=edns)
    return parse_query(frame)


async def answer(service, name, rtype="A"):
    return await service(ask(name, rtype), CONTEXT)


def owners(section):
    return [rrset.owner for _, rrset in section]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "example.zone").write_text(ZONE)
    return tmp_path


@pytest.mark.parametrize("give", [lambda f: f, lambda f: f / "example.zone", str])
async def test_a_zone_is_named_after_its_file(folder, give):
    service = ours.zones(give(folder))
    reply = await answer(service, "wWw.example.")
    assert (reply.rcode, reply.authoritative) == (ours.NOERROR, True)
    assert reply.answer[0][0] == from_text("wWw.example.")
    assert (await answer(service, "other.")).rcode == ours.REFUSED


async def test_a_zone_can_be_given_another_name_or_say_it_itself(folder):
    absolute = folder / "db.self"
    absolute.write_text(ZONE.replace("@ SOA", "self. SOA").replace("$TTL", "$ORIGIN self.\n$TTL"))
    zones = load_zones(f"test={folder}/example.zone", absolute)
    assert [zone.origin for zone in zones] == [from_text("test."), from_text("self.")]


def test_an_equals_sign_in_a_path_is_part_of_the_path(folder):
    odd = folder / "a=b"
    odd.mkdir()
    (odd / "x.zone").write_text(ZONE)
    assert len(load_zones(str(odd))) == 1
    for wrong in ("=x", "x="):
        with pytest.raises(UsageError, match="NAME=FILE"):
            load_zones(wrong)
    with pytest.raises(UsageError, match="no zone is given"):
        load_zones()


def test_the_faults_of_all_files_are_reported_together(folder):
    (folder / "bad.zone").write_text(ZONE + "x A 1.2.3\ny AAAA 1.2.3.4\n")
    (folder / "empty").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_zones(folder, folder / "empty", folder / "missing.zone", f"example={folder}/bad.zone")
    files = [fault.file for fault in caught.value.faults]
    assert files.count(f"{folder}/bad.zone") == 4
    assert f"{folder}/empty" in files
    assert f"{folder}/missing.zone" in files


def test_a_zone_given_twice_is_a_fault_of_the_second_file(folder):
    (folder / "second").write_text(ZONE)
    with pytest.raises(ConfigError) as caught:
        load_zones(folder, f"EXAMPLE={folder}/second")
    (fault,) = caught.value.faults
    assert fault.file == f"{folder}/second"
    assert f"is already in {folder}/example.zone" in fault.message


async def test_answers_are_minimal_by_default(folder):
    reply = await answer(ours.zones(folder), "www.example.")
    assert (reply.authority, reply.additional) == ((), ())
    fuller = await answer(ours.zones(folder, minimal=False), "www.example.")
    assert owners(fuller.authority) == [from_text("example.")]
    assert owners(fuller.additional) == [from_text("ns.example.")]


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "link", "missing", "."])
def test_an_include_stays_in_the_folder_of_the_zone(tmp_path, path):
    folder = tmp_path / "zones"
    folder.mkdir()
    (tmp_path / "secret").write_text("leak A 192.0.2.1\n")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "example.zone").write_text(f"{ZONE}$INCLUDE {path}\n")
    with pytest.raises(ConfigError) as caught:
        load_zones(folder)
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000 + "b", "a\0b"])
def test_a_path_that_no_file_can_have_is_a_fault(name):
    with pytest.raises(ConfigError) as caught:
        load_zones(name)
    (fault,) = caught.value.faults
    assert (fault.file, "cannot be read: " in fault.message) == (name, True)


@pytest.mark.parametrize("method", ["is_dir", "iterdir"])
def test_a_folder_that_may_not_be_entered_is_a_fault(folder, monkeypatch, method):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, method, refuse)  # root may enter every folder
    with pytest.raises(ConfigError) as caught:
        load_zones(folder)
    (fault,) = caught.value.faults
    assert fault.message == "cannot be read: Permission denied"


@pytest.mark.parametrize("name", ["a..b", "a" * 64, "\\999", "\udcff..", "é" * 40])
def test_an_invalid_name_is_the_callers_error(folder, name):
    with pytest.raises(UsageError, match="not the name of a zone"):
        load_zones(f"{name}={folder}/example.zone")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("loop", "symbolic links"),
        ("missing", "No such file or directory"),
        ("link", "it leads out of the zone's directory"),
        ("more", "it is a directory, expected a regular file"),
        ("example.zone/x", "Not a directory"),
        ("a" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_included_is_named_as_it_is_written(folder, path, reason):
    (folder / "loop").symlink_to("loop")
    (folder / "link").symlink_to("/etc/hostname")
    (folder / "more").mkdir()
    (folder / "example.zone").write_text(f"{ZONE}$INCLUDE {path}\n")
    with pytest.raises(ConfigError) as caught:
        load_zones(folder)
    (fault,) = caught.value.faults
    assert fault.message.startswith(f"cannot include {path}: ")
    assert reason in fault.message
    assert str(folder) not in fault.message


def test_faults_in_included_files_name_them_as_they_are_written(folder):
    (folder / "more").mkdir()
    (folder / "more" / "a").write_text("x A x\n$INCLUDE more/b\n")
    (folder / "more" / "b").write_text("x A x\n")
    (folder / "example.zone").write_text(f"{ZONE}$INCLUDE ./more/a\n")
    with pytest.raises(ConfigError) as caught:
        load_zones(folder)
    assert [fault.file for fault in caught.value.faults] == ["./more/a", "more/b"]


async def test_an_include_below_the_folder_is_read(folder):
    (folder / "more").mkdir()
    (folder / "more" / "hosts").write_text("extra A 192.0.2.99\n")
    (folder / "example.zone").write_text(f"{ZONE}$INCLUDE more/hosts\n")
    assert (await answer(ours.zones(folder), "extra.example.")).answer


@pytest.mark.parametrize(
    ("rtype", "rcode"),
    [("AXFR", 5), ("IXFR", 5), ("MAILA", 4), ("TKEY", 4), ("OPT", 1), ("TSIG", 1), ("NXNAME", 1)],
)
async def test_types_that_no_zone_holds_are_not_looked_up(folder, rtype, rcode):
    stack = ours.stack(ours.zones(folder))
    assert (await answer(stack, "example.", rtype)).rcode == rcode


async def test_a_referral_carries_its_glue(folder):
    reply = await answer(ours.zones(folder), "x.sub.example.")
    assert not reply.authoritative
    assert owners(reply.glue) == [from_text("ns.sub.example.")]


@pytest.fixture
def site(folder):
    site = ours.Router()
    site.mount("example.", ours.zones(folder))

    @site.answer("*.dyn.example.", "A", "AAAA")
    async def address(query, context):
        return query.reply(ours.A("192.0.2.1"), ours.AAAA("2001:db8::1"), ttl=60)

    @site.answer("deep.dyn.example.", "TXT")
    async def text(query, context):
        return query.reply(ours.TXT(query.name))

    @site.answer("silent.example.")
    async def silent(query, context):
        return None

    @site.answer("none.example.")
    async def none(query, context):
        return query.reply(rcode=ours.NXDOMAIN)

    return site


@pytest.mark.parametrize(
    ("name", "rtype", "rcode", "types"),
    [
        ("www.example.", "A", 0, [1]),
        ("a.DYN.Example.", "A", 0, [1]),
        ("a.b.dyn.example.", "AAAA", 0, [28]),
        ("a.dyn.example.", "ANY", 0, [1, 28]),
        ("a.dyn.example.", "TXT", 0, []),
        ("deep.dyn.example.", "TXT", 0, [16]),
        ("deep.dyn.example.", "A", 0, []),
        ("below.deep.dyn.example.", "A", 0, [1]),
        ("dyn.example.", "A", 3, []),
        ("none.example.", "A", 3, []),
        ("other.", "A", 5, []),
        (".", "A", 5, []),
    ],
)
async def test_the_longest_suffix_answers(site, name, rtype, rcode, types):
    reply = await answer(site, name, rtype)
    assert (reply.rcode, [rrset.rtype for _, rrset in reply.answer]) == (rcode, types)


@pytest.mark.rfc("2308", "2")
@pytest.mark.parametrize(("name", "rtype"), [("a.dyn.example.", "TXT"), ("none.example.", "A")])
async def test_negative_answers_of_functions_carry_the_soa_of_the_zone_around_them(
    site, name, rtype
):
    reply = await answer(site, name, rtype)
    ((shown, soa),) = reply.authority
    assert (shown, soa.rtype, soa.ttl) == (from_text("example."), iana.SOA, 60)


async def test_a_function_without_a_zone_around_it_answers_alone():
    site = ours.Router()

    @site.answer("*", "A")
    async def address(query, context):
        return query.reply(ours.A("192.0.2.1"))

    assert (await answer(site, "any.name.at.all.")).answer
    reply = await answer(site, "any.", "AAAA")
    assert (reply.rcode, reply.authority) == (0, ())
    assert (await answer(site, ".")).rcode == ours.REFUSED


async def test_a_service_mounted_deeper_comes_before_a_pattern_above_it(site):
    async def inner(query, context):
        return query.reply(ours.A("198.51.100.1"))

    site.mount("in.dyn.example.", inner)
    reply = await answer(site, "x.in.dyn.example.")
    assert reply.answer[0][1].rdatas == (b"\xc6\x33\x64\x01",)
    assert await answer(site, "silent.example.") is None


def test_a_suffix_or_pattern_cannot_be_mounted_twice(site):
    async def other(query, context):
        return None

    with pytest.raises(UsageError, match=r"example\. already has a service"):
        site.mount("EXAMPLE", other)
    with pytest.raises(UsageError, match="already has a function for AAAA"):
        site.answer("*.dyn.example", "AAAA", "TXT")(other)
    with pytest.raises(UsageError, match="already has a function for all types"):
        site.answer("none.example.")(other)
    with pytest.raises(UsageError, match="is not a domain name"):
        site.mount("a..b", other)
    with pytest.raises(UsageError, match="is not an RR type"):
        site.answer("x.", "B")


async def test_the_endpoint_answers_frames_by_the_limit_of_the_transport(folder):
    big = "".join(f"big A 192.0.2.{n}\n" for n in range(100))
    (folder / "example.zone").write_text(ZONE + big)
    endpoint = ours.serve(ours.zones(folder), max_udp_payload=512)
    assert (endpoint.name, endpoint.short_form) == ("dns", ("udp", "tcp"))
    assert endpoint.stream is not None
    frame = build_query(7, from_text("big.example."), iana.A, edns=Edns(4096))
    parsed = dns.message.from_wire(await endpoint.datagram.service(frame, CONTEXT))
    assert parsed.flags & 0x0200
    assert parsed.payload == 512


@pytest.mark.parametrize(
    ("frame", "reason"),
    [(b"", "short"), (bytes(11), "short"), (b"\0\0\x80" + bytes(9), "qr"), (bytes(12), None)],
)
def test_the_header_check_drops_what_must_never_be_answered(frame, reason):
    verdict = ours.serve(ours.Router()).admission[0](frame, CONTEXT.peer, CONTEXT.via)
    assert (verdict.reason if verdict else None) == reason


def test_every_name_of_the_front_door_is_there():
    for name in ours.__all__:
        assert getattr(ours, name) is not None
    assert set(ours.__all__) <= set(dir(ours))
    with pytest.raises(AttributeError, match="nonsense"):
        ours.nonsense  # noqa: B018


@pytest.mark.parametrize("gives", [None, "address"])
async def test_a_service_without_an_soa_record_leaves_negative_answers_as_they_are(gives):
    site = ours.Router()

    async def around(query, context):
        return query.reply(ours.A("192.0.2.1")) if gives else None

    async def below(query, context):
        return query.reply(rcode=ours.NXDOMAIN)

    site.mount("example.", around)
    site.answer("*.example.")(below)
    reply = await answer(site, "a.example.")
    assert (reply.rcode, reply.authority) == (ours.NXDOMAIN, ())
    assert repr(reply) == "<Reply NXDOMAIN to a.example. A>"


def test_a_file_whose_name_is_no_zone_says_what_to_do(tmp_path):
    (tmp_path / "a..b.zone").write_text(ZONE)
    with pytest.raises(ConfigError, match=f"give it as NAME={tmp_path}/a..b.zone"):
        load_zones(tmp_path)


def test_zones_that_are_served_together_are_warned_of_as_when_they_are_checked(tmp_path):
    head = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n"
    (tmp_path / "one.zone").write_text(f"{head}m MX 1 none.two.\nm MX 2 ns.two.\n")
    (tmp_path / "two.zone").write_text(f"{head}w SRV 0 0 1 ns.one.\nw SRV 0 0 2 x.one.\n")
    checked = json.loads(
        CliRunner().invoke(zone_command, ["check", "--json", str(tmp_path)]).stdout
    )
    service = ours.zones(tmp_path)
    for _ in range(2):
        served = {to_text(each.origin): each.warnings for each in service.zones}
        assert [fault.message for fault in served["one."]] == [
            "the mail exchange none.two. of m.one. has no address in the zone two."
        ]
        for each in checked:
            shown = [fault["message"] for fault in each["warnings"]]
            assert shown == [fault.message for fault in served[each["zone"]]] != []
        service.reload().commit()
