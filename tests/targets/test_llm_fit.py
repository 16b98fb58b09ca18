"""A fit gives back the parameters of an engine that is known: in virtual time, and of one behind a socket."""

import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from llm_process import parameter_file, running_llm

from targets.reference.llm import serve
from targets.reference.llm.fit import FitError, Fitted, fit_recording
from targets.reference.llm.parameters import Parameters, load
from targets.reference.llm.probe import closed_loop
from targets.reference.llm.recording import Recorded, Recording, read
from targets.reference.llm.scheduler import Job, make

CONTENT = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
ENGINE: dict[str, dict[str, Any]] = {
    "batching": {"slots": 24, "max_waiting": 1000, "kv_tokens": 10**7},
    "prefill": {"base_ms": 12, "ms_per_token": 0.15, "overhead_ms": 3},
    "decode": {"base_ms": 9, "ms_per_running": 0.6},
}


def recorded(
    engine: dict[str, dict[str, Any]],
    levels: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
    prompts: tuple[int, ...] = (20, 100, 300),
    outputs: tuple[int, int] = (20, 90),
    jitter_ms: float = 0.3,
    seed: int = 1,
) -> Recording:
    """What a recorder before this engine would write, clients in closed loops one level after another."""
    draw, exchanges, began_ns = random.Random(seed), [], 0
    for streams in levels:
        scheduler, times, done, now_ns = make(Parameters.model_validate(engine)), {}, 0, 0

        def submit(at_ns: int, scheduler: Any = scheduler, times: Any = times) -> None:
            job = Job(draw.choice(prompts), draw.randint(*outputs))
            assert scheduler.submit(job, at_ns)
            times[job] = []

        for _ in range(streams):
            submit(0)
        while done < streams * 6:
            now_ns = scheduler.next_ns or 0
            for job in scheduler.step():
                times[job].append(now_ns - job.arrived_ns + round(abs(draw.gauss(0, jitter_ms)) * 1e6))
                if job.done:
                    done += 1
                    exchanges.append(exchange(began_ns + job.arrived_ns, sorted(times[job]), job.prompt_tokens))
                    submit(now_ns + 500_000)
        began_ns += now_ns + 10**9
    return Recording("simulated", exchanges)


def exchange(received_ns: int, token_ns: list[int], prompt_tokens: int) -> Recorded:
    return Recorded(
        hash="",
        method="POST",
        path="/v1/chat/completions",
        request={},
        status=200,
        headers={"content-type": "text/event-stream"},
        received_ns=received_ns,
        done_ns=token_ns[-1],
        events=[(at_ns, CONTENT) for at_ns in token_ns],
        prompt_tokens=prompt_tokens,
        completion_tokens=len(token_ns),
        tokens_source="provider",
    )


def assert_near(fitted: Fitted, truth: dict[str, float], within: float) -> None:
    for name, value in truth.items():
        estimate = fitted.estimates[name]
        assert estimate.value == pytest.approx(value, rel=within), (name, str(estimate))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_parameter_of_a_simulated_engine_is_found(seed: int) -> None:
    fitted = fit_recording(recorded(ENGINE, seed=seed))
    assert_near(fitted, {"alpha": 9, "beta": 0.6, "base": 12, "per_token": 0.15}, within=0.02)
    assert fitted.estimates["overhead"].value == pytest.approx(3, abs=0.6)
    assert (fitted.slots, fitted.slots_seen, fitted.knee_running) == (24, True, 0)


def test_a_knee_is_found_where_it_is() -> None:
    decode = ENGINE["decode"] | {"knee_running": 12, "ms_per_running_past_knee": 0.8}
    fitted = fit_recording(recorded(ENGINE | {"decode": decode}))
    assert fitted.knee_running in (11, 12, 13)
    assert_near(fitted, {"alpha": 9, "beta": 0.6, "past": 0.8}, within=0.06)


def test_a_cost_per_prompt_is_told_from_a_cost_per_step() -> None:
    prefill = ENGINE["prefill"] | {"base_ms": 6, "ms_per_prompt": 5, "ms_per_token": 0.05}
    fitted = fit_recording(recorded(ENGINE | {"prefill": prefill}, outputs=(40, 41)))
    assert_near(fitted, {"alpha": 9, "beta": 0.6, "base": 6, "per_prompt": 5, "per_token": 0.05}, within=0.08)


def test_prompts_that_cost_more_beside_others_are_found() -> None:
    """As in engines that pack prompts and running streams into one batch without a kernel for it."""
    engine = ENGINE | {"prefill": {"base_ms": 8, "ms_per_token": 0.05, "ms_per_token_beside": 0.01}}
    fitted = fit_recording(recorded(engine))
    assert_near(fitted, {"alpha": 9, "beta": 0.6, "base": 8, "per_token": 0.05, "beside": 0.01}, within=0.15)


def test_standard_errors_are_neither_boast_nor_excuse() -> None:
    fits = [fit_recording(recorded(ENGINE, jitter_ms=2, seed=seed)) for seed in range(8)]
    inside = 0
    for name, value in {"alpha": 9, "beta": 0.6, "base": 12, "per_token": 0.15}.items():
        estimates = [fitted.estimates[name] for fitted in fits]
        inside += sum(abs(estimate.value - value) < 2 * estimate.se for estimate in estimates)
        assert max(estimate.se for estimate in estimates) < 0.1 * value
    assert inside >= 0.6 * 4 * len(fits)  # 95 % if the clusters were many and independent


def test_what_the_recording_cannot_tell_is_said() -> None:
    same = fit_recording(recorded(ENGINE, levels=(1, 4, 8), prompts=(100,)))
    assert "one length" in same.estimates["per_token"].why_not
    both = same.estimates["base"].value + same.estimates["per_prompt"].value
    assert both == pytest.approx(12 + 100 * 0.15, rel=0.03)
    assert not same.slots_seen and "assumption" in same.toml("x").split("slots")[1].splitlines()[0]
    busy = fit_recording(recorded(ENGINE, levels=(16,)))
    assert "idle engine" in busy.estimates["overhead"].why_not


def test_too_little_is_refused_with_what_is_missing() -> None:
    with pytest.raises(FitError, match="0 streamed answers of more than 8 tokens are too few"):
        fit_recording(Recording("nothing"))


def test_the_written_file_is_a_parameter_file(tmp_path: Path) -> None:
    path = tmp_path / "fitted.toml"
    path.write_text(fit_recording(recorded(ENGINE, levels=(1, 8))).toml("a recording"), encoding="utf-8")
    assert load(path).decode.base_ms == pytest.approx(9, rel=0.02)
    assert "±" in path.read_text(encoding="utf-8")


def test_an_engine_behind_a_socket_is_recorded_and_found_again(tmp_path: Path) -> None:
    truth = """
        [batching]
        slots = 8
        [prefill]
        base_ms = 10
        ms_per_token = 0.2
        [decode]
        base_ms = 5
        ms_per_running = 0.5
    """
    out = tmp_path / "provider.jsonl"
    prompts = ["word " * count for count in (10, 60, 150)]
    config = parameter_file(tmp_path, truth)
    with running_llm("--config", config) as provider, running_llm("--record", provider, "--record-to", str(out)) as url:
        for streams in (1, 3, 6, 12):
            closed_loop(url, streams, 6 if streams == 1 else 3, prompts, 40, "any")
    assert len(read(out).exchanges) == 3 * (2 + 3 + 6 + 12)
    serve(fit=out, fit_to=tmp_path / "fitted.toml")
    got = load(tmp_path / "fitted.toml")
    assert got.decode.base_ms == pytest.approx(5, rel=0.2)  # found within 1 % on a quiet machine
    assert got.decode.ms_per_running == pytest.approx(0.5, rel=0.2)
    assert got.prefill.base_ms + 100 * got.prefill.ms_per_token == pytest.approx(30, rel=0.2)
    assert got.batching.slots == 8
    assert "queued" in (tmp_path / "fitted.toml").read_text(encoding="utf-8")
    assert tomllib.loads((tmp_path / "fitted.toml").read_text(encoding="utf-8"))["output"][
        "median_tokens"
    ] == pytest.approx(40, rel=0.1)
