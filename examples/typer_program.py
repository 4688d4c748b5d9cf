"""The same with typer, which reads it all from the function's signature.

python typer_program.py -l 127.0.0.1:7000 -l ./shout.sock --unix-listen-chmod group
"""

import typer
from services import shout

from pierhead import run
from pierhead.integrations.typer import listen_option
from pierhead.protocols import lines

app = typer.Typer(add_completion=False)


@app.command()
@listen_option("127.0.0.1:7000")
def main(listen):
    """Answer each line in capital letters."""
    run(lines.serve(shout), *listen)


app()
