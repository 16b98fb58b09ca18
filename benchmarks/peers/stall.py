"""What each generator says of a service that stops for a second: `python -P -m benchmarks.peers.stall`.

The service answers in parallel, each request 20 ms after it came; nine seconds in, it answers nothing for one second. At
100 requests a second over 20 seconds one of twenty requests waits for that pause: p99 is 820 ms, whoever measures.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from measurements.errors import UsageError

RATE, SECONDS, SERVICE_S, FIRST_S, PAUSE_S = 100, 20, 0.02, 9.0, 1.0
START_S = 20.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOCUSTFILE = """
from locust import FastHttpUser, constant_throughput, task
class Caller(FastHttpUser):
    wait_time = constant_throughput({each})
    @task
    def ask(self):
        self.client.get("/", name="ask")
"""
K6 = """
import http from 'k6/http';
export const options = {{ summaryTrendStats: ['med', 'p(99)', 'max'], scenarios: {{ a: {{ executor: 'constant-arrival-rate',
  rate: {rate}, timeUnit: '1s', duration: '{seconds}s', preAllocatedVUs: {users}, maxVUs: {users} }} }} }};
export default function () {{ http.get('{url}/'); }}
export function handleSummary(data) {{ return {{ stdout: JSON.stringify({{ t: data.metrics.http_req_duration.values,
  dropped: (data.metrics.dropped_iterations || {{ values: {{ count: 0 }} }}).values.count }}) }}; }}
"""
CONTRACT = """
[target]
name = "stall"
base_url = "{url}"
[[endpoint]]
name = "ask"
path = "/"
"""
Row = list[str]


def main() -> int:
    beside = Path(sys.executable).parent
    k6 = shutil.which("k6", path=f"{beside}:{Path('.venv-peers/bin').absolute()}:/usr/local/bin:/usr/bin")
    table = Table(title=f"{RATE} requests/s for {SECONDS} s at a service that pauses for {PAUSE_S:g} s")
    for heading in ("generator", "p50 ms", "p99 ms", "max ms", "not sent"):
        table.add_column(heading, justify="left" if heading == "generator" else "right")
    table.add_row("the truth", "20", "820", "1,020", "0")
    with tempfile.TemporaryDirectory(prefix="plimsoll-stall-") as name:
        folder = Path(name)
        for make in (_ours, _locust, *((lambda u, f, n=n: _k6(str(k6), u, f, n)) for n in (10, 400) if k6)):
            with served() as url:
                table.add_row(*make(url, folder))
    Console(width=100).print(table)
    if not k6:
        print("k6 is not installed and was left out (make peers installs it beside)")
    return 0


def _ours(url: str, folder: Path) -> Row:
    contract = folder / "stall.toml"
    contract.write_text(CONTRACT.format(url=url), encoding="utf-8")
    words = ["run", str(contract), "--rate", str(RATE), "--arrivals", "constant", "--duration", str(SECONDS), "--quiet"]
    _said([str(Path(sys.executable).parent / "plimsoll"), *words, "--out", str(folder / "runs")])
    rows = duckdb.sql(f"""
        select quantile_cont(ms, 0.5), quantile_cont(ms, 0.99), max(ms), count(*) filter (sent_ns is null)
        from (select (done_ns - intended_ns) / 1e6 as ms, sent_ns
              from '{folder}/runs/latest/samples/*.parquet' where seq >= 0)""").fetchone()
    assert rows is not None
    return ["plimsoll, open loop", *(f"{value:,.0f}" for value in rows)]


def _locust(url: str, folder: Path) -> Row:
    users = 10
    (folder / "locustfile.py").write_text(LOCUSTFILE.format(each=RATE // users), encoding="utf-8")
    text = _said([str(Path(sys.executable).parent / "locust"), "-f", str(folder / "locustfile.py"), "--headless", "-u", str(users),
                  "-r", str(users), "-t", f"{SECONDS}s", "--host", url, "--json", "--skip-log"])  # fmt: skip
    counts = {float(ms): n for ms, n in json.loads(text[text.index("[") :])[0]["response_times"].items()}
    sent = sum(counts.values())
    values = [_quantile(counts, q) for q in (0.5, 0.99, 1.0)]
    return [
        f"locust, constant_throughput, {users} users",
        *(f"{v:,.0f}" for v in values),
        f"{max(0, RATE * SECONDS - sent):,}",
    ]


def _quantile(counts: dict[float, int], q: float) -> float:
    """Of a histogram: the smallest value that a share `q` does not exceed."""
    wanted, seen = q * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return max(counts)


def _k6(program: str, url: str, folder: Path, users: int) -> Row:
    script = folder / "stall.js"
    script.write_text(K6.format(rate=RATE, seconds=SECONDS, users=users, url=url), encoding="utf-8")
    text = _said([program, "run", "--quiet", str(script)])
    found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    values = [found["t"][key] for key in ("med", "p(99)", "max")]
    return [
        f"k6, constant-arrival-rate, {users} VUs",
        *(f"{value:,.0f}" for value in values),
        f"{found['dropped']:,.0f}",
    ]


def _said(command: list[str]) -> str:
    print(f"{Path(command[0]).name} ...", file=sys.stderr, flush=True)
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=120, check=False
    ).stdout


@contextmanager
def served() -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        if not ours.poll(START_S):
            raise UsageError(f"the service of the comparison did not start within {START_S:g} s")
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        server.terminate()
        server.join(10)


def _serve(pipe: Connection) -> None:
    began: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                if not began:
                    began.append(loop.time())
                came_s = loop.time() - began[0]
                ends_s = FIRST_S + PAUSE_S
                wait_s = SERVICE_S + (ends_s - came_s if FIRST_S <= came_s < ends_s else 0.0)
                await asyncio.sleep(wait_s)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    raise SystemExit(main())
