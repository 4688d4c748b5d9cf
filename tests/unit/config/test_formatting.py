from __future__ import annotations

import tomllib

import pytest

from pierhead.config.formatting import reformat

TEXT = """\


# the file
strict_permissions=true # yes
limits . idle_timeout   =  '5s'
# about serving
[[serve]]


  protocol = "echo"
\tlisten = [ # kept
    ":7",   # as it is
]   # two blanks


  # at the end
[serve.limits]
x = '''
  y = 1 \x20
'''"""
FORMATTED = """\
# the file
strict_permissions = true  # yes
limits . idle_timeout = '5s'

# about serving
[[serve]]

protocol = "echo"
listen = [ # kept
    ":7",   # as it is
]  # two blanks

# at the end
[serve.limits]
x = '''
  y = 1 \x20
'''
"""


def test_blanks_are_laid_out_and_nothing_else() -> None:
    assert reformat(TEXT) == FORMATTED
    assert reformat(TEXT.replace("\n", "\r\n")) == FORMATTED


@pytest.mark.parametrize("text", ["", "# nothing", "a = 1", "\n\n[a]\n\n\n[b]"])
def test_short_texts_end_with_one_line_end(text: str) -> None:
    out = reformat(text)
    assert out.endswith("\n")
    assert "\n\n\n" not in out
    assert tomllib.loads(out) == tomllib.loads(text)
