"""Figure 11: answer a typed value, sent as JSON, over HTTP."""

import msgspec

from pierhead import run
from pierhead.protocols import http


class Data(msgspec.Struct):
    number: int
    boolean: bool


received = (http.path("data") & http.post() & http.json(Data)).map(lambda data: f"Received: {data}")
run(http.serve(received), "tcp:127.0.0.1:7000")
