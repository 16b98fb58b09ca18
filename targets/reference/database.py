"""The team's database behind one SQLAlchemy URL; SQLite in the instance's directory by default."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, Table, create_engine, event, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from starlette.requests import Request
from starlette.responses import JSONResponse

from targets.reference.settings import refuse


def database_url(given: str, work_dir: Path, name: str) -> str:
    return given or f"sqlite:///{work_dir / name}"


def open_engine(url: str, pool_size: int = 5, *, read_only: bool = False) -> Engine:
    """An engine; SQLite gets a write-ahead log and waits up to 5 s for a lock, so that several workers can write."""
    engine = create_engine(url, pool_size=pool_size, pool_pre_ping=True)
    if engine.dialect.name == "sqlite" and not read_only:

        @event.listens_for(engine, "connect")
        def configure(connection: Any, record: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA busy_timeout=5000")

    return engine


def create_tables(service: str, url: str, metadata: MetaData) -> None:
    """Create what is missing; a database that cannot be used ends in one sentence and exit code 2."""
    try:
        engine = open_engine(url)
        metadata.create_all(engine)
        engine.dispose()
    except (ArgumentError, NoSuchModuleError, ImportError, SQLAlchemyError) as error:
        refuse(f"{service}: the database {without_password(url)} cannot be used: {_reason(error)}.")


def without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "that was given"


async def database_failed(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for SQLAlchemyError: 503 and the database's own words."""
    return JSONResponse({"detail": f"database: {_reason(error)}"}, status_code=503)


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]


class Probe:
    """Asks a database for a row over a new connection each time, as a health check must: a pooled one may live on."""

    def __init__(self, url: str, table: Table) -> None:
        self._engine = create_engine(url, poolclass=NullPool)
        self._query = select(table).limit(1)

    def state(self) -> str:
        """ "ok", or what went wrong."""
        try:
            with self._engine.connect() as connection:
                connection.execute(self._query).first()
        except SQLAlchemyError as error:
            return _reason(error)
        return "ok"
