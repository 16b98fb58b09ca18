"""Search and analysis of precedents: BM25, then a second look at the best by phrase and proximity."""

import re
from collections import Counter
from typing import Any

import numpy as np

from targets.reference.alaw.archive import Library
from targets.reference.korean_search import tokens

RERANKED = 60
SNIPPET_CHARACTERS = 160
SUMMARY_SENTENCES = 4
DAMPING = 0.85  # TextRank (Mihalcea and Tarau 2004) uses PageRank's
_SENTENCE = re.compile(r"(?<=[.?!])\s+|\n+")
_STATUTE = re.compile(r"[가-힣 ]{1,30}?(?:법|법률)\s*제\d+조(?:의\d+)?(?:\s*제\d+항)?")
_AMOUNT = re.compile(r"\d[\d,]*\s*만?\s*원")
_DATE = re.compile(r"\d{4}년(?:\s*\d{1,2}월)?(?:\s*\d{1,2}일)?|\d{4}-\d{2}-\d{2}")


def search(library: Library, query: str, limit: int = 10) -> list[dict[str, Any]]:
    """The best `limit` precedents with a score and a snippet."""
    candidates = library.index.search(query, RERANKED)
    rows = library.fetch([number for number, _ in candidates])
    wanted = list(dict.fromkeys(tokens(query)))
    scored = [
        (score * (1.0 + closeness(tokens(rows[number]["text"]), wanted)), rows[number]) for number, score in candidates
    ]
    scored.sort(key=lambda item: (-item[0], item[1]["id"]))
    return [
        {
            **{key: row[key] for key in ("case_number", "court", "area", "decided", "title", "statutes")},
            "score": round(score, 4),
            "snippet": snippet(row["text"], wanted),
        }
        for score, row in scored[:limit]
    ]


def closeness(text: list[str], wanted: list[str]) -> float:
    """0 to 1: the share of the wanted words that is there, times how densely they stand where they stand closest."""
    last = dict.fromkeys(wanted, -1)
    found, best = 0, 0
    for here, word in enumerate(text):
        if word not in last:
            continue
        new = last[word] < 0
        last[word] = here
        found += new
        passage = here - min(place for place in last.values() if place >= 0) + 1
        best = passage if new else min(best, passage)
    if not found:
        return 0.0
    return found / len(wanted) * found / best


def snippet(text: str, wanted: list[str]) -> str:
    """The stretch of text with most of the wanted words."""
    starts = [match.start() for word in wanted for match in re.finditer(re.escape(word), text)]
    if not starts:
        return text[:SNIPPET_CHARACTERS]
    best = max(starts, key=lambda start: sum(start <= other < start + SNIPPET_CHARACTERS for other in starts))
    return text[best : best + SNIPPET_CHARACTERS]


def analyse(library: Library, case_text: str) -> dict[str, Any]:
    """What the case is about: summary, statutes, amounts, dates, keywords, and precedents that resemble it."""
    sentences = [sentence.strip() for sentence in _SENTENCE.split(case_text) if len(sentence.strip()) > 1]
    words = [tokens(sentence) for sentence in sentences]
    keywords = [word for word, _ in Counter(w for part in words for w in part if len(w) > 1).most_common(12)]
    return {
        "summary": [sentences[place] for place in sorted(text_rank(words)[:SUMMARY_SENTENCES])],
        "keywords": keywords,
        "statutes": list(dict.fromkeys(" ".join(found.split()) for found in _STATUTE.findall(case_text))),
        "amounts": list(dict.fromkeys(_AMOUNT.findall(case_text))),
        "dates": list(dict.fromkeys(_DATE.findall(case_text))),
        "precedents": search(library, " ".join(keywords), limit=5) if keywords else [],
    }


def text_rank(sentences: list[list[str]], rounds: int = 30) -> list[int]:
    """Places of the sentences, most central first: PageRank over how many words two sentences share.

    Weight of an edge: |shared| / (ln|a| + ln|b|), Mihalcea and Tarau 2004, section 4.1.
    """
    n = len(sentences)
    sets = [set(sentence) for sentence in sentences]
    weight = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            shared = len(sets[i] & sets[j])
            if shared:
                weight[i, j] = weight[j, i] = shared / (np.log(len(sets[i]) + 1) + np.log(len(sets[j]) + 1))
    out = weight.sum(axis=1, keepdims=True)
    share = np.divide(weight, out, out=np.zeros_like(weight), where=out > 0)
    rank = np.ones(n)
    for _ in range(rounds):
        rank = (1 - DAMPING) + DAMPING * share.T @ rank
    return [int(place) for place in np.argsort(-rank, kind="stable")]
