"""Options of other servers that something of ours takes the place of, and what to do instead."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from granian.server import Server as GranianServer
from hypercorn import Config as HypercornConfig
from uvicorn import Config as UvicornConfig

from pierhead import ListenSpec, hosting
from pierhead.address import OPTIONS
from pierhead.hosting.granian import server as granian_server
from pierhead.hosting.hypercorn import config as hypercorn_config
from pierhead.hosting.refusal import unknown
from pierhead.hosting.uvicorn import config as uvicorn_config
from pierhead.server.options import ServerOptions

REPLACED = {
    "aiohttp": hosting.aiohttp.REPLACED,
    "granian": granian_server.REPLACED,
    "hypercorn": hypercorn_config.REPLACED,
    "uvicorn": uvicorn_config.REPLACED,
}

KNOWN = {
    "aiohttp": {
        *inspect.signature(web.run_app).parameters,
        *inspect.signature(RequestHandler.__init__).parameters,
    },
    "granian": {*inspect.signature(GranianServer.__init__).parameters},
    "hypercorn": {*vars(HypercornConfig), *HypercornConfig.__annotations__},
    "uvicorn": {*inspect.signature(UvicornConfig).parameters},
}


@pytest.fixture(params=REPLACED)
def server(request) -> str:
    return request.param


def test_the_server_has_each_option_that_is_refused(server):
    assert REPLACED[server].keys() <= KNOWN[server]


def test_addresses_in_remedies_are_addresses(server):
    for remedy in REPLACED[server].values():
        for example in re.findall(r"'(\S*:\S*)'", remedy):
            assert example == "module:name" or ListenSpec.parse(example)


def test_options_in_remedies_are_options(server):
    ours = {field.name for field in dataclasses.fields(ServerOptions)}
    keys = {option.key for option in OPTIONS}
    for remedy in REPLACED[server].values():
        assert set(re.findall(r"give (\w+) to run", remedy)) <= ours
        assert set(re.findall(r"([\w-]+)= to an address", remedy)) <= keys


def test_an_unknown_option_is_answered_with_the_nearest_or_with_all():
    assert str(unknown("it", "wokers", {"port", "workers"})) == (
        "it has no option 'wokers'; did you mean workers?"
    )
    assert str(unknown("it", "x", {"workers", "port"})).endswith("; expected one of port, workers")
