"""What full slots say of the work behind them: c slots that answer X a second take S = c/X each (Little's law).

Before a short line slots stand empty at times even in overload: then S is that of M/M/c with as many places to wait that lets
X through of what was offered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from capacity.bottleneck import Bottleneck
from capacity.plateau import Plateau
from capacity.queue_options import QueueModel
from capacity.queueing import taken_share

SANE = 4.0  # times as long as in calm: beyond it, it was not these slots that made the plateau
DOUBT = 2.0  # standard errors
LEAST = 20  # independent answers, without which calm stages know too little to differ


@dataclass(frozen=True)
class FullSlots:
    """Mean service time `full_s` while slots were as full as they get, at least `least_s`, over `answers`."""

    full_s: float
    least_s: float
    answers: float


def of(queue: QueueModel, plateau: Plateau | None, bottleneck: Bottleneck, replicas: int) -> FullSlots | None:
    """None where no plateau was seen, or where this queue's slots cannot have made it."""
    if plateau is None or bottleneck.kind != "concurrency_limit":
        return None
    slots = float(queue.setting.max_concurrent * replicas)
    # of what is begun: the rest is given up and answers nothing
    kept = 1 - float(np.mean(queue.service_s > queue.setting.timeout_s))
    taken = _taken(queue, plateau, replicas, kept)
    full_s, least_s = (
        taken * slots * kept / (rate * queue.share) for rate in (plateau.rate_rps.mid, plateau.rate_rps.high)
    )
    if full_s > SANE * float(queue.service_s.mean()):
        return None
    return FullSlots(full_s, least_s, sum(stage.ok_rps * stage.duration_s for stage in plateau.stages) * queue.share)


def _taken(queue: QueueModel, plateau: Plateau, replicas: int, kept: float) -> float:
    setting, each = queue.setting, queue.share / replicas
    return taken_share(
        setting.max_concurrent, setting.max_queue_size, plateau.offered_rps * each, plateau.rate_rps.mid * each / kept
    )


def pooled(queue: QueueModel, plateau: Plateau | None, bottleneck: Bottleneck, replicas: int) -> QueueModel:
    """The queue with service times moved to the mean of the calm stages and the plateau together, weighted by answers:
    calm stages have few. As it is where the two differ by more than chance (`slowing`), or where no slots were full."""
    found = None if queue.engine else of(queue, plateau, bottleneck, replicas)
    calm_s, counted = float(queue.service_s.mean()), queue.counted
    if found is None:
        return queue
    if counted >= LEAST and abs(found.full_s - calm_s) > DOUBT * queue.unsure * calm_s:
        return queue
    answers = counted + found.answers
    mean_s = (calm_s * counted + found.full_s * found.answers) / answers
    return replace(queue, service_s=queue.service_s * (mean_s / calm_s), counted=answers, carried={})
