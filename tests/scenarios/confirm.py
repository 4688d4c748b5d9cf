"""Sends the queries of the scenarios to real servers, and reports those that answer otherwise.

python -m tests.scenarios.confirm                        all files, BIND, NSD and Knot
python -m tests.scenarios.confirm --peers nsd,knot rfc4592
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.scenarios.peers import SERVERS, answers, complaints, lookups
from tests.scenarios.scenario import read_all


def main(arguments: list[str]) -> int:
    """Ask, report, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="files whose name begins so; all by default")
    parser.add_argument("--peers", default=",".join(SERVERS), help="default: %(default)s")
    options = parser.parse_args(arguments)
    chosen = [s for s in read_all() if not options.files or s.name.startswith(tuple(options.files))]
    asked = lookups(chosen)
    with tempfile.TemporaryDirectory() as folder:
        peers = options.peers.split(",")
        said = {peer: answers(peer, asked, Path(folder)) for peer in peers}
    found = complaints(asked, said)
    print("\n\n".join(found))
    print(f"{len(asked)} questions in {len(chosen)} files, {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
