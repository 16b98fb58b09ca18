"""BM25 over Korean and English text: the tokenizer, and an index that is built once and loaded from disk."""

import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_WORD = re.compile(r"[가-힣]+|[a-z]+|\d+")
_PARTICLES = (
    "으로부터", "에게서", "이라고", "에서는", "으로는", "까지는", "에서", "에게", "으로", "부터", "까지", "하고",
    "이나", "라고", "이며", "지만", "은", "는", "이", "가", "을", "를", "의", "에", "로", "도", "와", "과", "만",
)  # fmt: skip
_ENDINGS = (
    "하였습니다", "했습니다", "합니다", "됩니다", "습니다", "하나요", "되나요", "인가요", "세요", "어요", "아요",
    "하여", "하는", "한다", "하고", "되는", "된다", "되어", "할", "한",
)  # fmt: skip


def tokens(text: str) -> list[str]:
    """Words without particles and endings, and for Hangul words of 3 syllables or more also their syllable pairs."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        stem = _stem(word)
        found.append(stem)
        if len(stem) > 2 and "가" <= stem[0] <= "힣":
            found.extend(stem[i : i + 2] for i in range(len(stem) - 1))
    return found


def _stem(word: str) -> str:
    if not "가" <= word[0] <= "힣":
        return word
    for endings in (_ENDINGS, _PARTICLES):
        for ending in endings:
            if len(word) > len(ending) + 1 and word.endswith(ending):
                return word[: -len(ending)]
    return word


def build_index(texts: Iterable[str]) -> Any:
    """A bm25s index over the texts, in their order."""
    import bm25s
    from tqdm import tqdm  # type: ignore[import-untyped]

    tqdm.set_lock(threading.RLock())  # its default is a semaphore of the system, which a stopped worker leaves behind
    index = bm25s.BM25(k1=1.5, b=0.75)
    index.index([tokens(text) for text in texts], show_progress=False)
    return index


class Bm25:
    """The `k` best texts for a query. Synchronous; the scoring is numpy's."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def load(cls, path: Path) -> "Bm25":
        import bm25s

        return cls(bm25s.BM25.load(str(path), mmap=True))

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """(position of the text, score), best first; texts that share nothing with the query are left out."""
        known: Sequence[str] = [token for token in tokens(query) if token in self._index.vocab_dict]
        if not known:
            return []
        scores = self._index.get_scores(known)
        import numpy as np

        k = min(k, len(scores))
        best = np.argpartition(scores, -k)[-k:]
        ordered = best[np.argsort(-scores[best], kind="stable")]
        return [(int(position), float(scores[position])) for position in ordered if scores[position] > 0]
