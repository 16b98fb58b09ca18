"""What the emulator tells Prometheus: vLLM's names where vLLM has one, so that the same dashboards and fits work."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from targets.reference.llm.driver import Driver

_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)


class Metrics:
    """Counts of one engine; `registry` renders them."""

    def __init__(self, driver: Driver, model: str) -> None:
        self._driver, self._model = driver, model
        self.requests: Counter[tuple[str, int]] = Counter()  # (endpoint, status)
        self.finished: Counter[str] = Counter()  # by finish reason
        self.disconnected = 0
        self.prompt_tokens = 0
        self._registry = CollectorRegistry()
        self._registry.register(self)  # collect() is all it needs
        self._ttft = self._histogram("vllm:time_to_first_token_seconds", "Request read to first token written")
        self._e2e = self._histogram("vllm:e2e_request_latency_seconds", "Request read to last token written")

    def observe(self, reason: str, ttft_s: float, e2e_s: float) -> None:
        """A generation came to its end."""
        self.finished[reason] += 1
        self._ttft.observe(ttft_s)
        self._e2e.observe(e2e_s)

    def render(self) -> bytes:
        """Text exposition format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        gate, late = self._driver.scheduler.gate, self._driver.lateness
        gauges = (
            ("vllm:num_requests_running", "Streams in the engine", gate.running),
            ("vllm:num_requests_waiting", "Requests in the queue", len(gate.waiting)),
            ("vllm:kv_cache_usage_perc", "Share of the KV budget in use, 1 is all", gate.kv_used / gate.kv_tokens),
            ("plimsoll_emulator_slots", "Most streams in the engine", gate.slots),
            ("plimsoll_emulator_lateness_max_seconds", "Worst delay of a step behind its schedule", late.max_ns / 1e9),
        )
        for name, text, value in gauges:
            yield self._one(GaugeMetricFamily(name, text, labels=["model_name"]), value)
        counters = (
            ("vllm:prompt_tokens", "Prompt tokens of requests taken in", self.prompt_tokens),
            ("vllm:generation_tokens", "Tokens written", self._driver.tokens),
            ("plimsoll_emulator_disconnects", "Clients that left before the end", self.disconnected),
            ("plimsoll_emulator_steps", "Engine steps", late.steps),
            ("plimsoll_emulator_steps_late", "Engine steps more than 1 ms behind their schedule", late.over_1ms),
            ("plimsoll_emulator_lateness_seconds", "Sum of all steps' delays", late.sum_ns / 1e9),
        )
        for name, text, value in counters:
            yield self._one(CounterMetricFamily(name, text, labels=["model_name"]), value)
        success = CounterMetricFamily("vllm:request_success", "Finished", labels=["model_name", "finished_reason"])
        for reason, count in self.finished.items():
            success.add_metric([self._model, reason], count)
        yield success
        requests = CounterMetricFamily("plimsoll_emulator_requests", "Answers begun", labels=["endpoint", "status"])
        for (endpoint, status), count in self.requests.items():
            requests.add_metric([endpoint, str(status)], count)
        yield requests

    def _one(self, family: GaugeMetricFamily | CounterMetricFamily, value: float) -> Metric:
        family.add_metric([self._model], value)
        return family

    def _histogram(self, name: str, text: str) -> Histogram:
        family = Histogram(name, text, ["model_name"], buckets=_SECONDS, registry=self._registry)
        return family.labels(self._model)
