"""kakao's Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from targets.reference.telemetry import LATENCY_BUCKETS_S
from targets.reference.timing import Stages


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "kakao_requests", "Requests answered", ["method", "endpoint", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "kakao_request_seconds", "Time to answer", ["endpoint"], buckets=LATENCY_BUCKETS_S, registry=self.registry
        )
        self.stage_seconds = Histogram(
            "kakao_stage_seconds", "Time in a stage", ["stage"], buckets=LATENCY_BUCKETS_S, registry=self.registry
        )
        self.cache = Counter(
            "kakao_cache_operations", "Look-ups in the caches", ["cache", "result"], registry=self.registry
        )
        self.tokens = Counter("kakao_upstream_tokens", "Tokens paid for", ["direction"], registry=self.registry)
        self.templates = Counter("kakao_templates", "Templates drafted", ["approved"], registry=self.registry)

    def observe_request(self, method: str, endpoint: str, status: int, stages: Stages) -> None:
        self.requests.labels(method, endpoint, str(status)).inc()
        self.seconds.labels(endpoint).observe(stages.total_ms / 1e3)
        for stage, ms in stages.spent_ms.items():
            self.stage_seconds.labels(stage).observe(ms / 1e3)

    def observe_cache(self, kind: str, hit: bool) -> None:
        self.cache.labels(kind, "hit" if hit else "miss").inc()
