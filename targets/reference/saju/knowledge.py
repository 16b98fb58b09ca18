"""What the chatbot knows: readings by day master, month and matter, generated from a seed, in a Chroma collection."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from targets.reference.corpora import build_once

SEED = 20240904
COLLECTION = "saju_knowledge"

DAY_MASTERS = ("갑목", "을목", "병화", "정화", "무토", "기토", "경금", "신금", "임수", "계수")
MATTERS = (
    "연애운",
    "재물운",
    "직장운",
    "건강운",
    "학업운",
    "가족운",
    "이사운",
    "시험운",
    "사업운",
    "대인관계",
    "이직운",
    "여행운",
)
SEASONS = ("봄", "여름", "가을", "겨울", "환절기")
STRENGTHS = ("신강한", "신약한", "중화된")
READINGS = (
    "{master} 일간이 {season}에 태어나면 {matter}에서 {strength} 기운이 먼저 드러나므로 서두르지 않는 것이 좋습니다.",
    "{matter}을 볼 때는 {master}을 돕는 오행과 누르는 오행의 균형을 함께 살펴야 합니다.",
    "용신이 {element}일 때에는 {matter}의 흐름이 {season} 이후에 풀리는 경우가 많습니다.",
    "{strength} 사주는 {matter}에서 주변의 도움을 받을 때 더 크게 성장합니다.",
    "대운이 {element}으로 바뀌는 시기에는 {matter}에 관한 결정을 한 번 더 검토하십시오.",
    "{master}은 {season}의 습기와 온기에 민감하여 {matter}이 계절을 따라 움직입니다.",
    "합과 충이 함께 들어오면 {matter}에서 만남과 헤어짐이 잦아질 수 있습니다.",
    "{element} 기운이 지나치면 {matter}보다 건강을 먼저 챙기는 편이 이롭습니다.",
)
ELEMENT_NAMES = ("목", "화", "토", "금", "수")


class Entry(NamedTuple):
    id: str
    text: str
    day_master: str
    matter: str


def entries(count: int) -> Iterator[Entry]:
    """The first `count` entries: day masters × matters × seasons × strengths."""
    draw = random.Random(SEED)
    for number in range(count):
        master = DAY_MASTERS[number % 10]
        matter = MATTERS[number // 10 % len(MATTERS)]
        season = SEASONS[number // 120 % len(SEASONS)]
        strength = STRENGTHS[number // 600 % len(STRENGTHS)]
        sentences = [
            reading.format(
                master=master, matter=matter, season=season, strength=strength, element=draw.choice(ELEMENT_NAMES)
            )
            for reading in draw.sample(READINGS, draw.randint(3, 5))
        ]
        text = f"{master} 일간 {season}생 {strength} 사주의 {matter}. {' '.join(sentences)}"
        yield Entry(f"saju-{number:05d}", text, master, matter)


def knowledge_collection(count: int, *, rebuild: bool = False) -> Path:
    """Directory of the collection with `count` entries, built at the first call on a machine."""
    from targets.reference.vector_store import embedding_version

    name = f"saju-knowledge-{count}-v1-{embedding_version()}"
    return build_once(name, lambda path: _build(path, count), rebuild=rebuild)


def _build(path: Path, count: int) -> None:
    from targets.reference.embedding import embed
    from targets.reference.vector_store import build_collection

    rows = list(entries(count))
    build_collection(
        path,
        COLLECTION,
        ids=[row.id for row in rows],
        documents=[row.text for row in rows],
        metadatas=[{"day_master": row.day_master, "matter": row.matter} for row in rows],
        embeddings=embed([row.text for row in rows]),
    )
