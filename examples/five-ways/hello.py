"""A web service with one text, on any address: `python hello.py ADDRESS TEXT`.

It does not know how it is reached; the given address decides.
"""

import argparse

from aiohttp import web

from pierhead import hosting, run
from pierhead.integrations.argparse import add_listen_argument

parser = argparse.ArgumentParser(description="Answer every request with the same text.")
add_listen_argument(parser, dest="listen_address", many=False)
parser.add_argument("text_to_serve", metavar="TEXT_TO_SERVE", help="body of every response")
args = parser.parse_args()


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=args.text_to_serve)


app = web.Application()
app.router.add_get("/{path:.*}", hello)

run(hosting.aiohttp.serve(app), args.listen_address)
