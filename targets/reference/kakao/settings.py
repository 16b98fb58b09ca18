"""What kakao can be told, and how it is started."""

from pydantic import Field

from targets.reference.launch import Service
from targets.reference.settings import ServiceSettings
from targets.reference.upstream import LOCAL_EMBEDDINGS


class Settings(ServiceSettings):
    """Options of `plimsoll serve kakao`; lifetimes of the caches are its team's."""

    upstream: str = Field(default="", description="base URL of the LLM: /v1/messages and /v1/embeddings")
    upstream_connections: int = Field(default=200, ge=1)
    upstream_timeout_s: float = Field(default=30.0, gt=0)
    model: str = "claude-sonnet"
    embedding_model: str = Field(default="text-embedding-3-small", description=LOCAL_EMBEDDINGS)
    max_tokens: int = Field(default=400, ge=1)
    policies: int = Field(default=2400, ge=50, le=100_000)
    rebuild: bool = False
    cache: bool = True
    redis: str = Field(default="", description="URL of a Redis that all workers share; empty: a cache per worker")
    policy_ttl_s: float = 3600
    template_ttl_s: float = 1800
    analysis_ttl_s: float = 900
    temp_ttl_s: float = 300
    retrieval_on_event_loop: bool = True
    planted_delay_ms: float | None = Field(default=None, ge=0, le=10_000, description="every answer so much later")
    planted_cpu_ms: float | None = Field(default=None, ge=0, le=10_000, description="CPU time more per answer")
    planted_memory_mib: float | None = Field(default=None, ge=0, le=16_384, description="memory held by each worker")


def _prepare(settings: Settings) -> None:
    from targets.reference.caching import require_redis_client
    from targets.reference.kakao.corpus import policy_collection
    from targets.reference.vector_store import own_copy

    require_redis_client("kakao", settings.redis)
    own_copy(policy_collection(settings.policies, rebuild=settings.rebuild), settings.work_dir)


SERVICE = Service(
    name="kakao",
    settings=Settings,
    prepare=_prepare,
    describe=lambda settings: f"upstream {settings.upstream}",
    preload=("chromadb",),
)
