"""Ordinary locustfiles under our arrivals, and ours under plain Locust."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from real_runs import Visited, checks, rows
from servers import Scripted, answer

from loadtests.arrivals import Process
from plimsoll.measure import measure
from plimsoll.spec import Spec

BIN = Path(sys.executable).parent

VISITOR = """
import time
from locust import SequentialTaskSet, TaskSet, between, task
from plimsoll.users import PlimsollUser


class Checkout(SequentialTaskSet):
    @task
    def cart(self):
        self.client.get("/cart", name="cart")

    @task
    def pay(self):
        self.client.post("/pay", json={"amount": 5}, name="pay")

    @task
    def leave(self):
        self.interrupt()


class Browse(TaskSet):
    @task(3)
    def item(self):
        self.client.get("/item", params={"id": 7}, name="item")

    @task
    def leave(self):
        self.interrupt()


class Visitor(PlimsollUser):
    wait_time = between(0.03, 0.05)
    tasks = {Checkout: 2, Browse: 2}

    def on_start(self):
        self.client.post("/login", json={"user": self.number}, name="login")

    @task(3)
    def sleeps(self):
        self.client.get("/first", name="first")
        time.sleep(0.05)
        with self.client.get("/second", name="second", catch_response=True) as response:
            if not response.json()["ok"]:
                response.failure("not ok")

    @task(2)
    def waits(self):
        self.client.get("/first", name="before-wait")
        self.wait()
        self.client.get("/second", name="after-wait")

    @task(2)
    def finds_fault(self):
        with self.client.get("/first", name="judged", catch_response=True) as response:
            response.failure("too short")

    @task(3)
    def raises_early(self):
        raise KeyError("bug")

    @task(2)
    def raises_late(self):
        self.client.get("/first", name="before-bug")
        raise ValueError("late bug")

    @task
    def looks_around(self):
        pass
"""

CHOICE = """
from locust import task
from plimsoll.users import PlimsollUser


class Chooser(PlimsollUser):
    @task(3)
    def a(self):
        self.client.get("/a", name="a")

    @task(2)
    def b(self):
        self.client.get("/b", name="b")

    @task
    def c(self):
        self.client.get("/c", name="c")
"""


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    folder = tmp_path_factory.mktemp("visitor")
    (folder / "visitor.py").write_text(VISITOR)
    paths = ("/cart", "/pay", "/item", "/login", "/first", "/second")
    with Scripted({path: answer() for path in paths}) as server:
        made = measure(
            Spec(locustfile=folder / "visitor.py", host=server.url, out=folder / "runs", rate_rps=80.0, duration_s=1.5,
                 seed=2, process=Process("constant")),
        )  # fmt: skip
        yield Visited(made, rows(made.directory), server)


def test_every_arrival_is_one_journey_with_one_first_step(visited: Visited) -> None:
    first = [row["seq"] for row in visited.rows if row["seq"] >= 0 and row["step"] == 0]
    assert sorted(first) == list(range(120))
    assert checks(visited.run)["accounting"] == "ok"
    assert visited.run.document["client"] == "plimsoll"


def test_the_second_step_is_intended_when_the_first_was_done_plus_think_time(visited: Visited) -> None:
    for before, after, low_s, high_s in (("first", "second", 0.05, 0.05), ("before-wait", "after-wait", 0.03, 0.05)):
        done = {row["seq"]: row["done_ns"] for row in visited.of(before)}
        later = visited.of(after)
        assert len(later) == len(done) >= 5 and {row["step"] for row in later} == {1}
        for row in later:
            assert low_s - 1e-6 <= (row["intended_ns"] - done[row["seq"]]) / 1e9 <= high_s + 1e-6


def test_which_task_an_arrival_gets_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    (tmp_path / "choice.py").write_text(CHOICE)
    with Scripted({path: answer() for path in ("/a", "/b", "/c")}) as server:
        one, two = (
            measure(
                Spec(locustfile=tmp_path / "choice.py", host=server.url, out=tmp_path / "runs", rate_rps=100.0,
                     duration_s=0.5, seed=7, workers=workers, process=Process("constant")),
            )
            for workers in (1, 2)
        )  # fmt: skip
    chosen = [{row["seq"]: row["endpoint"] for row in rows(made.directory)} for made in (one, two)]
    assert chosen[0] == chosen[1] and set(chosen[0].values()) == {"a", "b", "c"}


def test_what_a_user_does_at_its_start_counts_for_nothing_but_happened(visited: Visited) -> None:
    login = visited.of("login")
    assert login and {row["stage"] for row in login} == {"setup"} and all(row["seq"] < 0 for row in login)
    assert len(login) == len({row["user"] for row in login})
    assert "login" not in visited.run.summary["endpoints"]


def test_a_sequence_goes_in_order_for_each_user(visited: Visited) -> None:
    by_user: dict[int, list[str]] = {}
    for row in sorted(visited.rows, key=lambda row: row["sent_ns"] or 0):
        if row["endpoint"] in ("cart", "pay"):
            by_user.setdefault(row["user"], []).append(row["endpoint"])
    assert by_user
    for steps in by_user.values():
        assert steps[::2] == ["cart"] * len(steps[::2]) and steps[1::2] == ["pay"] * len(steps[1::2])


def test_leaving_a_task_set_or_looking_around_costs_no_arrival(visited: Visited) -> None:
    assert not visited.of("leave") and not visited.of("looks_around")
    assert len(visited.of("item")) >= 5 and len(visited.of("pay")) >= 2
    assert visited.run.summary["stages"][0]["dropped"] == 0
    assert visited.run.summary["stages"][0]["state"] != "saturated"


def test_a_response_judged_a_failure_is_an_unexpected_body_with_the_words_of_the_locustfile(visited: Visited) -> None:
    judged = visited.of("judged")
    assert judged and {row["outcome"] for row in judged} == {"unexpected_body"}
    errors = pq.read_table(visited.run.directory.path / "errors.parquet").to_pylist()
    assert {e["excerpt"]: e["count"] for e in errors}["too short"] == len(judged)


def test_a_task_that_raises_is_told_and_its_user_goes_on(visited: Visited) -> None:
    assert set(visited.run.document["task_exceptions"]) == {"KeyError: 'bug'", "ValueError: late bug"}
    late = visited.of("before-bug")
    assert late and {row["outcome"] for row in late} == {"ok"}
    early = visited.of("raises_early")
    assert early and {row["outcome"] for row in early} == {"dropped"} and {row["sent_ns"] for row in early} == {None}
    assert checks(visited.run)["load_delivered"] == "invalid"


def test_requests_carry_what_the_locustfile_gave_them(visited: Visited) -> None:
    items = [asked for asked in visited.server.asked if asked.path == "/item"]
    assert {asked.target for asked in items} == {"/item?id=7"}
    paid = [asked for asked in visited.server.asked if asked.path == "/pay"]
    assert {asked.body for asked in paid} == {b'{"amount":5}'}
    assert {asked.header["content-type"] for asked in paid} == {"application/json"}
    assert len(visited.server.asked) == sum(row["sent_ns"] is not None for row in visited.rows)


UNUSABLE = {
    "missing_module": ("import no_such_module_at_all", "(line 1) cannot be imported: ModuleNotFoundError"),
    "raises": ("x = 1\ny = x / 0\n", "(line 2) cannot be imported: ZeroDivisionError"),
    "no_python": ("def f(:\n", "cannot be imported: SyntaxError"),
    "no_user": ("x = 1\n", "has no user class with tasks"),
    "idle": ("from locust import HttpUser\nclass Idle(HttpUser): pass\n", "class Idle has no tasks; write @task above"),
    "exits": ("import sys; sys.exit(3)\n", "(line 1) cannot be imported: SystemExit"),
}
ASK_EACH = """
import sys
import locust
from pathlib import Path
from loadtests.locustfile import user_classes
from measurements.errors import UsageError
for path in sys.argv[1:]:
    try:
        user_classes(Path(path))
    except UsageError as error:
        print(error)
"""


def test_a_locustfile_that_cannot_be_used_is_one_sentence_with_its_line(tmp_path: Path) -> None:
    for name, (code, _) in UNUSABLE.items():
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "text.toml").write_text("x = 1\n")
    done = subprocess.run(
        [sys.executable, "-c", ASK_EACH, *(tmp_path / f"{name}.py" for name in UNUSABLE), tmp_path / "absent.py",
         tmp_path / "text.toml"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    *sentences, absent, text = done.stdout.splitlines()
    assert len(sentences) == len(UNUSABLE), done.stderr
    for (name, (_, part)), sentence in zip(UNUSABLE.items(), sentences, strict=True):
        assert str(tmp_path / f"{name}.py") in sentence and part in sentence
    assert absent == f"there is no locustfile {tmp_path / 'absent.py'}; name a Python file with -f FILE"
    assert text == f"{tmp_path / 'text.toml'} is no locustfile: a locustfile is Python, and its name ends with .py"


LEAN = """
from locust import constant_throughput, task
from plimsoll.users import PlimsollUser


class Visitor(PlimsollUser):
    wait_time = constant_throughput(5)

    @task
    def both(self):
        self.client.get("/search", name="search")
        self.client.get("/missing", name="missing")
"""


def test_plain_locust_runs_a_file_of_ours_and_shows_the_right_counts(tmp_path: Path) -> None:
    (tmp_path / "lean.py").write_text(LEAN)
    with Scripted({"/search": answer(after_s=0.02)}) as server:
        done = subprocess.run(
            [BIN / "locust", "-f", "lean.py", "--headless", "-u", "3", "-r", "3", "-t", "4s", "--host", server.url,
             "--json", "--csv", "made"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        asked = Counter(server.paths())
    assert done.returncode == 1, done.stderr  # Locust's own: there were failures
    shown = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert shown["search"]["num_requests"] in range(asked["/search"] - 3, asked["/search"] + 1)  # three may be cut off
    assert shown["missing"]["num_requests"] in range(asked["/missing"] - 3, asked["/missing"] + 1)
    assert shown["search"]["num_failures"] == 0 and shown["search"]["num_requests"] >= 9
    assert shown["missing"]["num_failures"] == shown["missing"]["num_requests"]
    assert shown["search"]["min_response_time"] >= 19.8
    times = [float(ms) for ms in shown["search"]["response_times"]]
    assert any(ms != round(ms) for ms in times)  # kept to half a percent; Locust's own are whole milliseconds
    lines = (tmp_path / "made_stats.csv").read_text(encoding="utf-8").splitlines()
    columns = lines[0].split(",")
    row = dict(zip(columns, next(line for line in lines if ",search," in line).split(","), strict=True))
    for column in ("50%", "95%", "99%"):
        assert float(row[column]) != round(float(row[column])), "the CSV is not cut to whole milliseconds"
    assert float(row["50%"]) == pytest.approx(float(row["Median Response Time"]))
    assert any("." in word for word in next(li for li in done.stderr.splitlines() if "search" in li).split()[4:8])
