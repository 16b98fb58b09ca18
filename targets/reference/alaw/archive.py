"""The precedents in a database, and their BM25 cache file: slow to build, fast to load."""

import time
from itertools import islice
from pathlib import Path

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, create_engine, func, select

from targets.reference.alaw.precedents import Precedent, precedents
from targets.reference.alaw.settings import Settings
from targets.reference.corpora import build_once, cache_root
from targets.reference.database import create_tables, open_engine
from targets.reference.korean_search import Bm25, build_index

METADATA = MetaData()
PRECEDENTS = Table(
    "precedents",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("case_number", String(40), nullable=False),
    Column("court", String(40), nullable=False),
    Column("area", String(20), nullable=False),
    Column("decided", String(10), nullable=False),
    Column("title", String(200), nullable=False),
    Column("statutes", String(400), nullable=False),
    Column("text", Text, nullable=False),
)
BATCH = 1000


def _name(settings: Settings) -> str:
    return f"alaw-precedents-{settings.documents}-v1"


def _directory(settings: Settings) -> Path:
    return cache_root() / _name(settings)


def library_url(settings: Settings) -> str:
    """The database of the precedents; the SQLite file beside the cache is shared by all instances and only read."""
    return settings.database or f"sqlite:///file:{_directory(settings) / 'precedents.db'}?mode=ro&uri=true"


def build_library(settings: Settings) -> None:
    """Build what is missing: the database's rows and the BM25 cache file."""
    build_once(_name(settings), lambda path: _build(path, settings.documents), rebuild=settings.rebuild)
    if settings.database:
        create_tables("alaw", settings.database, METADATA)
        engine = open_engine(settings.database)
        with engine.connect() as connection:
            present = connection.execute(select(func.count()).select_from(PRECEDENTS)).scalar_one()
        if present < settings.documents:
            fill(engine, settings.documents)
        engine.dispose()


def _build(path: Path, documents: int) -> None:
    engine = create_engine(f"sqlite:///{path / 'precedents.db'}")
    METADATA.create_all(engine)
    fill(engine, documents)
    engine.dispose()
    build_index(searchable(precedent) for precedent in precedents(documents)).save(
        str(path / "bm25"), show_progress=False
    )


def fill(engine: Engine, documents: int) -> None:
    """Replace the rows of the table by the generated precedents."""
    with engine.begin() as connection:
        connection.execute(PRECEDENTS.delete())
        rows = ({"id": number, **row._asdict()} for number, row in enumerate(precedents(documents)))
        while batch := list(islice(rows, BATCH)):
            connection.execute(PRECEDENTS.insert(), batch)


def searchable(precedent: Precedent) -> str:
    return f"{precedent.title} {precedent.statutes} {precedent.text}"


class Library:
    """An opened database and a loaded index. `loaded_in_s`: how long the cache file took to load."""

    def __init__(self, settings: Settings) -> None:
        begin_s = time.perf_counter()
        self.index = Bm25.load(_directory(settings) / "bm25")
        self.loaded_in_s = time.perf_counter() - begin_s
        self.engine = open_engine(library_url(settings), pool_size=10, read_only=True)

    def fetch(self, ids: list[int]) -> dict[int, dict[str, str]]:
        """Rows by id."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(PRECEDENTS).where(PRECEDENTS.c.id.in_(ids))).mappings()
            return {row["id"]: dict(row) for row in rows}
