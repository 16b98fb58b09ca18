"""The parameter files that come with the emulator load, and the published ones give the published curves."""

from pathlib import Path

import pytest

from targets.contract_file import load as load_contract
from targets.payload import data_folder
from targets.reference.llm.parameters import Parameters, load, shapes
from targets.reference.llm.scheduler import Job, make


def closed_loop(parameters: Parameters, streams: int, prompt_tokens: int, output_tokens: int) -> tuple[float, float]:
    """Mean ITL in ms and tokens/s in virtual time, the first two waves left out."""
    scheduler, first_ns, itl_ms = make(parameters), {}, []

    def submit(now_ns: int) -> None:
        assert scheduler.submit(Job(prompt_tokens, output_tokens), now_ns)

    for _ in range(streams):
        submit(0)
    done = tokens = now_ns = from_ns = 0
    while done < 6 * streams:
        now_ns = scheduler.next_ns or 0
        for job in scheduler.step():
            tokens += done >= 2 * streams
            first_ns.setdefault(job, now_ns)
            if job.done:
                done += 1
                if done == 2 * streams:
                    from_ns = now_ns
                if done > 2 * streams:
                    itl_ms.append((now_ns - first_ns.pop(job)) / 1e6 / (output_tokens - 1))
                submit(now_ns)
    return sum(itl_ms) / len(itl_ms), tokens / ((now_ns - from_ns) / 1e9)


@pytest.mark.parametrize("name", shapes())
def test_every_shape_loads_by_its_name(name: str) -> None:
    assert load(Path(name)).batching.slots > 0


@pytest.mark.parametrize(
    ("name", "prompt_tokens", "output_tokens", "published"),
    [
        (
            "llama-70b-2xh100",
            5000,
            500,
            {1: (18.58, 51.67), 25: (38.75, 623.4), 50: (59.73, 814.4), 100: (92.91, 917.3)},
        ),
        ("llama-8b-h100", 200, 200, {1: (4.63, 214.6), 25: (5.19, 4679), 100: (7.57, 12215), 200: (12.65, 13348)}),
    ],
)
def test_published_engines_are_met(
    name: str, prompt_tokens: int, output_tokens: int, published: dict[int, tuple[float, float]]
) -> None:
    for streams, (itl_ms, tokens_per_s) in published.items():
        got = closed_loop(load(Path(name)), streams, prompt_tokens, output_tokens)
        assert got == (pytest.approx(itl_ms, rel=0.05), pytest.approx(tokens_per_s, rel=0.12))


@pytest.mark.parametrize(("contract", "shape"), [("llm-8b", "llama-8b-h100"), ("llm-70b", "llama-70b-2xh100")])
def test_a_published_shape_is_a_target_whose_contract_states_its_slots(contract: str, shape: str) -> None:
    described = load_contract(data_folder() / f"{contract}.toml")
    assert described.target.control is not None and f"--config {shape}" in described.target.control.start
    batching, queue = load(Path(shape)).batching, described.limits.queue["chat"]
    assert (queue.max_concurrent, queue.max_queue_size) == (batching.slots, batching.max_waiting)
