"""From a recording to the parameters of the engine behind it, each with its standard error. No clock, no sockets.

The model is the emulator's own (see `scheduler.LockstepScheduler`), linear in its parameters. Two kinds of rows:
- a window of some gaps of one stream: its length is α·tokens + β·Σn + past·Σmax(0, n − knee) + base·S + per_prompt·B
  + per_token·P + beside·Σp·n, n being the streams that decode, B the other prompts whose first token fell into it, P
  their tokens, S the steps in which they came;
- the time to first token of a request that met an idle engine: overhead + base + per_prompt + per_token·p.
All relative to the median window among as many streams, so that a full engine does not speak for an idle one; the few
requests that met it idle count as much as a tenth of the windows.
Robust non-negative least squares (Huber's weights, then Tukey's bisquare, each kind with a scale of its own), because
a prompt read in chunks beside others leaves a few windows that no linear model explains; standard errors from the
sandwich estimator clustered by time (Liang & Zeger 1986), since windows of the same second share their steps.
Prompts are counted by the emulator's rule, not the provider's, since the emulator will use the result.
It stops being true for engines that prefill on other machines, speculate in bursts, or queue before the engine.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from targets.reference.llm.recording import Recording, emulated_prompt_tokens

Array = npt.NDArray[np.float64]
MIN_STREAMS = 5
_WINDOW_GAPS = 8  # looked at together, so that a prompt read in chunks falls into one window
_CLUSTERS = 40
_TURNS = 20
_CLEARLY = 0.9  # a model with one more parameter must bring the mean distance of windows below this share
_ALIKE = 100  # windows among about as many streams, whose median length is their size
_IDLE_SHARE = 0.1  # what requests that met an idle engine weigh, against all windows
_NAMES = ("alpha", "beta", "past", "base", "per_prompt", "per_token", "overhead", "beside")
_PAST, _PER_PROMPT, _PER_TOKEN, _BESIDE = 2, 4, 5, 7  # columns


class FitError(ValueError):
    """A recording cannot be fitted; the message is one sentence for the user."""


@dataclass(frozen=True)
class Estimate:
    """A value in ms with its standard error; `why_not`: the recording does not tell it, the value is an assumption."""

    value: float
    se: float = 0.0
    why_not: str = ""

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.why_not})" if self.why_not else f"{self.value:.4g} ± {self.se:.2g}"


@dataclass(frozen=True)
class Fitted:
    """What the recording says of its engine."""

    estimates: dict[str, Estimate]  # by _NAMES
    knee_running: int
    slots: int
    slots_seen: bool  # requests queued while so many ran; else it is only a lower bound
    median_tokens: float
    sigma: float
    streams: int
    left_out: int
    scatter_percent: float  # median distance of a window from the model

    def toml(self, source: str) -> str:
        """A parameter file for the emulator."""
        e = self.estimates
        slots = (
            "requests queued while so many ran" if self.slots_seen else "most seen at once, nobody queued: assumption"
        )
        lines = [
            f"# Fitted to {source}: {self.streams} streams, ± is a standard error. Half of all windows of "
            f"{_WINDOW_GAPS} tokens lie within {self.scatter_percent:.1f} % of the model.",
            "",
            "[batching]",
            'mode = "lockstep"',
            f"slots = {self.slots}  # {slots}",
            "max_waiting = 1024  # assumption",
            f"kv_tokens = {self.slots * 8192}  # assumption: never binds",
            "",
            "[prefill]",
            _line("overhead_ms", e["overhead"]),
            _line("base_ms", e["base"]),
            _line("ms_per_prompt", e["per_prompt"]),
            _line("ms_per_token", e["per_token"]) + ", tokens as the emulator counts them",
            _line("ms_per_token_beside", e["beside"]),
            "chunk_tokens = 512  # assumption",
            "",
            "[decode]",
            _line("base_ms", e["alpha"]),
            _line("ms_per_running", e["beta"]),
        ]
        if self.knee_running:
            lines += [f"knee_running = {self.knee_running}", _line("ms_per_running_past_knee", e["past"])]
        lines += ["", "[output]", f"median_tokens = {self.median_tokens:.4g}", f"sigma = {self.sigma:.3g}", ""]
        return "\n".join(lines)

    def summary(self) -> str:
        """One line per parameter."""
        e = self.estimates
        knee = f", past {self.knee_running} streams {e['past']} more" if self.knee_running else ""
        bound = "" if self.slots_seen else "at least "
        return (
            f"llm: {self.streams} streams fitted, {self.left_out} exchanges left out (not streamed or not answered)\n"
            f"  decode step ms  α {e['alpha']}, β {e['beta']} per stream{knee}\n"
            f"  prefill ms      base {e['base']}, per prompt {e['per_prompt']}, per token {e['per_token']}, "
            f"{e['beside']} more for each stream beside it, overhead {e['overhead']}\n"
            f"  slots           {bound}{self.slots}\n"
            f"  scatter         half of all windows within {self.scatter_percent:.1f} % of the model"
        )


@dataclass(frozen=True)
class _Streams:
    """Streamed answers with two tokens or more; times in ms since the recording began."""

    received: Array
    first: Array
    last: Array
    prompt: Array
    tokens: list[Array]  # times of the content events
    per_event: Array  # tokens in an event


@dataclass(frozen=True)
class _Rows:
    """The equations: x·parameters = y in ms, but for the knee's column, which `running` (rows × gaps) gives."""

    x: Array
    y: Array
    running: Array
    cluster: npt.NDArray[np.int64]
    is_window: npt.NDArray[np.bool_]

    def model(self, knee: int, per_prompt: bool, beside: bool) -> Array:
        """The equations of one model: with a knee or without (0), with these costs of prompts or without."""
        x = self.x.copy()
        x[:, _PER_PROMPT] *= per_prompt
        x[:, _BESIDE] *= beside
        if knee:
            x[:, _PAST] = np.maximum(0, self.running - knee).sum(axis=1) * x[:, 0] / _WINDOW_GAPS
        return x

    def sizes(self) -> Array:
        """In ms, what a deviation is measured against: the median of windows among as many streams; else the row's y."""
        sizes = self.y.copy()
        windows = np.flatnonzero(self.is_window)
        windows = windows[np.argsort(self.running[windows].mean(axis=1), kind="stable")]
        for alike in np.array_split(windows, max(1, len(windows) // _ALIKE)):
            sizes[alike] = np.median(self.y[alike])
        return sizes


def fit_recording(recording: Recording) -> Fitted:
    """Fit the emulator's parameters; FitError when the recording has too little to say."""
    streams = _streams(recording)
    rows = _rows(streams)
    knee, estimates, fitted = _best(rows)
    off = (np.abs(fitted - rows.y) / rows.y)[rows.is_window]
    completions = np.array([len(times) for times in streams.tokens]) * streams.per_event
    slots, seen = _slots(streams)
    return Fitted(
        estimates=estimates | _unidentified(streams, rows),
        knee_running=knee,
        slots=slots,
        slots_seen=seen,
        median_tokens=float(np.exp(np.log(completions).mean())),
        sigma=float(np.log(completions).std()),
        streams=len(streams.tokens),
        left_out=len(recording.exchanges) - len(streams.tokens),
        scatter_percent=float(np.median(off) * 100),
    )


def _streams(recording: Recording) -> _Streams:
    kept = [e for e in recording.exchanges if e.status == 200 and e.streamed and len(e.token_ns()) > _WINDOW_GAPS]
    if len(kept) < MIN_STREAMS:
        raise FitError(
            f"{len(kept)} streamed answers of more than {_WINDOW_GAPS} tokens are too few to fit, {MIN_STREAMS} are "
            'needed; record more requests with "stream": true.'
        )
    tokens = [(np.array(e.token_ns()) + e.received_ns) / 1e6 for e in kept]
    counts = np.array([len(times) for times in tokens], dtype=float)
    said = np.array([e.completion_tokens if e.tokens_source == "provider" else 0 for e in kept], dtype=float)
    return _Streams(
        received=np.array([e.received_ns for e in kept]) / 1e6,
        first=np.array([times[0] for times in tokens]),
        last=np.array([times[-1] for times in tokens]),
        prompt=np.array([emulated_prompt_tokens(e) for e in kept], dtype=float),
        tokens=tokens,
        per_event=np.where(said > 0, said, counts) / counts,
    )


def _rows(streams: _Streams) -> _Rows:
    """A row per window of every stream, and one per request that met an idle engine."""
    gap_ms = float(np.median(np.concatenate([np.diff(times) for times in streams.tokens])))
    starts, ends = np.sort(streams.first), np.sort(streams.last)
    in_order = streams.prompt[np.argsort(streams.first)]
    prompts = np.concatenate([[0.0], np.cumsum(in_order)])
    others_then = np.arange(len(starts)) - np.searchsorted(ends, starts)
    prompts_beside = np.concatenate([[0.0], np.cumsum(in_order * others_then)])
    x: list[list[float]] = []
    y: list[float] = []
    running: list[npt.NDArray[np.int64]] = []
    middles: list[float] = []
    for times, per_event in zip(streams.tokens, streams.per_event, strict=True):
        middle = (times[1:] + times[:-1]) / 2
        decoding = np.searchsorted(starts, middle) - np.searchsorted(ends, middle)
        for begin in range(0, len(times) - _WINDOW_GAPS, _WINDOW_GAPS):
            end = begin + _WINDOW_GAPS
            low, high = np.searchsorted(starts, [times[begin] + gap_ms / 2, times[end] + gap_ms / 2])
            n = decoding[begin:end]
            others = starts[low:high]
            steps = float(np.sum(np.diff(others, prepend=-np.inf) > gap_ms / 2))
            tokens = prompts[high] - prompts[low]
            beside = prompts_beside[high] - prompts_beside[low]
            x.append([_WINDOW_GAPS * per_event, n.sum() * per_event, 0, steps, high - low, tokens, 0, beside])
            y.append(times[end] - times[begin])
            running.append(n)
            middles.append((times[begin] + times[end]) / 2)
    cluster = list(np.digitize(middles, np.linspace(min(middles), max(middles) + 1e-9, _CLUSTERS + 1)))
    windows = len(y)
    for received, first, prompt in zip(streams.received, streams.first, streams.prompt, strict=True):
        if np.sum((streams.received <= first) & (streams.last > received + gap_ms / 5)) == 1:  # only itself
            x.append([0, 0, 0, 1, 1, prompt, 1, 0])
            y.append(first - received)
            running.append(np.zeros(_WINDOW_GAPS, int))
            cluster.append(np.intp(_CLUSTERS + len(y)))
    columns = np.array(x)
    if _one_length(streams):
        columns[:, [_PER_TOKEN, _BESIDE]] = 0
    return _Rows(columns, np.array(y), np.array(running, float), np.array(cluster), np.arange(len(y)) < windows)


def _best(rows: _Rows) -> tuple[int, dict[str, Estimate], Array]:
    """The plainest model, or one with another cost of prompts or a knee if windows then lie clearly nearer to it."""
    costs, knee = (False, False), 0
    estimates, fitted, loss = _solve(rows, knee, *costs)
    for more in ((True, False), (False, True), (True, True)):
        tried = _solve(rows, knee, *more)
        if tried[2] < _CLEARLY * loss:
            costs, (estimates, fitted, loss) = more, tried
    plain = loss
    for candidate in range(2, int(rows.running.max()) - 1):
        tried = _solve(rows, candidate, *costs)
        past = tried[0]["past"]
        if tried[2] < min(loss, _CLEARLY * plain) and past.value > 4 * past.se:
            knee, (estimates, fitted, loss) = candidate, tried
    return knee, estimates, fitted


def _solve(rows: _Rows, knee: int, per_prompt: bool, beside: bool) -> tuple[dict[str, Estimate], Array, float]:
    """Estimates, fitted values in ms, and the mean relative distance of a window from the model."""
    sizes = rows.sizes()
    x, y = rows.model(knee, per_prompt, beside) / sizes[:, None], rows.y / sizes
    count = max(1, int(np.count_nonzero(~rows.is_window)))
    idle = np.sqrt(max(1.0, _IDLE_SHARE * np.count_nonzero(rows.is_window) / count))
    weight: Array = np.ones(len(y))
    for turn in range(_TURNS):
        values, _ = nnls(x * weight[:, None], y * weight)
        residual = y - x @ values
        for chosen, counts_for in ((rows.is_window, 1.0), (~rows.is_window, idle)):
            if chosen.any():
                scale = max(1.4826 * float(np.median(np.abs(residual[chosen]))), 1e-4)
                off = np.abs(residual[chosen]) / scale
                huber, bisquare = 1 / np.maximum(1, off / 1.345), np.maximum(0, 1 - (off / 4.685) ** 2) ** 2
                weight[chosen] = np.sqrt(huber if turn < _TURNS // 2 else bisquare) / scale * counts_for
    used = values > 0
    weighted = x[:, used] * weight[:, None]
    bread = np.linalg.pinv(weighted.T @ weighted)
    scores = weighted * (residual * weight)[:, None]
    sums = np.array([scores[rows.cluster == name].sum(axis=0) for name in np.unique(rows.cluster)])
    se = np.zeros(len(_NAMES))
    se[used] = np.sqrt(np.maximum(0, np.diag(bread @ (sums.T @ sums) @ bread)))
    estimates = {name: Estimate(float(b), float(s)) for name, b, s in zip(_NAMES, values, se, strict=True)}
    distance = np.minimum(np.abs(residual[rows.is_window]), 3)
    return estimates, x @ values * sizes, float(distance.mean())


def _unidentified(streams: _Streams, rows: _Rows) -> dict[str, Estimate]:
    """What this recording cannot tell, with the reason and the assumption made."""
    found = {}
    if _one_length(streams):
        found["per_token"] = Estimate(0.0, why_not="all prompts were of one length, so it is inside base")
    if rows.is_window.all():
        found["overhead"] = Estimate(0.0, why_not="no request met an idle engine")
    return found


def _one_length(streams: _Streams) -> bool:
    return bool(np.ptp(streams.prompt) <= 0.1 * streams.prompt.mean())


def _slots(streams: _Streams) -> tuple[int, bool]:
    """Most streams decoding at once, and whether others waited meanwhile."""
    at = np.sort(np.concatenate([streams.first, streams.last, streams.received])) + 1e-6
    ended = np.searchsorted(np.sort(streams.last), at)
    decoding = np.searchsorted(np.sort(streams.first), at) - ended
    inside = np.searchsorted(np.sort(streams.received), at) - ended
    most = int(decoding.max())
    lasts = np.diff(at, append=at[-1])
    full = decoding >= 0.9 * most
    waiting = inside - decoding >= max(2, 0.1 * most)
    return most, bool(lasts[full & waiting].sum() > 0.5 * lasts[full].sum())


def _line(key: str, estimate: Estimate) -> str:
    note = f"assumption: {estimate.why_not}" if estimate.why_not else f"± {estimate.se:.2g}"
    return f"{key} = {estimate.value:.5g}  # {note}"
