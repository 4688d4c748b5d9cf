"""The laws of `locate` are in `tests/laws/test_configuration_laws.py`."""

from __future__ import annotations

from pierhead.config.locate import Place, locate

TEXT = """\
# a = "not this"
a = "]#" # nor [this]
[limits]
"quoted.key" = 'x'
t.u = { v = [1, # one
  '''
]''', ], w = 1979-05-27 07:32:00 }
[[serve]]
listen = []
[serve.limits]
x = \"\"\"a \\\"\"\" b\"\"\"
[[serve]]
[[serve.zones]]
[[serve.zones]]
name = "n"
"""


def at(path: tuple[str | int, ...]) -> tuple[str, str]:
    place = locate(TEXT)[path]
    key_end = TEXT.find("\n", place.key)
    return TEXT[place.key : min(key_end, place.key + 4)], TEXT[place.start : place.end]


def test_every_form_of_key_and_value_is_found() -> None:
    assert at(("a",)) == ("a = ", '"]#"')
    assert at(("limits",)) == ("limi", "[limits]")
    assert at(("limits", "quoted.key")) == ('"quo', "'x'")
    assert at(("limits", "t")) == ("t.u ", "t")
    assert at(("limits", "t", "u", "v", 1)) == ("'''", "'''\n]'''")
    assert at(("limits", "t", "u", "w")) == ("w = ", "1979-05-27 07:32:00")
    assert at(("serve", 0, "limits", "x")) == ("x = ", '"""a \\""" b"""')
    assert at(("serve", 1, "zones", 1, "name")) == ("name", '"n"')
    assert TEXT[locate(TEXT)["serve", 1].start :].startswith("[[serve]]\n[[serve.zones]]")


def test_a_table_that_its_children_have_announced_gets_its_own_header() -> None:
    text = "[a.b]\n[a]\n"
    assert locate(text)["a",] == Place(7, 6, 9)


def test_nothing_is_in_an_empty_text() -> None:
    assert locate("") == locate(" # only a comment\n\n") == {}
