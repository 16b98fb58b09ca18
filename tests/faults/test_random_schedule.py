"""Faults drawn by a seed, put into many short runs: whatever happens, every intended arrival ends as one row."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from fault_contract import written
from fault_service import Service, served
from fault_table import survived
from injection import Course, due_exit, recovered

NAME = "random schedule"
QUICK = 1
Fault = Callable[[Course, Service, random.Random], object]


def restart(_: Course, service: Service, draw: random.Random) -> None:
    service.kill()
    time.sleep(draw.uniform(0, 0.6))
    service.start()


def hang(_: Course, service: Service, draw: random.Random) -> None:
    service.signal(signal.SIGSTOP)
    time.sleep(draw.uniform(0.1, 1.2))
    service.signal(signal.SIGCONT)


def to_command(number: int) -> Fault:
    return lambda course, *_: course.process.send_signal(number)


def twice(course: Course, _: Service, draw: random.Random) -> None:
    course.process.send_signal(signal.SIGINT)
    time.sleep(draw.uniform(0.05, 0.4))
    course.process.send_signal(signal.SIGINT)


def kill_a_load_process(course: Course, _: Service, draw: random.Random) -> None:
    if pids := course.load_pids:
        os.kill(draw.choice(pids), signal.SIGKILL)


def take_descriptors(course: Course, *_: object) -> None:
    for pid in course.load_pids[:1]:
        few = psutil.Process(pid).num_fds() - 3
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, few))


FAULTS: dict[str, Fault] = {
    "restart": restart, "hang": hang, "SIGINT": to_command(signal.SIGINT), "SIGTERM": to_command(signal.SIGTERM),
    "SIGINT twice": twice, "SIGKILL of the command": to_command(signal.SIGKILL),
    "SIGKILL of a load process": kill_a_load_process, "descriptors": take_descriptors,
    "none": lambda *_: None,
}  # fmt: skip


def one_run(number: int, seed: int, folder: Path) -> None:
    draw = random.Random(f"{seed}-{number}")
    rate, seconds, workers = draw.choice([30, 60, 120]), draw.uniform(1.2, 2.5), draw.choice([1, 1, 2])
    arrivals = draw.choice(["constant", "poisson", "gamma:2"])
    faults = draw.sample(list(FAULTS), draw.choice([1, 1, 2]))
    words = (
        "--rate",
        rate,
        "--duration",
        f"{seconds:.2f}",
        "--arrivals",
        arrivals,
        "--workers",
        workers,
        "--seed",
        number,
    )
    what = f"run {number} of seed {seed}: {' '.join(map(str, words))}, {', '.join(faults)}"
    with served(folder) as service, Course(folder, written(folder, service.url, timeout_s=1.0), *words) as course:
        course.wait_rows(1)
        for fault in faults:
            time.sleep(draw.uniform(0, seconds / 2))
            if course.process.poll() is None:
                FAULTS[fault](course, service, draw)
        ended = course.end()
        assert ended.leftovers == [], what
        assert ended.run is not None, what
        killed = ended.exit == -signal.SIGKILL and not ended.run.has("summary.json")
        finished = recovered(course) if killed else ended
        print(what, "->", ended.exit)
        due = {0} if killed else {-9} if ended.exit == -signal.SIGKILL else {due_exit(ended.run)}
        survived(NAME, finished, exit=due, asked=service.asked, lost_at_most=int(1.5 * rate) if "SIGKILL" in what else 0,
                 killed="SIGKILL" in what)  # fmt: skip


@pytest.mark.parametrize("number", range(QUICK))
def test_a_few_drawn_faults_leave_a_row_for_every_arrival(number: int, tmp_path: Path) -> None:
    one_run(number, 1, tmp_path)


@pytest.mark.prove
def test_many_drawn_faults_leave_a_row_for_every_arrival(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for number in range(request.config.getoption("fault_runs")):
        folder = tmp_path / str(number)
        folder.mkdir()
        one_run(number, request.config.getoption("fault_seed"), folder)
