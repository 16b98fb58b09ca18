"""Servers that a test scripts byte by byte: on 127.0.0.1, a free port, a thread per connection, stopped with the block.

with Scripted({"/fast": answer(), "/cut": raw(HEAD_100, b"ten bytes..")}) as server:
    ...  # server.url; server.asked holds every request that arrived whole
"""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass
class Asked:
    """One request as it arrived. `path` is without the query, header names are lower case."""

    method: str
    target: str
    header: dict[str, str]
    body: bytes
    connection: int
    client: str
    at_s: float = field(default_factory=time.monotonic)

    @property
    def seq(self) -> int:
        """The number of the arrival, which the trace id carries."""
        return int(self.header["traceparent"].split("-")[1][16:], 16)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


class Line:
    """One connection, seen from the server."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock, self.number, self.open = sock, number, True

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def close(self) -> None:
        self.open = False
        self._sock.close()

    def reset(self) -> None:
        """An RST instead of a FIN."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


Script = Callable[[Line, Asked], None]


class Scripted:
    """`scripts` by path; a path without one gets 404. `idle_close_s`: keep-alive connections end after so long. `unix`:
    a socket at that path instead of a port; `ipv6`: on ::1."""

    def __init__(
        self,
        scripts: dict[str, Script],
        idle_close_s: float | None = None,
        unix: Path | None = None,
        ipv6: bool = False,
    ) -> None:
        self.scripts, self._idle_close_s = scripts, idle_close_s
        self.asked: list[Asked] = []
        self.aside: list[Asked] = []  # probes and health checks, which are no load
        self.connections = 0
        self.port = 0
        self._open: set[socket.socket] = set()
        if ipv6:
            self._listener = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=512)
            self.port = self._listener.getsockname()[1]
            self.url = f"http://[::1]:{self.port}"
        elif unix is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
            self.port = self._listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(unix))
            self._listener.listen(512)
            self.url = f"unix:{unix}"
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def stop_listening(self) -> None:
        """New connections are refused from now on; those that are there go on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def paths(self) -> list[str]:
        return [asked.path for asked in list(self.asked)]

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            where = str(sock.getpeername()[0]) if sock.family == socket.AF_INET else ""
            threading.Thread(target=self._serve, args=(sock, self.connections, where), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int, where: str) -> None:
        line, data = Line(sock, number), b""
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while line.open and not self._stopping:
                sock.settimeout(self._idle_close_s if not data else 10.0)
                while b"\r\n\r\n" not in data:
                    more = sock.recv(65_536)
                    if not more:
                        return
                    data += more
                sock.settimeout(10.0)
                head, _, data = data.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ", 2)
                header = {key.lower(): value.strip() for key, _, value in (text.partition(":") for text in lines)}
                length = int(header.get("content-length", 0))
                while len(data) < length:
                    data += sock.recv(65_536)
                asked = Asked(method, target, header, data[:length], number, where)
                data = data[length:]
                (self.asked if "traceparent" in header else self.aside).append(asked)
                self.scripts.get(asked.path, answer(404, b"nothing here"))(line, asked)
        except OSError:
            pass
        finally:
            self._open.discard(sock)
            sock.close()


def head(status: int | str = 200, **header: Any) -> bytes:
    """A response head; underscores in names become dashes."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in header.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(status: int = 200, body: bytes = b'{"ok": true}', after_s: float = 0.0, **header: Any) -> Script:
    """A whole answer with its Content-Length."""
    data = head(status, Content_Length=len(body), **header) + body

    def script(line: Line, _: Asked) -> None:
        if after_s:
            time.sleep(after_s)
        line.send(data)

    return script


def raw(*pieces: bytes, pause_s: float = 0.0, then: str = "close") -> Script:
    """Bytes as they are, with a pause between pieces; `then`: close, reset, keep."""

    def script(line: Line, _: Asked) -> None:
        for number, piece in enumerate(pieces):
            if number and pause_s:
                time.sleep(pause_s)
            line.send(piece)
        if then == "reset":
            time.sleep(0.02)  # what was sent before an RST arrives only if it is read before it
            line.reset()
        elif then == "close":
            line.close()

    return script


def endless(first: bytes, piece: bytes, most_bytes: int, pause_s: float = 0.0) -> Script:
    """`piece` again and again, until the client has enough (or `most_bytes` are sent, to be bounded here too)."""

    def script(line: Line, _: Asked) -> None:
        line.send(first)
        for _sent in range(0, most_bytes, len(piece)):
            line.send(piece)
            if pause_s:
                time.sleep(pause_s)
        line.close()

    return script


def silent(seconds: float) -> Script:
    """Says nothing for so long, then closes."""

    def script(line: Line, _: Asked) -> None:
        time.sleep(seconds)
        line.close()

    return script


def sse(events: Iterable[Any], first_s: float = 0.0, gap_s: float = 0.0, end: bytes = b"") -> Script:
    """A chunked stream of server-sent events; a dict or str is one event's data, bytes go out as they are. `end`: bytes
    sent as the last chunk; without them the stream ends well."""
    pieces = [
        event
        if isinstance(event, bytes)
        else f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
        for event in events
    ]

    def script(line: Line, _: Asked) -> None:
        line.send(head(Content_Type="text/event-stream", Transfer_Encoding="chunked"))
        begin = time.monotonic() + first_s
        for number, piece in enumerate(pieces):
            time.sleep(max(0.0, begin + number * gap_s - time.monotonic()))
            line.send(chunk(piece))
        line.send(end or b"0\r\n\r\n")
        if end:
            line.close()

    return script


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def openai(text: str, finish: str | None = None) -> dict[str, Any]:
    """One chunk of a streamed chat completion."""
    return {"choices": [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}]}
