"""Does memory grow with the requests? The slope of RSS with its interval, and what it means.

    RSS = a + b·users + l·requests

a: base; l: what each request leaves behind, the slope of RSS over completed requests after warm-up; b: what each
user's connection holds and gives back, from a hold phase (connections open, no requests) and a drain (closed).

The slope is Theil and Sen's (median of all pairwise slopes; Sen 1968, J. Am. Stat. Assoc. 63:1379) over the medians
of consecutive blocks: samples of RSS are strongly correlated, their block medians far less, and an interval from
single samples would call noise a leak. It stops being true where growth is not linear in requests.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from measurements.interval import Interval, Refusal

MIB = 2**20
BLOCKS = 20
FEWEST_SAMPLES = 12
FEWEST_REQUESTS = 1_000  # for "leak": a cold service grows over its first hundreds
SETTLING = 0.6
CACHE_SHARE = 0.2  # of the growth with new requests, still there with repeated ones: a leak
RESOLUTION_BYTES = MIB // 2  # the kernel batches a process's page counts per core (mm percpu counters)


def growth(
    at_s: Sequence[float],
    rss_bytes: Sequence[float],
    done_s: Sequence[float],
    *,
    start_s: float,
    end_s: float,
    limit_bytes: float | None = None,
    processes: int = 1,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """`at_s`, `rss_bytes`: the service's RSS (all processes) over time; `done_s`: when each request completed, on the
    same clock; [start_s, end_s]: the loaded time after warm-up; `limit_bytes`: what memory may reach; `processes`: how
    many there were, each with room of its own in its heap that takes up a little before its RSS grows.

    Returns verdict ("leak", "no_leak", "growing", "unknown"; `told_from_cache` adds "cache"), a sentence `why`,
    slope_mib_per_1000_requests (Interval, or None with `refusal`), slope_mib_per_h, growth_mib, requests,
    hours_to_limit (Interval; high is None where the slope's low end is not above zero) and limit_mib. "leak" needs the
    interval to exclude zero over the whole time and over its second half, growth that RSS can resolve (0.5 MiB), 1,000
    requests, and a second half that grows at no less than 0.6 of the whole's pace: a service that warms up slows down,
    and is "growing".
    """
    at, rss, done = np.asarray(at_s, float), np.asarray(rss_bytes, float), np.sort(np.asarray(done_s, float))
    inside = (at >= start_s) & (at <= end_s)
    at, rss = at[inside], rss[inside]
    served = np.searchsorted(done, at).astype(float)
    requests = int(served[-1] - served[0]) if len(served) else 0
    if len(at) < FEWEST_SAMPLES or requests < 1:
        return _unknown(len(at), requests)
    whole = _slope(served, rss, BLOCKS, confidence)
    middle = served[0] + requests / 2
    late = _slope(served[served >= middle], rss[served >= middle], BLOCKS // 2, confidence)
    slope = whole if late is None or whole is None or late.low <= whole.mid <= late.high else late
    if whole is None or late is None or slope is None:
        return _unknown(len(at), requests)
    per_1000 = slope.scaled(1000 / MIB)
    rate_rps = float(requests / (at[-1] - at[0]))
    grown_bytes = slope.mid * requests
    unseen_bytes = RESOLUTION_BYTES * max(1, processes)
    grows = whole.low > 0 and late.low > 0 and grown_bytes >= RESOLUTION_BYTES
    leak = grows and requests >= FEWEST_REQUESTS and late.mid >= SETTLING * whole.mid
    verdict = "leak" if leak else "growing" if grows else "no_leak"
    return {
        "verdict": verdict,
        "why": _why(verdict, (whole, late, per_1000), grown_bytes, requests)
        + (
            f"; a leak under {unseen_bytes / requests:,.0f} bytes a request would not show"
            if verdict == "no_leak"
            else ""
        ),
        "slope_mib_per_1000_requests": per_1000.as_json(),
        "slope_mib_per_h": slope.scaled(rate_rps * 3600 / MIB).as_json(),
        "growth_mib": grown_bytes / MIB,
        "requests": requests,
        "limit_mib": None if limit_bytes is None else limit_bytes / MIB,
        "hours_to_limit": _hours_to_limit(slope, rate_rps, float(rss[-1]), limit_bytes) if leak else None,
    }


def told_from_cache(grown: dict[str, Any], repeated: dict[str, Any]) -> dict[str, Any]:
    """`grown`: growth under new requests; `repeated`: under the same requests sent again. A leak grows with both, a
    cache that fills only with the first: its verdict is "cache". What leaks behind that cache stays unseen."""
    told = {**grown, "repeated": {key: repeated[key] for key in ("verdict", "slope_mib_per_1000_requests", "requests")}}
    slope, again = grown["slope_mib_per_1000_requests"], repeated["slope_mib_per_1000_requests"]
    if grown["verdict"] != "leak" or again is None:
        return told
    if again["low"] > 0 and again["mid"] >= CACHE_SHARE * slope["mid"]:
        return {**told, "why": f"{told['why']}: repeated requests grew it by {again['mid']:.3f} MiB per 1,000 as well"}
    each_kib = slope["mid"] * 1024 / 1000
    why = (
        f"RSS grew by {each_kib:.1f} KiB with each new request and by {again['mid'] * 1024 / 1000:.1f} KiB with each "
        "repeated one: a cache fills; give it a bound, or count that much for every entry that it may hold"
    )
    return {**told, "verdict": "cache", "why": why, "hours_to_limit": None}


def per_user(rss_hold_bytes: float, rss_drained_bytes: float, rss_idle_bytes: float, users: int) -> dict[str, Any]:
    """What the users' connections held, by what closing them gave back; and what stayed above the idle start.

    An allocator keeps much of what is freed, so `given_back` is a lower bound of what users hold.
    """
    given_back = rss_hold_bytes - rss_drained_bytes
    resolved = given_back >= RESOLUTION_BYTES and users > 0
    return {
        "users": users,
        "idle_mib": rss_idle_bytes / MIB,
        "hold_mib": rss_hold_bytes / MIB,
        "drained_mib": rss_drained_bytes / MIB,
        "given_back_mib": given_back / MIB,
        "retained_mib": (rss_drained_bytes - rss_idle_bytes) / MIB,
        "mib_per_user_at_least": given_back / users / MIB if resolved else None,
    }


def _slope(served: np.ndarray, rss: np.ndarray, blocks: int, confidence: float) -> Interval | None:
    """Bytes per request, from block medians; None where there are too few or where no request separates them.

    Sen's interval rests on a variance that ties make smaller, here and there below zero; then all slopes between two
    blocks are the interval, which is wider and never wrong.
    """
    parts = np.array_split(np.arange(len(served)), min(blocks, len(served)))
    x = np.array([np.median(served[part]) for part in parts])
    y = np.array([np.median(rss[part]) for part in parts])
    if len(x) < 5 or x[-1] <= x[0]:
        return None
    from scipy import stats  # slow to import, and not every run wants it

    with np.errstate(invalid="ignore"):
        result = stats.theilslopes(y, x, alpha=confidence)
    low, mid, high = float(result.low_slope), float(result.slope), float(result.high_slope)
    if not (np.isfinite(low) and np.isfinite(high)):
        i, j = np.triu_indices(len(x), 1)
        apart = x[j] > x[i]
        slopes = (y[j] - y[i])[apart] / (x[j] - x[i])[apart]
        low, high = float(slopes.min()), float(slopes.max())
    return Interval(min(low, mid), mid, max(high, mid), confidence)


def _hours_to_limit(slope: Interval, rate_rps: float, now_bytes: float, limit_bytes: float | None) -> Any:
    if limit_bytes is None or slope.mid <= 0:
        return None
    left = max(0.0, limit_bytes - now_bytes) / rate_rps / 3600
    return {
        "low": left / slope.high,
        "mid": left / slope.mid,
        "high": left / slope.low if slope.low > 0 else None,
        "confidence": slope.confidence,
    }


def _why(verdict: str, slopes: tuple[Interval, Interval, Interval], grown: float, requests: int) -> str:
    whole, late, per_1000 = slopes
    shown = f"{per_1000.mid:.3f} MiB per 1,000 requests ({per_1000.low:.3f} to {per_1000.high:.3f})"
    if verdict == "leak":
        return f"RSS grew by {shown} over {requests:,} requests and did not stop"
    if verdict == "growing" and requests < FEWEST_REQUESTS:
        return (
            f"RSS grew by {shown}, over {requests:,} requests: warm-up or leak shows from {FEWEST_REQUESTS:,} requests"
        )
    if verdict == "growing":
        return f"RSS grew by {shown} over {requests:,} requests, slower in the second half: load for longer to tell"
    if whole.low > 0 and late.low > 0:
        return f"RSS grew by {grown / MIB:.2f} MiB over {requests:,} requests, less than RSS resolves; send more"
    if whole.low > 0:
        return f"RSS grew at first and then settled: in the second half the slope's interval holds zero ({shown})"
    return f"the slope's interval holds zero: {shown} over {requests:,} requests"


def _unknown(samples: int, requests: int) -> dict[str, Any]:
    reason = f"a slope needs {FEWEST_SAMPLES} readings of RSS under load, there are {samples} over {requests} requests"
    refusal = Refusal("slope_mib_per_1000_requests", reason, "load for longer with --duration")
    return {
        "verdict": "unknown",
        "why": reason,
        "slope_mib_per_1000_requests": None,
        "slope_mib_per_h": None,
        "growth_mib": None,
        "requests": requests,
        "limit_mib": None,
        "hours_to_limit": None,
        "refusal": refusal.as_json(),
    }
