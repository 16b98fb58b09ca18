"""A TLS stream that looks like a non-blocking socket: recv and send raise BlockingIOError when they would wait."""

from __future__ import annotations

import socket
import ssl

from gevent.socket import wait_read, wait_write


class TlsStream:
    """Wraps a connected non-blocking socket; `handshake` waits on gevent's loop, the rest never waits."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_name: str) -> None:
        self._socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name or None)
        self._unsent = b""

    def handshake(self, timeout_s: float) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush_waiting(timeout_s)
                wait_read(self._socket.fileno(), timeout=timeout_s)
                self._fill()
            else:
                self._flush_waiting(timeout_s)
                return

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def send(self, data: bytes) -> int:
        """Takes all of `data`; what the socket did not take yet goes out with `send(b"")` or the next call."""
        if data:
            self._tls.write(data)
        self._unsent += self._outgoing.read()
        while self._unsent:
            sent = self._socket.send(self._unsent)
            self._unsent = self._unsent[sent:]
        return len(data)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _fill(self) -> None:
        data = self._socket.recv(65_536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush_waiting(self, timeout_s: float) -> None:
        while True:
            try:
                self.send(b"")
                return
            except BlockingIOError:
                wait_write(self._socket.fileno(), timeout=timeout_s)
