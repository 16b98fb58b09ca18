"""A small service whose faults are set by the environment, for finding them again from outside.

A thread per connection, HTTP/1.1, several forked workers where asked for: the standard library alone, so that it
starts in a tenth of a second.
"""

import hashlib
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LEAK_BYTES = int(os.environ.get("LEAK_BYTES", "0"))
HOG_ROUNDS = int(os.environ.get("HOG_ROUNDS", "0"))
HASH_ROUNDS = int(os.environ.get("HASH_ROUNDS", "0"))
BLOCK_S = float(os.environ.get("BLOCK_S", "0"))
BLOCK_BY = os.environ.get("BLOCK_BY", "sleep")
KEPT: list[bytes] = []
CACHE_BYTES = int(os.environ.get("CACHE_BYTES", "0"))
CACHE: dict[str, bytes] = {}
ONE_AT_A_TIME = threading.Lock()


def planted_hog(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


def innocent_hash(rounds: int) -> str:
    digest = hashlib.sha256()
    for _ in range(rounds):
        digest.update(b"x" * 64)
    return digest.hexdigest()


def planted_leak(size: int) -> None:
    KEPT.append(bytes(size))


def planted_sleep(seconds: float) -> None:
    time.sleep(seconds)


def planted_lock(seconds: float) -> None:
    with ONE_AT_A_TIME:
        time.sleep(seconds)


def planted_read(seconds: float) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(seconds)
    try:
        ours.recv(1)
    except TimeoutError:
        pass
    finally:
        ours.close()
        theirs.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/health":
            if HOG_ROUNDS:
                planted_hog(HOG_ROUNDS)
            if HASH_ROUNDS:
                innocent_hash(HASH_ROUNDS)
            if LEAK_BYTES:
                planted_leak(LEAK_BYTES)
            if CACHE_BYTES and self.path not in CACHE:
                CACHE[self.path] = bytes(CACHE_BYTES)
            if BLOCK_S:
                {"sleep": planted_sleep, "lock": planted_lock, "read": planted_read}[BLOCK_BY](BLOCK_S)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    for _ in range(int(os.environ.get("WORKERS", "1")) - 1):
        if os.fork() == 0:
            break
    server.serve_forever()


if __name__ == "__main__":
    main()
