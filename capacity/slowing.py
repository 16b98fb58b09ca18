"""How a queue's service times grow with what runs at once: an upstream that batches serves each a little slower."""

from __future__ import annotations

from dataclasses import dataclass, replace

from capacity import full_slots, service_times
from capacity.model import Model
from capacity.queue_options import QueueModel


@dataclass(frozen=True)
class Slowing:
    """Mean service time `calm_s` with `calm_running` at once, and `per_running_s` more for each further one.

    `shared`: what runs at once is summed over the replicas, because they share the upstream.
    """

    calm_s: float
    calm_running: float
    per_running_s: float
    shared: bool

    def at(self, rate_rps: float, slots: int, replicas: int) -> float:
        """Times as long as in calm, at a rate over all replicas: what runs at once is rate × time (Little's law), at most
        every slot; the time depends on it in turn, which has a closed solution."""
        group = 1 if self.shared else replicas
        rate, most = rate_rps / group, float(slots * replicas / group)
        calm_s = self.calm_s - self.per_running_s * self.calm_running  # with nobody else
        rest = 1 - rate * self.per_running_s
        running = min(most, rate * calm_s / rest) if rest > 0 else most
        return max(1.0, (calm_s + self.per_running_s * running) / self.calm_s)

    def scaled(self, factor: float) -> Slowing:
        return replace(self, per_running_s=self.per_running_s * factor)


def of(model: Model, queue: QueueModel) -> Slowing:
    """From two points: the calm stages, and the plateau, where every slot was taken (`full_slots`).

    None of it where the two differ by what chance makes of two samples, or where this queue's slots made no plateau.
    """
    calm_s = float(queue.service_s.mean())
    shared = bool(model.run.section("upstream"))
    group = model.run.replicas if shared else 1
    calm = service_times.calm(model.stages)
    rate = sum(s.rate_rps for s in calm) / len(calm) * queue.share if calm else 0.0
    running = rate * calm_s / model.run.replicas * group
    none = Slowing(calm_s, running, 0.0, shared)
    full, slots = (
        full_slots.of(queue, model.plateau, model.bottleneck, model.run.replicas),
        queue.setting.max_concurrent,
    )
    if full is None or slots * group <= running or not calm_s * (1 + full_slots.DOUBT * queue.unsure) < full.least_s:
        return none
    return replace(none, per_running_s=(full.full_s - calm_s) / (slots * group - running))
