"""What saju can be told, and how it is started."""

from pydantic import Field

from targets.reference.launch import Service
from targets.reference.settings import ServiceSettings
from targets.reference.upstream import LOCAL_EMBEDDINGS


class Settings(ServiceSettings):
    """Options of `plimsoll serve saju`."""

    upstream: str = Field(default="", description="base URL of the LLM: /v1/chat/completions and /v1/embeddings")
    upstream_connections: int = Field(default=100, ge=1)
    upstream_timeout_s: float = Field(default=30.0, gt=0)
    production: bool = Field(default=False, description="gpt-4 instead of gpt-3.5-turbo")
    embedding_model: str = Field(default="text-embedding-3-small", description=LOCAL_EMBEDDINGS)
    max_tokens: int = Field(default=300, ge=1)
    database: str = Field(default="", description="SQLAlchemy URL (its team: MySQL); empty: SQLite of this instance")
    redis: str = Field(default="", description="URL of a Redis for sessions; empty: a table per worker")
    knowledge: int = Field(default=1800, ge=50, le=50_000, description="entries of the knowledge base")
    rebuild: bool = False
    requests_per_minute: int = Field(default=100, ge=1, description="per address, then 429")
    health_calls_paid_llm: bool = True
    limit_by_peer_address: bool = True
    limiter_never_forgets: bool = True
    proxy_limits_health: bool = True

    @property
    def model(self) -> str:
        return "gpt-4" if self.production else "gpt-3.5-turbo"

    @property
    def database_url(self) -> str:
        from targets.reference.database import database_url

        return database_url(self.database, self.work_dir, "saju.db")


def _prepare(settings: Settings) -> None:
    from targets.reference.caching import require_redis_client
    from targets.reference.database import create_tables
    from targets.reference.saju.conversations import METADATA
    from targets.reference.saju.knowledge import knowledge_collection
    from targets.reference.vector_store import own_copy

    require_redis_client("saju", settings.redis)
    create_tables("saju", settings.database_url, METADATA)
    own_copy(knowledge_collection(settings.knowledge, rebuild=settings.rebuild), settings.work_dir)


def _front(settings: Settings, listen: tuple[str, int], backend: tuple[str, int]) -> str:
    from targets.reference.front import RequestLimit, nginx_config

    unlimited = () if settings.proxy_limits_health else ("/health", "/metrics")
    return nginx_config(RequestLimit("10r/m", burst=20, path="/"), listen, backend, unlimited)


SERVICE = Service(
    name="saju",
    settings=Settings,
    prepare=_prepare,
    describe=lambda settings: f"upstream {settings.upstream}",
    preload=("chromadb",),
    front_config=_front,
)
