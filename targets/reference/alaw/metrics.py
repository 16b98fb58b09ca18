"""alaw's Prometheus metrics, under its team's names."""

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from targets.reference.alaw.jobs import Jobs
from targets.reference.telemetry import LATENCY_BUCKETS_S
from targets.reference.timing import Stages


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._process = psutil.Process()
        self._process.cpu_percent(None)
        self.requests = Counter("app_requests", "Requests answered", ["method", "endpoint"], registry=self.registry)
        self.seconds = Histogram(
            "app_request_duration_seconds",
            "Time to answer",
            ["method", "endpoint"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.memory = Gauge(
            "app_memory_usage_bytes", "Resident memory", registry=self.registry, multiprocess_mode="livesum"
        )
        self.cpu = Gauge(
            "app_cpu_usage_percent",
            "CPU since the last scrape, 100 = one core",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.pending = Gauge(
            "app_queue_pending", "Jobs that wait", ["queue"], registry=self.registry, multiprocess_mode="mostrecent"
        )
        self.running = Gauge(
            "app_queue_running", "Jobs that run", ["queue"], registry=self.registry, multiprocess_mode="mostrecent"
        )

    def observe_request(self, method: str, endpoint: str, status: int, stages: Stages) -> None:
        self.requests.labels(method, endpoint).inc()
        self.seconds.labels(method, endpoint).observe(stages.total_ms / 1e3)

    @property
    def memory_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    def read(self, jobs: Jobs) -> None:
        """Bring the gauges up to date, before a scrape."""
        self.memory.set(self.memory_bytes)
        self.cpu.set(self._process.cpu_percent(None))
        for queue, status in jobs.status().items():
            self.pending.labels(queue).set(status["pending"])
            self.running.labels(queue).set(status["running"])
