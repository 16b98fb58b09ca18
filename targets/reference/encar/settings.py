"""What encar can be told, and how it is started."""

from pathlib import Path

from pydantic import Field

from targets.reference.launch import Service
from targets.reference.settings import ServiceSettings

USERS_FILE = Path(__file__).parents[2] / "data" / "encar_users.json"
STAGING_LIMITS = "10/minute;100/hour"
PRODUCTION_LIMITS = "20/minute;200/hour"


class Settings(ServiceSettings):
    """Options of `plimsoll serve encar`."""

    upstream: str = Field(default="", description="base URL of the LLM: /v1/chat/completions")
    upstream_connections: int = Field(default=100, ge=1)
    upstream_timeout_s: float = Field(default=30.0, gt=0)
    model: str = "gpt-4o-mini"
    max_tokens: int = Field(default=300, ge=1)
    database: str = Field(default="", description="SQLAlchemy URL; empty: SQLite in the instance's directory")
    users: Path = Field(default=USERS_FILE, description="JSON list of {id, role, token}")
    faq_entries: int = Field(default=1500, ge=20, le=1500)
    production: bool = Field(default=False, description="20 per minute and 200 per hour instead of 10 and 100")
    limits: str = Field(default="", description='other limits, such as "5/minute;50/hour"')
    cache_ttl_s: float = Field(default=600, ge=0, description="lifetime of a cached answer; 0: no cache")
    min_free_disk_gib: float = Field(default=1.0, ge=0)
    limit_per_process: bool = True

    @property
    def rate_limits(self) -> str:
        return self.limits or (PRODUCTION_LIMITS if self.production else STAGING_LIMITS)

    @property
    def database_url(self) -> str:
        from targets.reference.database import database_url

        return database_url(self.database, self.work_dir, "encar.db")


def _prepare(settings: Settings) -> None:
    from targets.reference.database import create_tables
    from targets.reference.encar.feedback import METADATA
    from targets.reference.encar.users import read_users
    from targets.reference.rate_limits import METADATA as LIMITS_METADATA
    from targets.reference.rate_limits import require_limits

    require_limits("encar", settings.rate_limits)
    read_users(settings.users)
    create_tables("encar", settings.database_url, METADATA)
    create_tables("encar", settings.database_url, LIMITS_METADATA)


SERVICE = Service(
    name="encar",
    settings=Settings,
    prepare=_prepare,
    describe=lambda settings: f"upstream {settings.upstream}",
)
