"""Cases that our server does not pass yet: each is a defect of ours that has been reported.

A case listed here must fail; when it passes, the list is wrong and the tests say so.
"""

from __future__ import annotations

__all__ = ["KNOWN_TO_DIFFER"]

#: (file, title of the case) to what is wrong.
KNOWN_TO_DIFFER: dict[tuple[str, str], str] = {}
