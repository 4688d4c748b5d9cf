"""A pytest plugin that runs every test without a held clock on uvloop."""

import uvloop

uvloop.install()
