"""Layers that know no protocol, one file each: a service in, a service out.

    service = stack(shout, access_log(), limit(100), timeout(2.0))

The first listed is the outermost. Every layer here covers the whole of many replies: it is done
when the last reply has been taken, the iteration failed, or the consumer closed it.
"""

from pierhead.middleware.access_log import access_log
from pierhead.middleware.catch import catch
from pierhead.middleware.limit import limit
from pierhead.middleware.timeout import timeout

__all__ = ["access_log", "catch", "limit", "timeout"]
