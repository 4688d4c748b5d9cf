"""The same with argparse of the standard library, addresses without -l.

python argparse_program.py 127.0.0.1:7000 ./shout.sock --unix-listen-chmod group
"""

import argparse

from services import shout

from pierhead import run
from pierhead.integrations.argparse import add_listen_argument
from pierhead.protocols import lines

parser = argparse.ArgumentParser(description="Answer each line in capital letters.")
add_listen_argument(parser, "127.0.0.1:7000", envvar="LISTEN")
args = parser.parse_args()

run(lines.serve(shout), *args.listen)
