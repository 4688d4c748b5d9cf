"""A program that listens where its command line says: -l, repeatable, and flags.

python click_program.py -l 127.0.0.1:7000 -l ./shout.sock --unix-listen-chmod group
"""

import click
from services import shout

from pierhead import run
from pierhead.integrations.click import listen_option
from pierhead.protocols import lines


@click.command()
@listen_option("127.0.0.1:7000", envvar="LISTEN")
def main(listen):
    """Answer each line in capital letters."""
    run(lines.serve(shout), *listen)


main()
