"""The format of scenario files: what is wrong with a file is said with its line, and a wrong
answer fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.scenarios.peers import Lookup, complaints, lookups
from tests.scenarios.play import Difference, play
from tests.scenarios.scenario import Passing, ScenarioError, read
from tests.scenarios.spelling import octets, read_record

HEAD = """\
# For the reader.
rfc: 1034 §4.3.2

zone: example.
    $TTL 3600
    @   SOA ns.elsewhere.test. mail.elsewhere.test. 1 3600 600 86400 300
        NS  ns.elsewhere.test.
    www A   192.0.2.1

"""
GOOD = """\
case: A name has an address
ask: WWW.example. A
status: NOERROR aa
answer:
    WWW.example. 3600 A 192.0.2.1
"""


def scenario(tmp_path, text: str, head: str = HEAD):
    path = tmp_path / "one.txt"
    path.write_text(head + text, encoding="utf-8")
    return read(path)


def test_a_right_answer_passes(tmp_path) -> None:
    one = scenario(tmp_path, GOOD)

    play(one, one.cases[0])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("NOERROR aa", "NXDOMAIN aa"),
        ("NOERROR aa", "NOERROR"),
        ("NOERROR aa", "NOERROR aa rd"),
        ("3600 A", "3601 A"),
        ("192.0.2.1", "192.0.2.2"),
        ("answer:", "authority:"),
        ("    WWW.example. 3600 A 192.0.2.1\n", ""),
        ("    WWW.example.", "    www.example."),
        ("192.0.2.1\n", "192.0.2.1\n    WWW.example. 3600 A 192.0.2.2\n"),
        ("status: NOERROR aa\n", "status: NOERROR aa\nopt: version=0 size=1232\n"),
        ("status: NOERROR aa\n", "status: NOERROR aa\nquestion: www.example. A\n"),
        (GOOD[GOOD.index("status") :], "silence:\n"),
        (GOOD[GOOD.index("status") :], "closed:\n"),
        (GOOD[GOOD.index("status") :], "reply: 5048\n"),
    ],
)
def test_every_difference_fails_and_shows_the_line_and_both_answers(tmp_path, right, wrong) -> None:
    one = scenario(tmp_path, GOOD.replace(right, wrong))

    with pytest.raises(Difference, match=r"one\.txt:11: expected\n(?s:.*)\nfound\nstatus|reply"):
        play(one, one.cases[0])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("case: Nothing\n", "10: expected 'case: A SENTENCE', and 'ask:' below it"),
        ("case: A\nask: www.example. A\n", "11: expected 'status:', 'reply:', 'silence:'"),
        ("case: A\nask: www.example. A fast\nsilence:\n", "11: 'fast' means nothing"),
        ("case: A\nask: www.example.\nsilence:\n", "11: expected 'ask: NAME TYPE"),
        ("case: A\nask: www.example. NOTYPE\nsilence:\n", "11: DNS resource record type"),
        ("case: A\nsend udp: 123\nsilence:\n", "11: expected pairs of hexadecimal digits"),
        ("case: A\ntime passes: soon\n", "11: expected a time such as 30m"),
        ("case: A\nask: . A\nstatus: NOERROR\nanswer:\n    x. A 1\n", "14: expected 'owner TTL"),
        ("case: A\nask: . A\nstatus: X\ndiffers: djbdns — old\n", "13: expected 'PEER — reason'"),
        ("case: A\nrfc: 1034\n", "11: expected 'rfc: NUMBER §SECTION'"),
        ("whatever: A\n", "10: expected 'case:', found 'whatever:'"),
        ("no colon\n", "10: expected 'key: value'"),
    ],
)
def test_an_invalid_scenario_is_refused_with_its_line(tmp_path, text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        scenario(tmp_path, text)

    assert f"one.txt:{complaint}" in str(refused.value)


@pytest.mark.parametrize("head", ["", "rfc: 1 §1\nconfig: colour=red\n", "    indented\n"])
def test_an_invalid_head_is_refused(tmp_path, head: str) -> None:
    with pytest.raises(ScenarioError, match=r"one\.txt"):
        scenario(tmp_path, GOOD, head)


def test_a_case_has_the_clauses_of_its_file_or_its_own(tmp_path) -> None:
    own = GOOD.replace("ask:", "rfc: 2308 §3\nask:")
    one = scenario(tmp_path, GOOD + own)

    assert [case.rfcs for case in one.cases] == [(("1034", "4.3.2"),), (("2308", "3"),)]


def test_time_passes_on_the_held_clock_alone(tmp_path) -> None:
    one = scenario(tmp_path, GOOD + "time passes: 30d\n" + GOOD[GOOD.index("ask") :])

    assert one.cases[0].steps[1] == Passing(30 * 86400, 15)
    play(one, one.cases[0])


def test_octets_are_digits_and_text() -> None:
    assert octets('0001 ff "www" 00') == b"\x00\x01\xffwww\x00"
    assert octets("") == b""


def test_a_record_has_one_spelling() -> None:
    assert read_record("a. 5 IN MX 10  Mail.Example.") == ("a.", 5, "IN", "MX", "10 mail.example.")
    assert read_record('a. 5 TXT one "t w o"')[4] == '"one" "t w o"'
    assert read_record("a. 5 TYPE65280 \\# 2 01 02")[4] == "\\# 2 0102"


class TestConfirmation:
    """What the answers of other servers must be for a file to be valid."""

    @pytest.fixture
    def lookup(self, tmp_path) -> Lookup:
        (one,) = lookups([scenario(tmp_path, GOOD)])
        return replace(one, scenario=replace(one.scenario, path=one.scenario.path))

    @pytest.fixture(autouse=True)
    def _folder(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setattr("tests.scenarios.scenario.FOLDER", tmp_path)

    def said(self, lookup: Lookup, **answers: str):
        texts = {"same": lookup.lines(), "other": ["status: SERVFAIL"]}
        return {server: {lookup.where: texts[answer]} for server, answer in answers.items()}

    def differing(self, lookup: Lookup, **reasons: str) -> Lookup:
        return replace(lookup, expected=replace(lookup.expected, differs=reasons))

    def test_all_agree(self, lookup) -> None:
        assert not complaints([lookup], self.said(lookup, bind="same", nsd="same", knot="same"))

    def test_who_differs_must_be_named(self, lookup) -> None:
        said = self.said(lookup, bind="same", nsd="same", knot="other")

        assert complaints([lookup], said) == ["one.txt:11: knot says otherwise\nstatus: SERVFAIL"]
        assert not complaints([self.differing(lookup, knot="why")], said)

    def test_who_is_named_must_differ(self, lookup) -> None:
        said = self.said(lookup, bind="same", nsd="same", knot="same")

        assert complaints([self.differing(lookup, knot="why")], said) == [
            "one.txt:11: knot does not differ"
        ]

    def test_fewer_than_two_need_an_rfc(self, lookup) -> None:
        said = self.said(lookup, bind="same", nsd="other", knot="other")
        without = self.differing(lookup, nsd="why", knot="why")

        assert complaints([without], said) == [
            "one.txt:11: only ['bind'] agree, and no RFC decides"
        ]
        assert not complaints([self.differing(lookup, nsd="RFC 1034 §1", knot="why")], said)
