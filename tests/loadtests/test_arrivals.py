"""When requests are intended: a pure function of stages, process and seed."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from loadtests.arrivals import Process, Stage, parse_process, schedule
from measurements.errors import UsageError

POISSON, CONSTANT = Process("poisson"), Process("constant")


def arrivals(stages: list[Stage], process: Process = POISSON, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(times_s, stage indices) of the whole run."""
    blocks = list(schedule(stages, process, seed))
    if not blocks:
        return np.empty(0), np.empty(0, np.int16)
    return np.concatenate([times for times, _ in blocks]), np.concatenate([stage for _, stage in blocks])


def flat(rate: float, duration: float = 10.0) -> list[Stage]:
    return [Stage("steady", duration, rate, rate)]


rates = st.one_of(st.just(0.0), st.floats(0.01, 500))
some_stages = st.lists(
    st.builds(lambda k, d, a, b: Stage(f"s{k}", d, a, b), st.integers(), st.floats(0.05, 20), rates, rates),
    min_size=1, max_size=5,
)  # fmt: skip
processes = st.sampled_from([POISSON, CONSTANT, Process("gamma", 0.3), Process("gamma", 4.0)])


@settings(max_examples=80)
@given(stages=some_stages, process=processes, seed=st.integers(0, 2**31))
def test_arrivals_ascend_and_lie_inside_the_stage_that_they_are_given_to(
    stages: list[Stage], process: Process, seed: int
) -> None:
    times, index = arrivals(stages, process, seed)
    assert (np.diff(times) >= 0).all()
    edges = np.concatenate([[0.0], np.cumsum([stage.duration_s for stage in stages])])
    assert (times >= edges[index] - 1e-9).all() and (times <= edges[index + 1] + 1e-9).all()
    assert all(stages[k].expected > 0 for k in np.unique(index))


@settings(max_examples=60)
@given(stages=some_stages, process=processes, seed=st.integers(0, 2**31))
def test_the_number_of_arrivals_is_the_area_under_the_rate(stages: list[Stage], process: Process, seed: int) -> None:
    count, area = len(arrivals(stages, process, seed)[0]), sum(stage.expected for stage in stages)
    if process.kind == "constant":
        assert abs(count - area) <= 0.5 + 1e-6
    else:
        assert abs(count - area) <= 6 * process.cv * (area + 1) ** 0.5 + 6 * process.cv**2


@settings(max_examples=40)
@given(stages=some_stages, process=processes, seed=st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_times_to_the_last_bit(stages: list[Stage], process: Process, seed: int) -> None:
    first, again = arrivals(stages, process, seed), arrivals(stages, process, seed)
    assert first[0].tobytes() == again[0].tobytes() and first[1].tobytes() == again[1].tobytes()


def test_another_seed_gives_other_times() -> None:
    assert not set(arrivals(flat(100), seed=1)[0]) & set(arrivals(flat(100), seed=2)[0])


@pytest.mark.parametrize("duration", [10.0, 1_000.0, 20_000.0])
def test_constant_arrivals_never_drift(duration: float) -> None:
    times, _ = arrivals(flat(50, duration), CONSTANT)
    assert len(times) == round(50 * duration)
    assert np.abs(times - (np.arange(len(times)) + 0.5) / 50).max() < 1e-6


def test_the_gaps_of_poisson_arrivals_are_exponential_and_independent() -> None:
    gaps = np.diff(arrivals(flat(200, 100.0))[0])
    assert kstest(gaps * 200, "expon").pvalue > 1e-3
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("cv", [0.2, 0.5, 2.0, 5.0])
def test_the_gaps_of_gamma_arrivals_have_the_coefficient_of_variation_that_was_asked_for(cv: float) -> None:
    gaps = np.diff(arrivals(flat(1_000, 100.0), Process("gamma", cv), seed=3)[0])
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.06)
    assert gaps.mean() == pytest.approx(1 / 1_000, rel=0.06)


def test_gamma_with_a_cv_of_one_is_poisson() -> None:
    assert arrivals(flat(50), Process("gamma", 1.0))[0].tobytes() == arrivals(flat(50), POISSON)[0].tobytes()


def test_a_ramp_has_the_rate_of_each_moment() -> None:
    times, _ = arrivals([Stage("ramp", 100.0, 0.0, 200.0)], CONSTANT)
    assert len(times) == 10_000
    for at in (10, 50, 90):
        assert ((times >= at - 1) & (times < at + 1)).sum() == pytest.approx(2 * 2 * at, abs=2)
    down, _ = arrivals([Stage("down", 100.0, 200.0, 0.0)], CONSTANT)
    assert np.sort(100 - down) == pytest.approx(times, abs=0.11)  # E_k = k + ½ is not symmetric at a rate of zero


def test_a_stage_without_load_is_a_pause() -> None:
    times, index = arrivals([Stage("a", 1, 10, 10), Stage("rest", 5, 0, 0), Stage("b", 1, 10, 10)], CONSTANT)
    assert np.bincount(index, minlength=3).tolist() == [10, 0, 10]
    assert times[10] >= 6.0
    assert len(arrivals([Stage("rest", 5, 0, 0)])[0]) == 0


def test_a_schedule_of_a_million_arrivals_comes_in_blocks_of_bounded_size() -> None:
    sizes = [len(times) for times, _ in schedule(flat(100_000), POISSON, 1)]
    assert max(sizes) <= 16_384 and sum(sizes) == pytest.approx(1_000_000, rel=0.01)


def test_replayed_times_keep_their_gaps_and_end_with_the_run() -> None:
    times, index = arrivals(
        [Stage("a", 2, 1, 1), Stage("b", 2, 1, 1)], Process("replay", times_s=(0.0, 0.5, 2.5, 3.9, 4.0, 9.0))
    )
    assert times.tolist() == [0.0, 0.5, 2.5, 3.9]
    assert index.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("constant", CONSTANT),
        ("poisson", POISSON),
        ("gamma:2", Process("gamma", 2.0)),
        ("gamma:0.5", Process("gamma", 0.5)),
    ],
)
def test_processes_are_named_on_the_command_line(text: str, process: Process) -> None:
    assert parse_process(text) == process
    assert parse_process(process.label) == process


@pytest.mark.parametrize(
    "text", ["gamma", "gamma:", "gamma:0", "gamma:-1", "gamma:99", "gamma:x", "poison", "", "no/file"]
)
def test_a_process_that_cannot_be_is_a_sentence_with_the_choices(text: str) -> None:
    with pytest.raises(UsageError, match=r"--arrivals .*write "):
        parse_process(text)


def test_a_file_of_timestamps_is_a_process_too(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("at_s\n10.0\n10.5\n12.0\n")
    assert parse_process(str(path)) == Process("replay", times_s=(0.0, 0.5, 2.0))
    assert parse_process(f"{path}@4") == Process("replay", times_s=(0.0, 0.125, 0.5))
    for speed in ("0", "fast", "-1", "", "1e9"):
        with pytest.raises(UsageError, match="how many times as fast"):
            parse_process(f"{path}@{speed}")


def test_the_peak_of_a_replay_is_counted_in_the_trace_itself() -> None:
    """A pool sized by anything else would drop arrivals that the service could have taken."""
    times = tuple(sorted([*np.arange(0, 60, 1.0).tolist(), *np.linspace(30, 30.9, 90).tolist()]))
    process = Process("replay", times_s=times)
    assert process.peak_rps(1.0) == pytest.approx(91, abs=1)
    assert process.peak_rps(60.0) == pytest.approx(150 / 60, abs=0.1)
    assert Process("replay", times_s=(0.0,)).peak_rps(10.0) == pytest.approx(0.1)


def test_pairs_of_stages_meet_without_a_gap_in_constant_arrivals() -> None:
    times, _ = arrivals([Stage(f"s{k}", 0.35, 40, 40) for k in range(10)], CONSTANT)
    assert {round(b - a, 6) for a, b in pairwise(times)} == {0.025}
