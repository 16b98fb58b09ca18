"""Hosts for a test on one machine: network namespaces on a bridge of their own, with a wire to each that can be slow, lose
packets, and be cut. Needs root and iproute2; everything is gone afterwards.

Where the kernel has netem, a slow wire is `tc`'s; else it is a process of ours that carries the frames between two TAP
devices, late and not all of them.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import secrets
import select
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
SUBNET = "10.77.0"
MOST_S = 900  # a wire ends by itself


@dataclass(frozen=True)
class Wire:
    """One way: `delay_ms` and the share of frames that get lost."""

    delay_ms: float = 0.0
    loss: float = 0.0


def missing() -> str:
    """Why it cannot be done here; nothing when it can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    if shutil.which("ip") is None:
        return "iproute2 (ip) is not installed"
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"ip netns: {done.stderr.strip()}"


class Network:
    """A context. `add` a host, `start` commands on it, `cut` and `mend` its wire."""

    def __init__(self) -> None:
        self._tag = f"pl{secrets.token_hex(2)}"
        self._hosts: dict[str, str] = {}
        self._processes: list[subprocess.Popen[str]] = []
        self.netem = False

    def __enter__(self) -> Network:
        self._switch = f"{self._tag}-switch"
        self._ip("netns", "add", self._switch)
        self._in(self._switch, "link", "add", "bridge", "type", "bridge")
        self._in(self._switch, "link", "set", "bridge", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.kill()
            process.communicate()
        for name in [*self._hosts, "switch"]:
            subprocess.run(["ip", "netns", "del", f"{self._tag}-{name}"], check=False, capture_output=True)

    def add(self, name: str, wire: Wire | None = None) -> str:
        """A new host; its address."""
        namespace, address = f"{self._tag}-{name}", f"{SUBNET}.{len(self._hosts) + 2}"
        self._hosts[name] = address
        self._ip("netns", "add", namespace)
        port = f"p{len(self._hosts)}"
        if wire is None or not self._slow_by_kernel(namespace, port, wire):
            if wire is None:
                self._plug(namespace, port)
            else:
                self._slow_by_hand(namespace, port, wire)
        self._in(self._switch, "link", "set", port, "master", "bridge")
        self._in(self._switch, "link", "set", port, "up")
        self._in(namespace, "link", "set", "lo", "up")
        self._in(namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        self._in(namespace, "link", "set", "eth0", "up")
        return address

    def cut(self, name: str) -> None:
        self._in(f"{self._tag}-{name}", "link", "set", "eth0", "down")

    def mend(self, name: str) -> None:
        self._in(f"{self._tag}-{name}", "link", "set", "eth0", "up")

    def start(self, name: str, words: Sequence[object], cwd: Path, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["ip", "netns", "exec", f"{self._tag}-{name}", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=cwd, env={**os.environ, **env},
        )  # fmt: skip
        self._processes.append(process)
        return process

    # ------------------------------------------------------------------ wires

    def _plug(self, namespace: str, port: str) -> None:
        self._ip("link", "add", port, "netns", self._switch, "type", "veth", "peer", "name", "eth0", "netns", namespace)

    def _slow_by_kernel(self, namespace: str, port: str, wire: Wire) -> bool:
        self._plug(namespace, port)
        shape = ["netem", "delay", f"{wire.delay_ms}ms", "loss", f"{wire.loss * 100}%"]
        for space, device in ((namespace, "eth0"), (self._switch, port)):
            words = ["ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", device, "root", *shape]
            if subprocess.run(words, capture_output=True, check=False).returncode:
                self._in(self._switch, "link", "del", port)
                return False
        self.netem = True
        return True

    def _slow_by_hand(self, namespace: str, port: str, wire: Wire) -> None:
        here = f"{self._tag}e{len(self._hosts)}"
        words = [sys.executable, __file__, here, f"{self._tag}{port}", str(wire.delay_ms), str(wire.loss)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        self._ip("link", "set", here, "netns", namespace, "name", "eth0")
        self._ip("link", "set", f"{self._tag}{port}", "netns", self._switch, "name", port)

    def _in(self, namespace: str, *words: str) -> None:
        self._ip("-n", namespace, *words)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _tap(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def carry(left: str, right: str, delay_s: float, loss: float) -> None:
    """Frames from one device to the other, each after `delay_s`, `loss` of them not at all."""
    one, other = _tap(left), _tap(right)
    chance, due, number = random.Random(7), [], 0
    print("ready", flush=True)
    until = time.monotonic() + MOST_S
    while time.monotonic() < until:
        wait_s = min(1.0, max(0.0, due[0][0] - time.monotonic())) if due else 1.0
        for fd in select.select([one, other], [], [], wait_s)[0]:
            for _ in range(256):
                try:
                    frame = os.read(fd, 65_536)
                except OSError:
                    break
                if chance.random() >= loss:
                    number += 1
                    heapq.heappush(due, (time.monotonic() + delay_s, number, other if fd == one else one, frame))
        while due and due[0][0] <= time.monotonic():
            _, _, fd, frame = heapq.heappop(due)
            try:
                os.write(fd, frame)
            except OSError:
                continue  # the other end is down: the frame is lost, as on a wire


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1e3, float(sys.argv[4]))
