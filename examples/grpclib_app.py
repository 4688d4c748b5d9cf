"""gRPC on anything that listens; a handler as grpclib's generator writes it from a .proto file."""

from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase

from pierhead import hosting, run


class Octets(CodecBase):
    """Unmodified messages; the default is protocol buffers."""

    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class Shouter:
    async def shout(self, stream):
        message = await stream.recv_message()
        await stream.send_message(message.upper())

    def __mapping__(self):
        kind = Cardinality.UNARY_UNARY
        return {"/example.Shouter/Shout": Handler(self.shout, kind, bytes, bytes)}


run(hosting.grpclib.serve([Shouter()], codec=Octets()), "127.0.0.1:50051", "unix:./shouter.sock")
