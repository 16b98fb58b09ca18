"""What an answer costs an upstream's core when more are there at once than were seen: larger batches may cost each more.

A real engine on one core (`transformers serve`, prompts of some hundred tokens): 0.14 CPU-seconds an answer at two at once,
0.16 at four, 0.17 at six, 0.20 at eight, 0.29 at twelve.
"""

from __future__ import annotations

from capacity.documents import CONFIDENCE, Stage, between
from capacity.edge import SPREAD
from capacity.fits import line
from capacity.model import Model
from capacity.plateau import LOST
from measurements.interval import Interval

MOST = 1.5  # times as many at once as were seen: how far a straight line is trusted
LEAST_ANSWERS = 20  # in a stage


def cost(model: Model, role: str, times: float) -> Interval:
    """Times as much CPU as an answer took with every slot before the dependency taken, when there are `times` as many slots.

    By a straight line through the stages, CPU per answer over what ran at once (what was in flight, at most the slots);
    between 1/times and times, and all of that where no line can be drawn.
    """
    if times <= 1 or not model.run.section("upstream"):
        return Interval(1.0, 1.0, 1.0, CONFIDENCE)
    slots = float(max(queue.setting.max_concurrent for queue in model.queues) * model.run.replicas)
    known = [(stage, cores) for stage in model.stages if (cores := stage.cores(role)) and _tells(stage)]
    running = [min(stage.in_flight_mean or 0.0, slots) for stage, _ in known]
    each_s = [cores / stage.completed_rps for stage, cores in known]
    found = line({"running": running}, each_s, [1 / stage.count for stage, _ in known]) if known else None
    slope = found.slopes["running"] if found else None
    full_s = found.base.mid + slope.mid * slots if found and slope else 0.0
    if slope is None or full_s <= 0:
        return Interval(1 / times, 1.0, times, CONFIDENCE)
    more = [
        min(max(1 + change * (times - 1) * slots / full_s, 1 / times), times)
        for change in (slope.low, slope.mid, slope.high)
    ]
    return between(min(more[0], more[1] * (1 - SPREAD)), more[1], max(more[2], more[1] * (1 + SPREAD)))


def _tells(stage: Stage) -> bool:
    """Whether its CPU went into its answers: of what was given up, work is left that nobody counts."""
    return (
        stage.count >= LEAST_ANSWERS and stage.error_rate <= LOST and bool(stage.in_flight_mean and stage.completed_rps)
    )
