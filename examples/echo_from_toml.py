"""An echo server whose addresses and their options are in a TOML file.

python echo_from_toml.py [FILE]
"""

import sys
import tomllib
from pathlib import Path

from pierhead import ListenSpec, run
from pierhead.errors import AddressError
from pierhead.protocols import lines


def read(file: Path) -> list[ListenSpec]:
    """Return the addresses in a file; end the program listing everything wrong with them."""
    try:
        listen = tomllib.loads(file.read_text(encoding="utf-8")).get("listen")
    except (OSError, ValueError) as error:
        raise SystemExit(give_up(f"{file}: {error}")) from None
    if not isinstance(listen, list) or not listen:
        raise SystemExit(give_up(f'{file}: listen is missing; write listen = ["HOST:PORT"]'))
    specs, faults = [], []
    for number, entry in enumerate(listen):
        try:
            specs.append(ListenSpec.from_table(entry))
        except AddressError as error:
            faults.append(f"{file}: listen[{number}]: {error}")
    if faults:
        raise SystemExit(give_up(*faults))
    return specs


def give_up(*faults: str) -> int:
    print(*faults, sep="\n", file=sys.stderr)
    return 4


here = Path(__file__)
file = Path(sys.argv[1]) if len(sys.argv) > 1 else here.with_name("echo.toml")
run(lines.serve(lines.echo, encoding=None), *read(file))
