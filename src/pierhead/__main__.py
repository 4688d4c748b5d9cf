"""``python -m pierhead`` is the ``pierhead`` command."""

from pierhead.cli.main import main

main()
