"""How each generator is called for the same job, and where it says how many requests a second it made."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.server import BODY

HERE = Path(__file__).parent
USERS = 32
K6 = """
import http from 'k6/http';
export const options = {{ vus: {users}, duration: '{seconds}s', discardResponseBodies: false, summaryTrendStats: ['med'] }};
export default function () {{
  http.post('{url}/api/ask', '{body}', {{ headers: {{ 'Content-Type': 'application/json' }} }});
}}
export function handleSummary(data) {{ return {{ stdout: JSON.stringify(data.metrics.http_reqs.values) }}; }}
"""
CONTRACT = """
[target]
name = "peers"
base_url = "{url}"
[[endpoint]]
name = "ask"
method = "POST"
path = "/api/ask"
json = {{ question = "hello there how are you" }}
"""


@dataclass(frozen=True)
class Generator:
    """`rate` reads requests per second from what the command printed."""

    name: str
    command: list[str]
    rate: Callable[[str], float]
    ours: bool = False


def generators(url: str, seconds: int, folder: Path) -> tuple[list[Generator], list[str]]:
    """Those that are installed, and the names of those that are not."""
    beside = str(Path(sys.executable).parent)
    plimsoll, locust = f"{beside}/plimsoll", f"{beside}/locust"
    contract = folder / "peers.toml"
    contract.write_text(CONTRACT.format(url=url), encoding="utf-8")
    script = folder / "peers.js"
    script.write_text(K6.format(users=USERS, seconds=seconds, url=url, body=BODY), encoding="utf-8")
    lua = folder / "peers.lua"
    lua.write_text(
        f"wrk.method='POST' wrk.body='{BODY}' wrk.headers['Content-Type']='application/json'", encoding="utf-8"
    )
    common = ["--users", str(USERS), "--duration", str(seconds), "--json", "--out", str(folder / "runs")]
    found = [
        Generator("plimsoll, contract", [plimsoll, "run", str(contract), *common], _summary, ours=True),
        Generator(
            "plimsoll, Locust @task",
            [plimsoll, "run", "-f", str(HERE / "our_locustfile.py"), "--host", url, *common],
            _summary,
            ours=True,
        ),
        Generator(
            "locust FastHttpUser",
            [locust, "-f", str(HERE / "stock_locustfile.py"), "--headless", "-u", str(USERS), "-r", str(USERS),
             "-t", f"{seconds}s", "--host", url, "--json", "--skip-log"],
            _locust,
        ),
    ]  # fmt: skip
    absent = []
    for program, make in (
        ("wrk", lambda p: Generator("wrk", [p, "-t1", f"-c{USERS}", f"-d{seconds}s", "-s", str(lua), f"{url}/api/ask"], _wrk)),
        ("hey", lambda p: Generator("hey", [p, "-c", str(USERS), "-z", f"{seconds}s", "-cpus", "1", "-m", "POST", "-T",
                                            "application/json", "-d", BODY, f"{url}/api/ask"], _hey)),
        ("k6", lambda p: Generator("k6", [p, "run", "--quiet", str(script)], _k6)),
    ):  # fmt: skip
        where = shutil.which(
            program, path=f"{beside}:{Path('.venv-peers/bin').absolute()}:/usr/local/bin:/usr/bin:/bin"
        )
        if where:
            found.append(make(where))
        else:
            absent.append(program)
    return found, absent


def _summary(text: str) -> float:
    return float(json.loads(text)["achieved_rps"])


def _locust(text: str) -> float:
    entries = json.loads(text[text.index("[") :])
    total = sum(entry["num_requests"] for entry in entries)
    spent = max(e["last_request_timestamp"] for e in entries) - min(e["start_time"] for e in entries)
    return total / spent


def _wrk(text: str) -> float:
    return _number(r"Requests/sec:\s+([\d.]+)", text)


def _hey(text: str) -> float:
    return _number(r"Requests/sec:\s+([\d.]+)", text)


def _k6(text: str) -> float:
    return float(json.loads(text[text.index("{") : text.rindex("}") + 1])["rate"])


def _number(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"no rate in: {text[-300:]}")
    return float(match.group(1))
