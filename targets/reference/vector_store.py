"""An embedded Chroma collection on disk, with embeddings that we supply: nothing is downloaded, nothing reported."""

import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH = 500


@dataclass(frozen=True, slots=True)
class Match:
    """`score` is the cosine similarity, 1 = the same direction."""

    id: str
    document: str
    metadata: dict[str, Any]
    score: float


def embedding_version() -> str:
    """Eight hex digits that change when our embeddings do: a stored collection fits only the one it was built with."""
    from targets.reference.embedding import embed

    return f"{zlib.crc32(embed(['알림톡 template 0123']).tobytes()):08x}"


def _client(path: Path) -> Any:
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(path=str(path), settings=Settings(anonymized_telemetry=False))


def build_collection(
    path: Path,
    name: str,
    *,
    ids: Sequence[str],
    documents: Sequence[str],
    metadatas: Sequence[dict[str, Any]],
    embeddings: Any,
) -> None:
    """Write a collection to `path`. `embeddings`: one row of floats per document."""
    collection = _client(path).create_collection(
        name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    for start in range(0, len(ids), BATCH):
        part = slice(start, start + BATCH)
        collection.add(
            ids=list(ids[part]),
            documents=list(documents[part]),
            metadatas=list(metadatas[part]),
            embeddings=embeddings[part],
        )


def own_copy(built: Path, work_dir: Path) -> Path:
    """A copy of a built collection for one instance, made once: Chroma writes to the directory that it opens."""
    own = work_dir / "chroma"
    if not own.exists():
        shutil.copytree(built, own)
    return own


class VectorStore:
    """One collection, opened for reading. `query` is synchronous: it holds the thread that calls it."""

    def __init__(self, path: Path, name: str) -> None:
        self._collection = _client(path).get_collection(name, embedding_function=None)
        stored = self._collection.get(limit=1, include=["embeddings"])
        self.query(stored["embeddings"][0], k=1)  # the first query loads the index

    def count(self) -> int:
        return int(self._collection.count())

    def query(self, embedding: Sequence[float], k: int) -> list[Match]:
        found = self._collection.query(
            query_embeddings=[embedding], n_results=k, include=["documents", "metadatas", "distances"]
        )
        rows = zip(found["ids"][0], found["documents"][0], found["metadatas"][0], found["distances"][0], strict=True)
        return [Match(id, document, dict(metadata), 1.0 - distance) for id, document, metadata, distance in rows]
