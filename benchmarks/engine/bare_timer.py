"""Prints how late a bare timer wakes on the core that it is given: what no generator on this machine can be better than.

python -P -m benchmarks.engine.bare_timer SECONDS, at Poisson times 0.2 ms apart; quantiles in ms and late ones a second as JSON.
"""

from __future__ import annotations

import json
import random
import sys
from time import monotonic_ns as now

import numpy as np
from gevent.event import Event

from loadtests.pump import AbsoluteTimer

MEAN_NS, LEAST_NS, LATE_MS = 150_000, 50_000, 1.0


def lateness_ms(seconds: float) -> list[float]:
    """Of each wake-up, in ms."""
    found: list[float] = []
    done, drawn = Event(), random.Random(1)
    due_ns = now() + LEAST_NS
    end_ns = now() + int(seconds * 1e9)

    def woken() -> None:
        nonlocal due_ns
        at = now()
        found.append((at - due_ns) / 1e6)
        due_ns = at + LEAST_NS + int(drawn.expovariate(1 / MEAN_NS))
        if due_ns > end_ns:
            timer.close()
            done.set()
        else:
            timer.wake_at(due_ns)

    timer = AbsoluteTimer(woken)
    timer.wake_at(due_ns)
    done.wait()
    return found


if __name__ == "__main__":
    seconds = float(sys.argv[1])
    late_ms = np.array(lateness_ms(seconds))
    quantiles_ms = np.quantile(late_ms, (0.5, 0.99, 0.999)).tolist()
    print(json.dumps({"quantiles_ms": quantiles_ms, "late_per_s": float((late_ms > LATE_MS).sum()) / seconds}))
