"""What each role used in named windows, from the rows of an observation. Pure: a table and windows in, numbers out.

Counters are interpolated linearly between sweeps at a window's edges, so a window of 2.5 s is charged with 2.5 s.
Where a process was born and ended between two sweeps, the CPU time that its parent reaped stands for it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from profiles.resources import HOST

MIB = 2**20
NANOSECONDS = 1e9
Window = tuple[str, float, float]


def per_window(table: pa.Table, windows: Sequence[Window]) -> dict[str, dict[str, dict[str, Any]]]:
    """window name → role → figures; `windows` are (name, start_s, end_s) since the run's start.

    Process roles: cpu_cores_mean, cpu_cores_max (of one interval between sweeps), busiest_process_cores (mean of the
    busiest process), cpu_s, rss_mib_mean, rss_mib_max, uss_mib_max, threads_max, fds_max, processes (at once),
    run_delay_s_per_s, ctx_involuntary_per_s, read_mib, write_mib; cgroup_quota_cores, cgroup_memory_max_mib and
    throttled_s_per_s where limits are set. Role "host": cpu_share_mean, cpu_share_max (0..1 of all cores), cores,
    memory_used_mib (highest), memory_total_mib, load1 (highest), steal_share, disk_used_share, disk_free_mib,
    net_sent_mib, net_recv_mib, psi_*_share. None where nothing gave a value; a role that was not observed in a
    window is absent from it.
    """
    frames = _by_role(table)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, start_s, end_s in windows:
        roles = found.setdefault(name, {})
        for role, frame in frames.items():
            around = _around(frame, start_s, end_s)
            if around is not None:
                roles[role] = (_host if role == HOST else _processes)(around, start_s, end_s)
    return found


def intervals(table: pa.Table, role: str) -> pd.DataFrame:
    """A row per process and interval between sweeps: pid, name, start_s, end_s, cores, run_delay_s_per_s."""
    frame = _by_role(table).get(role)
    columns = ["pid", "name", "start_s", "end_s", "cores", "run_delay_s_per_s"]
    if frame is None or role == HOST:
        return pd.DataFrame(columns=columns)
    by_process = frame.groupby("pid", sort=False)
    lengths_s = by_process["at_s"].diff()
    rows = pd.DataFrame(
        {
            "pid": frame["pid"],
            "name": frame["name"],
            "start_s": frame["at_s"] - lengths_s,
            "end_s": frame["at_s"],
            "cores": by_process["cpu_s"].diff() / lengths_s,
            "run_delay_s_per_s": by_process["run_delay_s"].diff() / lengths_s,
        }
    )
    return rows[lengths_s.notna()].reset_index(drop=True)


def over_time(table: pa.Table, role: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since the run's start and the sum of `column` over the role's processes, for each sweep."""
    frame = _by_role(table).get(role)
    if frame is None:
        return np.array([]), np.array([])
    total = frame.groupby("at_s")[column].sum(min_count=1).dropna()
    return total.index.to_numpy(dtype=float), total.to_numpy(dtype=float)


def cpu_rises(table: pa.Table, starts_s: np.ndarray, ends_s: np.ndarray) -> dict[str, np.ndarray]:
    """role → CPU-seconds in each window (n,), counters interpolated at its edges; the generator and the host left out."""
    found = {}
    for role, frame in _by_role(table).items():
        if role in (HOST, "generator"):
            continue
        times, first_of_sweep = np.unique(frame["at_s"].to_numpy(), return_index=True)
        counter = frame["role_cpu_s"].to_numpy()[first_of_sweep]
        found[role] = np.interp(ends_s, times, counter) - np.interp(starts_s, times, counter)
    return found


def _by_role(table: pa.Table) -> dict[str, pd.DataFrame]:
    frame = table.to_pandas()
    frame["at_s"] = frame["at_ns"] / NANOSECONDS
    frame["cpu_s"] = frame["cpu_user_s"] + frame["cpu_system_s"]
    frame["role"], frame["name"] = frame["role"].astype(str), frame["name"].astype(str)
    found = {str(role): rows.sort_values("at_s", kind="stable") for role, rows in frame.groupby("role")}
    for role, rows in found.items():
        if role != HOST:
            found[role] = rows.assign(role_cpu_s=_cpu_total(rows))
    return found


def _around(frame: pd.DataFrame, start_s: float, end_s: float) -> pd.DataFrame | None:
    """The sweeps in a window and the nearest one on either side; None where the window was not observed."""
    at_s = frame["at_s"].to_numpy()
    if end_s <= start_s or end_s <= at_s[0] or start_s >= at_s[-1]:
        return None
    before = at_s[max(0, int(np.searchsorted(at_s, start_s, side="right")) - 1)]
    after = at_s[min(len(at_s) - 1, int(np.searchsorted(at_s, end_s, side="left")))]
    return frame[(at_s >= before) & (at_s <= after)]


def _processes(frame: pd.DataFrame, start_s: float, end_s: float) -> dict[str, Any]:
    length_s = end_s - start_s
    times, first_of_sweep = np.unique(frame["at_s"].to_numpy(), return_index=True)
    cpu = frame["role_cpu_s"].to_numpy()[first_of_sweep]
    cpu_s = _rise(times, cpu, start_s, end_s)
    rates = _interval_rates(times, cpu, start_s, end_s)
    busiest = max(
        _rise(own["at_s"].to_numpy(), own["cpu_s"].to_numpy(), start_s, end_s) for _, own in frame.groupby("pid")
    )
    rss = _over_window(frame, "rss_bytes", "sum", start_s, end_s)
    uss = _over_window(frame[frame["uss_bytes"].notna()], "uss_bytes", "sum", start_s, end_s)
    return {
        "cpu_cores_mean": cpu_s / length_s,
        "cpu_cores_max": max(rates, default=cpu_s / length_s),
        "busiest_process_cores": busiest / length_s,
        "cpu_s": cpu_s,
        "rss_mib_mean": _scaled(rss, "mean", MIB),
        "rss_mib_max": _scaled(rss, "max", MIB),
        "uss_mib_max": _scaled(uss, "max", MIB),
        "threads_max": _whole(_over_window(frame, "threads", "sum", start_s, end_s)),
        "fds_max": _whole(_over_window(frame, "fds", "sum", start_s, end_s)),
        "processes": _whole(_over_window(frame, "rss_bytes", "count", start_s, end_s)),
        "run_delay_s_per_s": _rate(frame, "run_delay_s", start_s, end_s),
        "ctx_involuntary_per_s": _rate(frame, "ctx_involuntary", start_s, end_s),
        "read_mib": _volume(frame, "read_bytes", start_s, end_s),
        "write_mib": _volume(frame, "write_bytes", start_s, end_s),
        "cgroup_quota_cores": _last(frame, "cgroup_quota_cores"),
        "cgroup_memory_max_mib": _last(frame, "cgroup_memory_max_bytes", MIB),
        "throttled_s_per_s": _rate(frame, "cgroup_throttled_s", start_s, end_s),
    }


def _host(frame: pd.DataFrame, start_s: float, end_s: float) -> dict[str, Any]:
    length_s = end_s - start_s
    times, busy = frame["at_s"].to_numpy(), frame["host_cpu_busy_s"].to_numpy()
    cores = int(frame["host_cores"].iloc[-1])
    mean = _rise(times, busy, start_s, end_s) / length_s / cores
    steal = _rate(frame, "host_steal_s", start_s, end_s)
    figures: dict[str, Any] = {
        "cpu_share_mean": mean,
        "cpu_share_max": max((rate / cores for rate in _interval_rates(times, busy, start_s, end_s)), default=mean),
        "cores": cores,
        "memory_used_mib": _scaled(_over_window(frame, "host_memory_used_bytes", "sum", start_s, end_s), "max", MIB),
        "memory_total_mib": _last(frame, "host_memory_total_bytes", MIB),
        "load1": _scaled(_over_window(frame, "host_load1", "sum", start_s, end_s), "max", 1),
        "processes": _whole(_over_window(frame, "host_processes", "sum", start_s, end_s)),
        "steal_share": None if steal is None else steal / cores,
        "disk_used_share": _scaled(_over_window(frame, "host_disk_used_share", "sum", start_s, end_s), "max", 1),
        "disk_free_mib": _scaled(_over_window(frame, "host_disk_free_bytes", "sum", start_s, end_s), "min", MIB),
        "net_sent_mib": _volume(frame, "host_net_sent_bytes", start_s, end_s),
        "net_recv_mib": _volume(frame, "host_net_recv_bytes", start_s, end_s),
    }
    for kind in ("cpu", "memory", "io"):
        figures[f"psi_{kind}_share"] = _rate(frame, f"psi_{kind}_some_s", start_s, end_s)
    return figures


def _cpu_total(frame: pd.DataFrame) -> np.ndarray:
    """CPU-seconds of the whole role since its first sweep, for each row; never falls.

    The larger of two accounts. Own times, ended processes kept at their last value, miss what ran between the last
    sweep and the end. Own plus reaped times of the living miss orphans, whose times go to another parent.
    """
    own = frame.pivot_table(index="at_s", columns="pid", values="cpu_s")
    kept = own.ffill().fillna(0.0).sum(axis=1).to_numpy()
    living = (frame["cpu_s"] + frame["cpu_reaped_s"].fillna(0.0)).groupby(frame["at_s"]).sum()
    with_reaped = living.reindex(own.index).to_numpy()
    total = np.maximum.accumulate(np.maximum(kept - kept[0], with_reaped - with_reaped[0]))
    return total[np.searchsorted(own.index.to_numpy(), frame["at_s"].to_numpy())]


def _rise(times: np.ndarray, counter: np.ndarray, start_s: float, end_s: float) -> float:
    low, high = np.interp([start_s, end_s], times, counter)
    return float(high - low)


def _interval_rates(times: np.ndarray, counter: np.ndarray, start_s: float, end_s: float) -> list[float]:
    """Rates between sweeps; of those cut by the window's edge only what has more than half an interval inside."""
    inside = (np.minimum(times[1:], end_s) - np.maximum(times[:-1], start_s)) > np.diff(times) / 2
    lengths = np.diff(times)
    usual = np.median(lengths) if len(lengths) else 0.0
    fair = inside & (lengths > usual / 2)  # the last sweep comes early: a 10-ms tick over 20 ms is no rate
    return [float(rate) for rate in (np.diff(counter)[fair] / lengths[fair])]


def _rate(frame: pd.DataFrame, column: str, start_s: float, end_s: float) -> float | None:
    known = frame[frame[column].notna()]
    if len(known) < 2:
        return None
    total = sum(
        _rise(own["at_s"].to_numpy(), own[column].to_numpy(dtype=float), start_s, end_s)
        for _, own in known.groupby("pid", dropna=False)
    )
    return total / (end_s - start_s)


def _volume(frame: pd.DataFrame, column: str, start_s: float, end_s: float) -> float | None:
    rate = _rate(frame, column, start_s, end_s)
    return None if rate is None else rate * (end_s - start_s) / MIB


def _over_window(frame: pd.DataFrame, column: str, how: str, start_s: float, end_s: float) -> pd.Series | None:
    """The role's value (sum or count over processes) at each sweep in the window and at its edges, by time."""
    known = frame[frame[column].notna()]
    if known.empty:
        return None
    total = known.groupby("at_s")[column].agg(how).astype(float)
    inside = total[(total.index > start_s) & (total.index < end_s)]
    low, high = np.interp([start_s, end_s], total.index.to_numpy(), total.to_numpy())
    return pd.concat([pd.Series({start_s: low}), inside, pd.Series({end_s: high})])


def _scaled(series: pd.Series | None, how: str, unit: float) -> float | None:
    if series is None:
        return None
    if how == "mean":  # weighted by time: sweeps may be uneven at the edges
        length_s = series.index[-1] - series.index[0]
        return float(np.trapezoid(series.to_numpy(), series.index.to_numpy()) / length_s / unit)
    return float(getattr(series, how)() / unit)


def _whole(series: pd.Series | None) -> int | None:
    return None if series is None else round(float(series.max()))


def _last(frame: pd.DataFrame, column: str, unit: float = 1.0) -> float | None:
    known = frame[column].dropna()
    return None if known.empty else float(known.iloc[-1]) / unit
