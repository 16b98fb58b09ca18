"""How a queue's service times grow with what runs at once: an upstream that batches serves each a little slower."""

from __future__ import annotations

from dataclasses import dataclass, replace

from capacity import service_times
from capacity.model import Model
from capacity.queue_options import QueueModel

SANE = 4.0


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
    """From two points: the calm stages, and the plateau, where c full slots at X/s take S = c/X each (Little's law).

    None of it where no plateau was seen, or where this queue's slots cannot have made it.
    """
    calm_s = float(queue.service_s.mean())
    shared = bool(model.run.section("upstream"))
    group = model.run.replicas if shared else 1
    calm = service_times.calm(model.stages)
    rate = sum(s.rate_rps for s in calm) / len(calm) * queue.share if calm else 0.0
    running = rate * calm_s / model.run.replicas * group
    none = Slowing(calm_s, running, 0.0, shared)
    if model.plateau is None or model.bottleneck.kind != "concurrency_limit":
        return none
    slots = float(queue.setting.max_concurrent)
    full_s = slots * model.run.replicas / (model.plateau.rate_rps.mid * queue.share)
    count = sum((stage.endpoints.get(queue.endpoint) or {}).get("count") or 0 for stage in calm)
    doubt_s = 2 * float(queue.service_s.std()) / max(count, 1) ** 0.5
    least_s = slots * model.run.replicas / (model.plateau.rate_rps.high * queue.share)
    if not calm_s + doubt_s < least_s or full_s > SANE * calm_s or slots * group <= running:
        return none  # what two samples differ by anyway
    return replace(none, per_running_s=(full_s - calm_s) / (slots * group - running))
