"""The fast simulation of continuous batching against the step-by-step state machine of the LLM emulator."""

from __future__ import annotations

import numpy as np
import pytest

from capacity.batching import Engine, generate
from capacity.simulation import REJECTED, poisson
from targets.reference.llm.parameters import Batching, Decode, Parameters, Prefill
from targets.reference.llm.scheduler import Job, LockstepScheduler

ENGINE = Engine(
    slots=8, waiting=20, kv_tokens=4000, prefill_base_s=0.02, prefill_s_per_token=1e-4, chunk_tokens=256,
    alpha_s=0.012, beta_s=0.0005, prefill_s_per_prompt=0.004,
)  # fmt: skip


def step_by_step(
    arrivals: np.ndarray, prompts: np.ndarray, outputs: np.ndarray, engine: Engine
) -> tuple[np.ndarray, np.ndarray]:
    """(ttft, response) in s by the emulator's own scheduler; NaN where refused."""
    parameters = Parameters(
        batching=Batching(slots=engine.slots, max_waiting=engine.waiting, kv_tokens=engine.kv_tokens),
        prefill=Prefill(
            base_ms=engine.prefill_base_s * 1e3, ms_per_token=engine.prefill_s_per_token * 1e3,
            ms_per_prompt=engine.prefill_s_per_prompt * 1e3,
            chunk_tokens=engine.chunk_tokens,
        ),
        decode=Decode(base_ms=engine.alpha_s * 1e3, ms_per_running=engine.beta_s * 1e3),
    )  # fmt: skip
    machine = LockstepScheduler(parameters)
    jobs = [Job(int(p), int(o)) for p, o in zip(prompts, outputs, strict=True)]
    number = {id(job): k for k, job in enumerate(jobs)}
    first, done = np.full(len(jobs), np.nan), np.full(len(jobs), np.nan)

    def run_until(limit_ns: float) -> None:
        while machine.next_ns is not None and machine.next_ns <= limit_ns:
            at = machine.next_ns
            for job in machine.step():
                k = number[id(job)]
                if job.emitted == 1:
                    first[k] = at / 1e9
                if job.done:
                    done[k] = at / 1e9

    for job, at in zip(jobs, arrivals, strict=True):
        run_until(at * 1e9)
        machine.submit(job, round(at * 1e9))
    run_until(np.inf)
    return first - arrivals, done - arrivals


@pytest.mark.parametrize("rate", [1.0, 3.0, 6.0, 20.0])
def test_it_is_the_state_machine_only_faster(rate: float) -> None:
    rng = np.random.default_rng(4)
    n = 400
    arrivals = poisson(rate, n, 2)
    prompts, outputs = rng.integers(1, 700, n), rng.integers(1, 150, n)
    found = generate(arrivals, prompts, outputs, ENGINE)
    ttft, response = step_by_step(arrivals, prompts, outputs, ENGINE)
    assert (np.isnan(response) == (found.outcome == REJECTED)).all()
    served = ~np.isnan(response)
    assert found.ttft_s[served] == pytest.approx(ttft[served], abs=2e-4)
    assert found.response_s[served] == pytest.approx(response[served], abs=2e-4)


def test_more_streams_make_every_gap_longer_and_a_full_house_refuses() -> None:
    n = 2000
    lengths = np.full(n, 100)
    calm = generate(poisson(0.5, n, 1), lengths, lengths, ENGINE)
    busy = generate(poisson(30.0, n, 1), lengths, lengths, ENGINE)
    assert calm.loss == 0 and busy.loss > 0.3
    assert np.nanmean(busy.response_s - busy.ttft_s) > 1.2 * np.nanmean(calm.response_s - calm.ttft_s)
    assert busy.running_mean == pytest.approx(ENGINE.slots, rel=0.05)
