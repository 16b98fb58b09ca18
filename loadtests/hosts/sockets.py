"""Locust's two sockets, with a lock on them: ZeroMQ's CURVE encrypts and lets in who has the token, and whatever comes in
is looked at before Locust does. Imported only where gevent is: by `hub` and `link`.

Both keys of the master come from the token (scrypt, RFC 7914); who does not know it cannot say the first word of the
handshake (https://rfc.zeromq.org/spec/26/). Locust's own worker or a stranger's bytes are dropped by ZeroMQ.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

import zmq.green as zmq
from locust import runners
from locust.exception import RPCError
from locust.rpc import Message, zmqrpc
from zmq.utils import z85

from loadtests.hosts.messages import FROM_MASTER, FROM_WORKERS, understood
from measurements.errors import UsageError

SALT = b"plimsoll hosts 1"
MOST_FROM_WORKERS = 1 << 20
MOST_FROM_MASTER = 256 << 20  # a plan brings its data files along
BEAT_MS, BEAT_LIMIT_MS = 1_000, 5_000


def master_keys(token: str) -> tuple[bytes, bytes]:
    """(public, secret) in Z85."""
    seed = hashlib.scrypt(token.encode(), salt=SALT, n=2**14, r=8, p=1, dklen=32)
    secret = z85.encode(seed)
    return zmq.curve_public(secret), secret


class Server(zmqrpc.Server):
    """As Locust's; `strays` counts messages that were no message."""

    strays = 0

    def __init__(self, token: str, host: str, port: int) -> None:
        zmqrpc.BaseSocket.__init__(self, zmq.ROUTER, self.ipv4_only(host, port))
        self.socket.curve_server = True
        self.socket.curve_publickey, self.socket.curve_secretkey = master_keys(token)
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a host that was cut off comes back under its own name
        self.socket.setsockopt(zmq.MAXMSGSIZE, MOST_FROM_WORKERS)
        _beat(self.socket)
        try:
            self.socket.bind(f"tcp://{_bracketed(host)}:{port}")
        except zmq.ZMQError as error:
            raise UsageError(
                f"{host}:{port} cannot be listened on ({error.strerror}); end what uses it, or name another with --bind"
            ) from error
        self.port = int(self.socket.getsockopt(zmq.LAST_ENDPOINT).rpartition(b":")[2].rstrip(b"\0"))

    def recv_from_client(self) -> tuple[str, Message]:
        while True:
            try:
                parts = self.socket.recv_multipart()
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            found = understood(parts, FROM_WORKERS)
            if found is not None:
                return found[2], Message(*found)
            self.strays += 1


class Client(zmqrpc.Client):
    """As Locust's; `heard_s` is when the master last said anything (monotonic)."""

    def __init__(self, token: str, host: str, port: int, identity: str) -> None:
        zmqrpc.BaseSocket.__init__(self, zmq.DEALER, self.ipv4_only(host, port))
        self.socket.curve_serverkey = master_keys(token)[0]
        self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        self.socket.setsockopt(zmq.MAXMSGSIZE, MOST_FROM_MASTER)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2_000)
        self.socket.setsockopt(zmq.SNDHWM, 0)  # `shipping` bounds what is on its way
        self.socket.setsockopt(zmq.LINGER, 0)
        _beat(self.socket)
        self.socket.connect(f"tcp://{_bracketed(host)}:{port}")
        self.identity, self.heard_s = identity, time.monotonic()

    def recv(self) -> Message:
        while True:
            try:
                data = self.socket.recv()
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            self.heard_s = time.monotonic()
            found = understood([self.identity.encode(), data], FROM_MASTER)
            if found is not None:
                return Message(*found)


def _beat(socket: Any) -> None:
    socket.setsockopt(zmq.HEARTBEAT_IVL, BEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, BEAT_LIMIT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, BEAT_LIMIT_MS)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def lock(token: str) -> None:
    """From now on Locust's runners of this process make their sockets so."""
    runners.rpc.Server = lambda host, port: Server(token, host, port)
    runners.rpc.Client = lambda host, port, identity: Client(token, host, port, identity)
