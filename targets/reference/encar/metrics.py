"""encar's Prometheus metrics, under its team's names."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from targets.reference.telemetry import LATENCY_BUCKETS_S
from targets.reference.timing import Stages


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "api_requests", "Requests answered", ["method", "endpoint", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "api_response_seconds", "Time to answer", buckets=LATENCY_BUCKETS_S, registry=self.registry
        )
        self.llm = Counter("llm_requests", "Calls of the LLM", ["status"], registry=self.registry)
        self.cache = Counter("cache_operations", "Cache operations", ["operation"], registry=self.registry)
        self.errors = Counter("errors", "Requests that ended in 5xx", registry=self.registry)

    def observe_request(self, method: str, endpoint: str, status: int, stages: Stages) -> None:
        self.requests.labels(method, endpoint, str(status)).inc()
        self.seconds.observe(stages.total_ms / 1e3)
        if status >= 500:
            self.errors.inc()
