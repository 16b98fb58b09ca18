"""An LLM engine that batches continuously, in virtual time: all running streams share one step.

A step that decodes n streams, begins b prompts and reads p prompt tokens takes (α + β·n if n) + (base if b) +
b·per prompt + p·per token; every decoding stream gains one token at its end, a prompt read to its end gains its first. Admission is
first come, first served, between steps, by slots and by room for prompt + output in the KV budget. Steps in which
nothing joins or leaves are taken together, so a request costs some three turns of the loop, however long its answer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil

import numpy as np

from capacity.simulation import OK, REJECTED


@dataclass(frozen=True)
class Engine:
    """Times in seconds, lengths in tokens. `knee`: from more than so many streams each costs `past_knee_s` more."""

    slots: int
    waiting: int
    kv_tokens: int
    prefill_base_s: float
    prefill_s_per_token: float
    chunk_tokens: int
    alpha_s: float
    beta_s: float
    knee: int | None = None
    past_knee_s: float = 0.0
    prefill_s_per_prompt: float = 0.0

    def decode_s(self, running: int) -> float:
        if not running:
            return 0.0
        beyond = max(0, running - self.knee) if self.knee is not None else 0
        return self.alpha_s + self.beta_s * running + self.past_knee_s * beyond


@dataclass(frozen=True)
class Generated:
    """(n,) each: `ttft_s` and `response_s` from the arrival (NaN where refused), `outcome` OK or REJECTED."""

    ttft_s: np.ndarray
    response_s: np.ndarray
    outcome: np.ndarray
    running_mean: float

    @property
    def loss(self) -> float:
        return float((self.outcome == REJECTED).mean())


def generate(  # noqa: PLR0915 - one hot loop over shared state
    arrivals_s: np.ndarray, prompt_tokens: np.ndarray, output_tokens: np.ndarray, engine: Engine
) -> Generated:
    """Run every arrival (rising, in s) with its lengths (n,) through the engine; nobody leaves early."""
    n = len(arrivals_s)
    arrivals, prompts, outputs = arrivals_s.tolist(), prompt_tokens.tolist(), output_tokens.tolist()
    first, done = [float("nan")] * n, [float("nan")] * n
    outcome = [OK] * n
    waiting: deque[int] = deque()
    reading: list[list[int]] = []  # [request, prompt tokens still to read]
    decoding: list[tuple[int, int]] = []  # heap of (count of steps at which it is done, request)
    places, room, running, kv_used = engine.slots + engine.waiting, engine.kv_tokens, 0, 0
    now, steps, k, integral = 0.0, 0, 0, 0.0

    def offer(until: float) -> None:
        """Arrivals up to a time join the queue or are refused; called with the state they meet."""
        nonlocal k
        while k < n and arrivals[k] < until:
            if prompts[k] + outputs[k] > room or running + len(waiting) >= places:
                outcome[k] = REJECTED
            else:
                waiting.append(k)
            k += 1

    while True:
        if not waiting and not reading and not decoding:
            if k >= n:
                break
            now = max(now, arrivals[k])
            offer(np.nextafter(now, np.inf))
        while waiting and running < engine.slots and kv_used + prompts[waiting[0]] + outputs[waiting[0]] <= room:
            who = waiting.popleft()
            running += 1
            kv_used += prompts[who] + outputs[who]
            reading.append([who, prompts[who]])
        if not reading and not decoding:
            continue
        cost = engine.decode_s(len(decoding))
        together = 1
        joined: list[int] = []
        if reading:
            left, begun = engine.chunk_tokens, 0
            for job in reading:
                take = min(left, job[1])
                begun += job[1] == prompts[job[0]]
                job[1] -= take
                left -= take
                if job[1] <= 0:
                    joined.append(job[0])
                if not left:
                    break
            cost += (engine.prefill_base_s if begun else 0.0) + begun * engine.prefill_s_per_prompt
            cost += (engine.chunk_tokens - left) * engine.prefill_s_per_token
            reading = [job for job in reading if job[1] > 0]
        else:
            together = decoding[0][0] - steps
            if not waiting and k < n and running < engine.slots:
                together = min(together, max(1, ceil((arrivals[k] - now) / cost)))
        until = now + together * cost
        offer(until)
        integral += running * (until - now)
        now, steps = until, steps + together
        for who in joined:
            first[who] = now
            heappush(decoding, (steps + outputs[who] - 1, who))
        while decoding and decoding[0][0] <= steps:
            who = heappop(decoding)[1]
            done[who] = now
            running -= 1
            kv_used -= prompts[who] + outputs[who]
    span = now - arrivals[0] if n else 0.0
    return Generated(
        np.array(first) - arrivals_s, np.array(done) - arrivals_s, np.array(outcome, dtype=np.int8),
        integral / span if span else 0.0,
    )  # fmt: skip
