"""Continuous batching as a state machine in virtual time: no clock, no input or output, integer nanoseconds.

A driver calls `submit` and `cancel` when requests come and go, and `step` whenever `next_ns` has been reached; `step`
moves the machine's own clock to exactly that time, however late it is called, so that no delay ever adds up.
Admission is strictly first come, first served: the head of the queue waits for a slot and for room in the KV budget,
and nobody overtakes it. A request reserves prompt + output tokens when admitted, so nothing is ever preempted
(assumption: a paged engine admits on the prompt alone and preempts when it was too hopeful).
"""

import heapq
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from targets.reference.llm.parameters import Parameters


class TokenSink(Protocol):
    """What a job's tokens are told to."""

    def token(self) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """One generation: `prompt_tokens` to read, then `output_tokens` (≥ 1) to write."""

    prompt_tokens: int
    output_tokens: int
    sink: TokenSink | None = None
    arrived_ns: int = 0
    ready_ns: int = 0  # when the engine sees it
    admitted_ns: int = -1
    prefilled: int = 0
    emitted: int = 0
    cancelled: bool = False

    @property
    def kv_tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def done(self) -> bool:
        return self.emitted >= self.output_tokens


class Scheduler(Protocol):
    """What the driver needs of a state machine."""

    gate: "Gate"

    @property
    def next_ns(self) -> int | None:
        """When `step` is due; None: nothing to do."""

    def submit(self, job: Job, now_ns: int) -> bool: ...
    def cancel(self, job: Job, now_ns: int) -> None: ...
    def step(self) -> list[Job]: ...


class Gate:
    """Who runs and who waits: slots, queue, KV budget."""

    def __init__(self, parameters: Parameters) -> None:
        batching = parameters.batching
        self.slots, self.max_waiting, self.kv_tokens = batching.slots, batching.max_waiting, batching.kv_tokens
        self._overhead_ns = round(parameters.prefill.overhead_ms * 1e6)
        self.waiting: deque[Job] = deque()
        self.running = 0
        self.kv_used = 0

    def offer(self, job: Job, now_ns: int) -> bool:
        """Queue a job; False when the house is full or the job can never fit."""
        job.arrived_ns, job.ready_ns = now_ns, now_ns + self._overhead_ns
        if job.kv_tokens > self.kv_tokens or self.running + len(self.waiting) >= self.slots + self.max_waiting:
            return False
        self.waiting.append(job)
        return True

    def admit(self, now_ns: int) -> Job | None:
        """Let the head of the queue in, if it is ready and there is a slot and room for it."""
        if not self.has_room() or self.waiting[0].ready_ns > now_ns:
            return None
        job = self.waiting.popleft()
        job.admitted_ns = now_ns
        self.running += 1
        self.kv_used += job.kv_tokens
        return job

    def has_room(self) -> bool:
        """Whether somebody waits for whom there is a slot and room."""
        waiting = self.waiting
        return bool(waiting) and self.running < self.slots and self.kv_used + waiting[0].kv_tokens <= self.kv_tokens

    def leave(self, job: Job) -> None:
        self.running -= 1
        self.kv_used -= job.kv_tokens


class _Costs:
    """Step times in nanoseconds."""

    def __init__(self, parameters: Parameters) -> None:
        prefill, decode = parameters.prefill, parameters.decode
        self.prefill_base_ns = prefill.base_ms * 1e6
        self.prompt_ns = prefill.ms_per_prompt * 1e6
        self.prompt_token_ns = prefill.ms_per_token * 1e6
        self.beside_ns = prefill.ms_per_token_beside * 1e6
        self.alpha_ns = decode.base_ms * 1e6
        self.beta_ns = decode.ms_per_running * 1e6
        self.knee = decode.knee_running or 1 << 60
        self.past_knee_ns = decode.ms_per_running_past_knee * 1e6

    def prefill_ns(self, prompts: int, tokens: int, decoding: int = 0) -> float:
        """base if prompts begin, and the cost of each prompt and token, the latter more where streams decode beside."""
        per_token_ns = self.prompt_token_ns + self.beside_ns * decoding
        return self.prefill_base_ns * (prompts > 0) + prompts * self.prompt_ns + tokens * per_token_ns

    def decode_ns(self, running: int) -> float:
        """α + β·running, and steeper past the knee; 0 for nobody."""
        if not running:
            return 0.0
        return self.alpha_ns + self.beta_ns * running + self.past_knee_ns * max(0, running - self.knee)


class LockstepScheduler:
    """All running streams share one step, as in a continuous-batching engine.

    A step that decodes n streams, begins b prompts and reads p prompt tokens takes
    (α + β·n if n) + (base if b) + b·ms_per_prompt + p·(ms_per_token + n·ms_per_token_beside).
    Every decoding stream gains one token at its end, and a prompt read to its end gains its first. At most
    `chunk_tokens` prompt tokens are read in a step, oldest prompt first.
    Admission happens between steps.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.gate = Gate(parameters)
        self.now_ns = 0
        self.next_ns: int | None = None
        self._costs = _Costs(parameters)
        self._chunk = parameters.prefill.chunk_tokens or 1 << 60
        self._decoding: list[Job] = []
        self._prefilling: list[Job] = []
        self._in_step: list[Job] = []  # streams that the running step gives a token

    def submit(self, job: Job, now_ns: int) -> bool:
        """Take a job in; False: refused. Call with times that never go back, after the steps due by then."""
        if not self.gate.offer(job, now_ns):
            return False
        if self.next_ns is None:
            self._begin(max(now_ns, self.now_ns))
        return True

    def cancel(self, job: Job, now_ns: int) -> None:
        """Forget a job wherever it is; its slot and its room are free for the next step."""
        if job.cancelled or job.done:
            return
        job.cancelled = True
        if job.admitted_ns < 0:
            self.gate.waiting.remove(job)
            return
        (self._decoding if job in self._decoding else self._prefilling).remove(job)
        self.gate.leave(job)

    def step(self) -> list[Job]:
        """End the step that is due at `next_ns`, begin the next one, return who gained a token."""
        assert self.next_ns is not None
        gained = [job for job in self._in_step if not job.cancelled]
        decoding = []
        for job in gained:
            job.emitted += 1
            if job.emitted < job.output_tokens:
                decoding.append(job)
            else:
                self.gate.leave(job)
        self._decoding = decoding
        self._prefilling = [job for job in self._prefilling if not job.emitted]
        self._begin(self.next_ns)
        return gained

    def _begin(self, now_ns: int) -> None:
        self.now_ns = now_ns
        while job := self.gate.admit(now_ns):
            self._prefilling.append(job)
        if not self._decoding and not self._prefilling:
            self._in_step = []
            self.next_ns = max(now_ns + 1, self.gate.waiting[0].ready_ns) if self.gate.waiting else None
            return
        cost_ns = self._costs.decode_ns(len(self._decoding))
        in_step = self._decoding
        if self._prefilling:
            in_step = in_step.copy()
            left, begun = self._chunk, 0
            for job in self._prefilling:
                take = min(left, job.prompt_tokens - job.prefilled)
                begun += not job.prefilled
                job.prefilled += take
                left -= take
                if job.prefilled >= job.prompt_tokens:
                    in_step.append(job)
                if not left:
                    break
            cost_ns += self._costs.prefill_ns(begun, self._chunk - left, len(self._decoding))
        self._in_step = in_step
        self.next_ns = now_ns + max(1, round(cost_ns))


class IndependentScheduler:
    """Every stream keeps its own time from its admission: no shared step.

    First token after base + ms_per_prompt + ms_per_token·prompt, then one every α + β·(streams running just then).
    With β = 0 and slots beyond need, TTFT and gaps are constants: the timing mode for checking a client.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.gate = Gate(parameters)
        self.now_ns = 0
        self._costs = _Costs(parameters)
        self._due: list[tuple[int, int, Job]] = []
        self._sequence = 0

    @property
    def next_ns(self) -> int | None:
        while self._due and self._due[0][2].cancelled:
            heapq.heappop(self._due)
        due_ns = self._due[0][0] if self._due else None
        if not self.gate.has_room():
            return due_ns
        ready_ns = max(self.gate.waiting[0].ready_ns, self.now_ns + 1)
        return ready_ns if due_ns is None else min(due_ns, ready_ns)

    def submit(self, job: Job, now_ns: int) -> bool:
        """Take a job in; False: refused. Call with times that never go back, after the steps due by then."""
        if not self.gate.offer(job, now_ns):
            return False
        self.now_ns = max(now_ns, self.now_ns)
        self._admit()
        return True

    def cancel(self, job: Job, now_ns: int) -> None:
        """Forget a job wherever it is; the next one takes its slot at once."""
        if job.cancelled or job.done:
            return
        job.cancelled = True
        self.now_ns = max(now_ns, self.now_ns)
        if job.admitted_ns < 0:
            self.gate.waiting.remove(job)
        else:
            self.gate.leave(job)
        self._admit()

    def step(self) -> list[Job]:
        """Move to `next_ns` and return who gained a token exactly then."""
        due = self.next_ns
        assert due is not None
        self.now_ns = due
        gained = []
        while self._due and self._due[0][0] == due:
            job = heapq.heappop(self._due)[2]
            if job.cancelled:
                continue
            job.emitted += 1
            gained.append(job)
            if job.emitted < job.output_tokens:
                self._at(job, self._costs.decode_ns(self.gate.running))
            else:
                self.gate.leave(job)
        self._admit()
        return gained

    def _admit(self) -> None:
        while job := self.gate.admit(self.now_ns):
            job.prefilled = job.prompt_tokens
            self._at(job, self._costs.prefill_ns(1, job.prompt_tokens))

    def _at(self, job: Job, after_ns: float) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (self.now_ns + max(1, round(after_ns)), self._sequence, job))


def make(parameters: Parameters) -> Scheduler:
    """The state machine that the parameters ask for."""
    return (LockstepScheduler if parameters.batching.mode == "lockstep" else IndependentScheduler)(parameters)
