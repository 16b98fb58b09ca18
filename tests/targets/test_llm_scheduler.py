"""The engine's state machine in virtual time: exact times, and what must hold whatever comes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.reference.llm.parameters import Parameters
from targets.reference.llm.scheduler import Job, Scheduler, make

MS = 1_000_000
SMALL: dict[str, Any] = {
    "batching": {"slots": 2, "max_waiting": 2, "kv_tokens": 1000},
    "prefill": {"base_ms": 10, "ms_per_token": 1, "chunk_tokens": 0},
    "decode": {"base_ms": 4, "ms_per_running": 1},
}


def engine(**sections: dict[str, Any]) -> Scheduler:
    merged = {name: SMALL.get(name, {}) | sections.get(name, {}) for name in SMALL | sections}
    return make(Parameters.model_validate(merged))


def token_times_ms(scheduler: Scheduler, until_ms: float = 1e9) -> dict[Job, list[float]]:
    times: dict[Job, list[float]] = {}
    while (due := scheduler.next_ns) is not None and due <= until_ms * MS:
        for job in scheduler.step():
            times.setdefault(job, []).append(due / MS)
    return times


def test_a_lone_request_takes_prefill_then_one_step_per_token() -> None:
    scheduler, job = engine(), Job(prompt_tokens=20, output_tokens=4)
    assert scheduler.submit(job, 100 * MS)
    assert token_times_ms(scheduler)[job] == [130, 135, 140, 145]


def test_two_streams_share_a_longer_step() -> None:
    scheduler, first, second = engine(), Job(0, 4), Job(0, 3)
    scheduler.submit(first, 0)
    scheduler.submit(second, 0)  # comes during the first one's prefill and is read in the next step
    times = token_times_ms(scheduler)
    assert times[first] == [10, 25, 31, 37]  # 10: prefill; 15: decode of 1 + prefill of the other; 6: decode of 2
    assert times[second] == [25, 31, 37]


def test_a_long_prompt_is_read_in_chunks_while_others_go_on() -> None:
    scheduler, quick, long = engine(prefill={"chunk_tokens": 10}), Job(0, 6), Job(25, 1)
    scheduler.submit(quick, 0)
    scheduler.submit(long, 5 * MS)
    times = token_times_ms(scheduler)
    assert times[quick] == [10, 35, 50, 60, 65, 70]  # steps of 5 + 10 + 10, 5 + 10, 5 + 5, 5, 5
    assert times[long] == [60]


def test_the_knee_makes_steps_steeper() -> None:
    flat, bent = engine(), engine(decode={"knee_running": 1, "ms_per_running_past_knee": 7})
    for scheduler in (flat, bent):
        for _ in range(2):
            scheduler.submit(Job(0, 5), 0)
    last = [max(max(times) for times in token_times_ms(scheduler).values()) for scheduler in (flat, bent)]
    assert last[1] - last[0] == 4 * 7 - 7  # three steps with both streams in them


def test_beyond_slots_and_queue_a_request_is_refused() -> None:
    scheduler = engine()
    assert [scheduler.submit(Job(0, 5), 0) for _ in range(6)] == [True] * 4 + [False] * 2


def test_a_job_larger_than_the_kv_budget_is_refused_at_once() -> None:
    assert not engine().submit(Job(600, 500), 0)


def test_the_head_of_the_queue_waits_for_room_and_nobody_overtakes_it() -> None:
    scheduler = engine(batching={"slots": 3})
    large, larger, tiny = Job(500, 5), Job(600, 1), Job(1, 1)
    for job in (large, larger, tiny):
        scheduler.submit(job, 0)
    times = token_times_ms(scheduler)
    assert larger.admitted_ns == times[large][-1] * MS
    assert tiny.admitted_ns >= larger.admitted_ns


def test_a_cancelled_stream_frees_its_slot_and_its_room() -> None:
    scheduler = engine(batching={"slots": 1})
    gone, next_one = Job(0, 1000 - 1), Job(0, 2)
    scheduler.submit(gone, 0)
    scheduler.submit(next_one, 0)
    token_times_ms(scheduler, until_ms=20)
    scheduler.cancel(gone, 21 * MS)
    assert len(token_times_ms(scheduler)[next_one]) == 2
    assert gone.emitted < 5
    assert scheduler.gate.running == scheduler.gate.kv_used == 0


def test_independent_streams_have_constant_times_at_any_load() -> None:
    scheduler = engine(
        batching={"mode": "independent", "slots": 10_000, "kv_tokens": 10**9},
        prefill={"base_ms": 50, "ms_per_token": 0},
        decode={"base_ms": 10, "ms_per_running": 0},
    )
    jobs = [Job(7, 5) for _ in range(300)]
    for number, job in enumerate(jobs):
        scheduler.submit(job, number * MS // 3)
    for job, times in token_times_ms(scheduler).items():
        start = job.arrived_ns / MS
        assert times == pytest.approx([start + 50 + 10 * k for k in range(5)])


@pytest.mark.parametrize("mode", ["lockstep", "independent"])
def test_overhead_delays_a_request_and_costs_the_engine_nothing(mode: str) -> None:
    scheduler = engine(batching={"mode": mode}, prefill={"overhead_ms": 7})
    first, second = Job(0, 2), Job(0, 2)
    scheduler.submit(first, 0)
    scheduler.submit(second, 3 * MS)
    times = token_times_ms(scheduler)
    if mode == "lockstep":
        assert times == {first: [17, 32], second: [32, 37]}  # the second comes in during the first one's prefill
    else:
        assert times == {first: [17, 23], second: [20, 26]}


actions = st.lists(
    st.tuples(st.sampled_from(["submit", "cancel"]), st.integers(0, 400), st.integers(1, 60), st.integers(0, 40)),
    max_size=60,
)


@settings(max_examples=300)
@given(
    actions=actions,
    mode=st.sampled_from(["lockstep", "independent"]),
    slots=st.integers(1, 4),
    max_waiting=st.integers(0, 4),
    chunk=st.integers(0, 30),
    overhead_ms=st.integers(0, 9),
)
def test_nothing_is_lost_and_no_bound_is_broken(
    *, actions: list[tuple[str, int, int, int]], mode: str, slots: int, max_waiting: int, chunk: int, overhead_ms: int
) -> None:
    scheduler = engine(
        batching={"mode": mode, "slots": slots, "max_waiting": max_waiting, "kv_tokens": 300},
        prefill={"chunk_tokens": chunk, "overhead_ms": overhead_ms},
    )
    gate, now_ns = scheduler.gate, 0
    taken: list[Job] = []
    refused = tokens = 0

    def check() -> None:
        in_engine = [job for job in taken if job.admitted_ns >= 0 and not job.done and not job.cancelled]
        assert len(in_engine) == gate.running <= slots
        assert sum(job.kv_tokens for job in in_engine) == gate.kv_used <= 300
        assert len(gate.waiting) + gate.running <= slots + max_waiting

    def run(until_ns: float) -> None:
        nonlocal tokens
        last_ns = scheduler.now_ns
        while (due := scheduler.next_ns) is not None and due <= until_ns:
            assert due > last_ns
            last_ns = due
            tokens += len(scheduler.step())
            check()

    for action, prompt_tokens, output_tokens, pause_ms in actions:
        now_ns += pause_ms * MS
        run(now_ns)
        if action == "submit":
            job = Job(prompt_tokens, output_tokens)
            if scheduler.submit(job, now_ns):
                taken.append(job)
            else:
                refused += 1
        elif taken:
            scheduler.cancel(taken[prompt_tokens % len(taken)], now_ns)
        check()
    run(float("inf"))

    assert scheduler.next_ns is None and not gate.waiting and gate.running == gate.kv_used == 0
    assert all(job.done or job.cancelled for job in taken)
    assert tokens == sum(job.emitted for job in taken)
    assert len(taken) + refused == sum(action == "submit" for action, *_ in actions)
    admitted = [job.admitted_ns for job in taken if job.admitted_ns >= 0]
    assert admitted == sorted(admitted)
    never = [index for index, job in enumerate(taken) if job.admitted_ns < 0]
    assert all(taken[index].cancelled for index in never)
