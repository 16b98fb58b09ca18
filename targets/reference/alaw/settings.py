"""What alaw can be told, and how it is started."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

from pydantic import Field

from targets.reference.launch import Service, url
from targets.reference.settings import ServiceSettings

PROBE_TIMEOUT_S = 5.0


class QueueLimit(NamedTuple):
    max_concurrent: int
    max_queue_size: int
    timeout_s: float


DEFAULTS = {"search": QueueLimit(2, 10, 30), "case_analysis": QueueLimit(1, 5, 60)}
TUNED = {"search": QueueLimit(3, 20, 60), "case_analysis": QueueLimit(2, 15, 120)}


class Settings(ServiceSettings):
    """Options of `plimsoll serve alaw`. A queue's limits are the defaults of its team unless given."""

    documents: int = Field(default=30_000, ge=100, le=1_000_000, description="precedents in the corpus")
    rebuild: bool = Field(default=False, description="build the BM25 cache file again")
    database: str = Field(default="", description="SQLAlchemy URL of the precedents; empty: SQLite beside the cache")
    tuned: bool = Field(
        default=False, description="its team's tuned queue limits: search 3, 20, 60 s; analysis 2, 15, 120 s"
    )
    search_max_concurrent: int | None = Field(default=None, ge=1)
    search_max_queue_size: int | None = Field(default=None, ge=0)
    search_timeout_s: float | None = Field(default=None, gt=0)
    case_analysis_max_concurrent: int | None = Field(default=None, ge=1)
    case_analysis_max_queue_size: int | None = Field(default=None, ge=0)
    case_analysis_timeout_s: float | None = Field(default=None, gt=0)
    planted_wait_ms: float = Field(
        default=0, ge=0, le=10_000, description="every job waits so long more on average (exponential): a far database"
    )
    memory_warning_mib: float = Field(default=1024, gt=0)
    restart_check_s: float = Field(default=300, gt=0)
    self_restart: bool = True
    full_queue_is_unhealthy: bool = True
    proxy_limits_health: bool = True

    def queue_limits(self) -> dict[str, QueueLimit]:
        """By queue name: search and case_analysis."""
        found = {}
        for name, usual in (TUNED if self.tuned else DEFAULTS).items():
            given = {field: getattr(self, f"{name}_{field}") for field in QueueLimit._fields}
            found[name] = usual._replace(**{field: value for field, value in given.items() if value is not None})
        return found


def _prepare(settings: Settings) -> None:
    from targets.reference.alaw.archive import build_library

    build_library(settings)


def _front(settings: Settings, listen: tuple[str, int], backend: tuple[str, int]) -> str:
    from targets.reference.front import RequestLimit, nginx_config

    unlimited = ("/",) if settings.proxy_limits_health else ("/", "/api/queue/health")
    return nginx_config(RequestLimit("10r/s", burst=20, path="/api/"), listen, backend, unlimited)


def _restart_when_unhealthy(settings: Settings, address: tuple[str, int], restart: Callable[[], None]) -> None:
    """The watchdog of its team's container, in a thread of the parent process."""
    if not settings.self_restart:
        return

    def watch() -> None:
        while settings.work_dir.exists():
            time.sleep(settings.restart_check_s)
            try:
                with urllib.request.urlopen(f"{url(*address)}/api/queue/health", timeout=PROBE_TIMEOUT_S):
                    continue
            except (urllib.error.URLError, OSError):
                restart()

    threading.Thread(target=watch, daemon=True, name="restart-when-unhealthy").start()


SERVICE = Service(
    name="alaw",
    settings=Settings,
    prepare=_prepare,
    describe=lambda settings: f"{settings.documents} precedents",
    needs_upstream=False,
    front_config=_front,
    watch=_restart_when_unhealthy,
)
