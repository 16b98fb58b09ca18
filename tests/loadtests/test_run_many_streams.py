"""Streams that are read together: every token has the time at which it came, whenever the load process read it."""

import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from real_runs import contract, rows, run
from servers import Asked, Line, Script, Scripted, answer, chunk, head, openai, sse

from loadtests.arrivals import Process
from plimsoll.measure import Run, measure
from plimsoll.spec import Spec

BUSY = """
import time
from locust import task
from plimsoll.users import PlimsollUser


class Busy(PlimsollUser):
    @task
    def listens(self):
        self.client.stream("POST", "/chat", json={}, name="chat")

    @task
    def computes(self):
        self.client.get("/quick", name="quick")
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass
"""
TOKENS, GAP_S = 20, 0.03


def event(text: str, finish: str | None = None) -> bytes:
    return chunk(f"data: {json.dumps(openai(text, finish))}\n\n".encode())


def stamping(stamps: dict[int, list[int]]) -> Script:
    """A stream at a steady pace; notes when each token was sent."""

    def script(line: Line, asked: Asked) -> None:
        line.send(head(Content_Type="text/event-stream", Transfer_Encoding="chunked") + event(""))
        begin = time.monotonic()
        for number in range(1, TOKENS + 1):
            time.sleep(max(0.0, begin + number * GAP_S - time.monotonic()))
            stamps[asked.seq].append(time.monotonic_ns())
            line.send(event("a"))
        line.send(event("", "stop") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    return script


def late_ms(made: Run, stamps: dict[int, list[int]]) -> np.ndarray:
    """Of each token: its time in the rows after the moment at which the server sent it."""
    start_ns = made.directory.read_json("run.json")["workers"][0]["start_monotonic_ns"]
    tokens = made.directory.table("tokens", ["seq", "event", "at_ns"]).to_pandas().sort_values(["seq", "event"])
    found = []
    for seq, times in tokens.groupby("seq")["at_ns"]:
        assert len(times) == TOKENS
        found.append((times.to_numpy() + start_ns - np.array(stamps[int(seq)])) / 1e6)
    return np.concatenate(found)


def test_a_task_that_computes_does_not_move_the_tokens_of_others(tmp_path: Path) -> None:
    """A fifth of the time nothing is read, for 20 ms each time, in which a stream's next token comes."""
    stamps: dict[int, list[int]] = defaultdict(list)
    locustfile = tmp_path / "busy.py"
    locustfile.write_text(BUSY, encoding="utf-8")
    with Scripted({"/chat": stamping(stamps), "/quick": answer()}) as server:
        made = measure(
            Spec(locustfile=locustfile, host=server.url, rate_rps=20.0, duration_s=2.0, seed=3, out=tmp_path / "runs",
                 process=Process("constant"))
        )  # fmt: skip
    late = late_ms(made, stamps)
    assert len(late) >= 5 * TOKENS
    assert np.quantile(late, 0.95) < 5, np.quantile(late, (0.5, 0.9, 0.95, 0.99))
    assert late.min() > -0.5


def test_a_hundred_streams_at_once_are_timed_as_they_came(tmp_path: Path) -> None:
    stamps: dict[int, list[int]] = defaultdict(list)
    endpoint = {"name": "chat", "path": "/chat", "method": "POST", "json": {}, "stream": "sse"}
    with Scripted({"/chat": stamping(stamps)}) as server:
        made = run(
            contract(server.url, [endpoint]), tmp_path, rate_rps=100.0, duration_s=1.0, process=Process("constant")
        )
    assert {row["outcome"] for row in rows(made.directory)} == {"ok"}
    late = late_ms(made, stamps)
    assert len(late) == 100 * TOKENS and np.median(late) < 5 and late.min() > -0.5


def test_behind_a_stream_its_connection_is_watched_again(tmp_path: Path) -> None:
    """The server closes what is idle; the next stream opens a connection of its own instead of meeting a closed one."""
    endpoint = {"name": "chat", "path": "/chat", "method": "POST", "json": {}, "stream": "sse"}
    words = sse([openai("a"), openai("b"), openai("", "stop"), "[DONE]"], gap_s=0.01)
    with Scripted({"/chat": words}, idle_close_s=0.1) as server:
        made = run(
            contract(server.url, [endpoint]), tmp_path, rate_rps=4.0, duration_s=2.0, process=Process("constant")
        )
        assert server.connections == 9  # one of them was the first look at the service
    assert [row["outcome"] for row in rows(made.directory)] == ["ok"] * 8
