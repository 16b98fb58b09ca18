"""saju's Prometheus metrics, under its team's names, and what its traps cost."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from targets.reference.telemetry import LATENCY_BUCKETS_S
from targets.reference.timing import Stages


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("saju_requests", "Requests answered", ["method", "endpoint"], registry=self.registry)
        self.seconds = Histogram(
            "saju_request_duration_seconds", "Time to answer", buckets=LATENCY_BUCKETS_S, registry=self.registry
        )
        self.sessions = Gauge(
            "saju_active_sessions",
            "Sessions of the last 30 minutes",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.calculations = Counter("saju_calculations", "Four pillars computed", registry=self.registry)
        self.tokens = Counter("saju_llm_tokens", "Tokens paid for", ["purpose", "direction"], registry=self.registry)
        self.health_calls = Counter(
            "saju_health_llm_calls", "Completions paid for by health checks", registry=self.registry
        )
        self.addresses = Gauge(
            "saju_limiter_addresses",
            "Addresses in the rate limiter's table",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def observe_request(self, method: str, endpoint: str, status: int, stages: Stages) -> None:
        self.requests.labels(method, endpoint).inc()
        self.seconds.observe(stages.total_ms / 1e3)
