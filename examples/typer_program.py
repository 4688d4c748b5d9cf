"""The same with typer, which reads it all from the function's signature.

python typer_program.py -l 127.0.0.1:7000 -l ./shout.sock --unix-listen-chmod group
"""

import typer
from services import shout

from pierhead import ListenSpec, run
from pierhead.arguments.typer import Listen, listen_flags
from pierhead.protocols import lines

app = typer.Typer(add_completion=False)
HERE = [ListenSpec.parse("127.0.0.1:7000")]


@app.command()
@listen_flags
def main(listen: Listen = HERE):
    """Answer each line in capital letters."""
    run(lines.serve(shout), *listen)


app()
