"""Ctrl-C once and twice, SIGTERM, SIGKILL of the command and of a load process, early, in the middle and at the end."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_contract import written
from fault_table import survived
from injection import Course, recovered, wait_for
from servers import Scripted, answer, silent

LONG = ("--rate", 50, "--duration", 20.0, "--seed", 5)
A_SECOND = 50 * 1.5  # of arrivals, with the flush that was on its way


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted({"/search": answer(after_s=0.01)}) as server:
        yield server


def asked(server: Scripted) -> list[int]:
    return [one.seq for one in server.asked]


@pytest.mark.prove
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_one_signal_ends_the_run_in_order(name: str, server: Scripted, tmp_path: Path) -> None:
    with Course(tmp_path, written(tmp_path, server.url), *LONG, "--workers", 2) as course:
        course.wait_rows(20)
        course.process.send_signal(signal.Signals[name])
        ended = course.end()
    survived(f"{name} of the command", ended, exit=130, asked=asked(server))
    assert ended.summary["ended"] == "interrupted" and ended.states["accounting"] == "ok"


def test_a_second_ctrl_c_waits_for_no_answer_and_keeps_a_row_of_each(tmp_path: Path) -> None:
    with (
        Scripted({"/search": silent(20.0)}) as server,
        Course(tmp_path, written(tmp_path, server.url, timeout_s=25.0), *LONG) as course,
    ):
        wait_for(lambda: len(server.asked) >= 20)
        course.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        course.process.send_signal(signal.SIGINT)
        ended = course.end()
    survived("SIGINT twice", ended, exit=130, asked=asked(server))
    assert ended.run is not None
    last_s = max(ended.run.table("samples", ["done_ns"])["done_ns"].to_pylist()) / 1e9
    assert last_s < ended.summary["duration_s"] + 1.9  # one Ctrl-C would have waited for two seconds
    assert set(ended.summary["all"]["outcomes"]) == {"abandoned"}


@pytest.mark.parametrize("name", ["the command", pytest.param("a load process", marks=pytest.mark.prove),
                                  pytest.param("the command and its load processes", marks=pytest.mark.prove)])  # fmt: skip
def test_a_kill_in_the_middle_costs_at_most_the_last_second(name: str, server: Scripted, tmp_path: Path) -> None:
    words = ("--rate", 50, "--duration", 3.0, "--seed", 5, "--workers", 2)
    with Course(tmp_path, written(tmp_path, server.url), *words) as course:
        course.wait_rows(30)
        victims = [] if name == "a load process" else [course.process.pid]
        victims += [] if name == "the command" else course.load_pids if "and" in name else course.load_pids[:1]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        ended = course.end()
        killed = "command" in name
        finished = recovered(course) if killed else ended
    survived(f"SIGKILL of {name}", finished, exit=0 if killed else 3, asked=asked(server), lost_at_most=int(A_SECOND),
             killed=killed)  # fmt: skip
    assert ended.leftovers == [] and finished.summary["valid"] is False
    if killed:
        assert ended.exit == -signal.SIGKILL and finished.summary["exit_code"] == 3


@pytest.mark.prove
@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.5, 1.0])
def test_a_kill_while_the_rows_are_read_loses_none(after_s: float, server: Scripted, tmp_path: Path) -> None:
    words = ("--rate", 50, "--duration", 1.0, "--seed", 5, "--workers", 2)
    with Course(tmp_path, written(tmp_path, server.url), *words) as course:
        wait_for(lambda: course.load_pids)
        wait_for(lambda: not course.load_pids)
        time.sleep(after_s)
        course.process.kill()
        course.end()
        assert course.run is not None
        done = course.run.has("summary.json")
        finished = recovered(course)
    if done:  # it had been finished before: then there is nothing to recover
        assert finished.exit == 2 and "is finished already" in finished.sentence
        return
    survived("SIGKILL while the rows are read", finished, exit=0, asked=asked(server), killed=True)
    assert set(finished.summary["all"]["outcomes"]) == {"ok"}


@pytest.mark.prove
@pytest.mark.parametrize("after_s", [0.5, 1.0, 2.0, 3.0])
def test_a_kill_before_the_load_began_leaves_nothing_that_misleads(
    after_s: float, server: Scripted, tmp_path: Path
) -> None:
    with Course(tmp_path, written(tmp_path, server.url), *LONG) as course:
        time.sleep(after_s)
        course.process.kill()
        ended = course.end()
        if course.run is None:
            survived("SIGKILL before the load", ended, exit=-9, no_run=True)
            return
        finished = recovered(course)
    survived("SIGKILL before the load", finished, exit=0, asked=asked(server), lost_at_most=int(A_SECOND), killed=True)
