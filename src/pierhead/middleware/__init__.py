"""Protocol-independent layers, one file each: a service in, a service out.

    service = stack(shout, access_log(), limit(100), timeout(2.0))

The first listed is the outermost. Every layer here covers all of many replies: it ends when the
last reply has been taken, the iteration has failed, or the consumer has closed it.
"""

from pierhead.middleware.access_log import access_log
from pierhead.middleware.catch import catch
from pierhead.middleware.limit import limit
from pierhead.middleware.retry import retry
from pierhead.middleware.timeout import timeout

__all__ = ["access_log", "catch", "limit", "retry", "timeout"]
