"""Questions and what users thought of the answers, in the team's database."""

import time
from typing import Any

from sqlalchemy import Column, Engine, Float, ForeignKey, Integer, MetaData, String, Table, Text, func, select

METADATA = MetaData()
QUESTIONS = Table(
    "questions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", String(80), nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("asked_unix_s", Float, nullable=False),
)
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("question_id", ForeignKey("questions.id"), nullable=False),
    Column("user_id", String(80), nullable=False),
    Column("rating", Integer, nullable=False),
    Column("comment", Text, nullable=False),
)


def save_question(engine: Engine, user_id: str, question: str, answer: str) -> int:
    """The new question's number."""
    row = {"user_id": user_id, "question": question, "answer": answer, "asked_unix_s": time.time()}
    with engine.begin() as connection:
        key = connection.execute(QUESTIONS.insert().values(row)).inserted_primary_key
        assert key is not None
        return int(key[0])


def save_feedback(engine: Engine, question_id: int, user_id: str, rating: int, comment: str) -> bool:
    """False when there is no such question."""
    with engine.begin() as connection:
        if connection.execute(select(QUESTIONS.c.id).where(QUESTIONS.c.id == question_id)).first() is None:
            return False
        row = {"question_id": question_id, "user_id": user_id, "rating": rating, "comment": comment}
        connection.execute(FEEDBACK.insert().values(row))
        return True


def summary(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        count, mean = connection.execute(select(func.count(), func.avg(FEEDBACK.c.rating)).select_from(FEEDBACK)).one()
    return {"count": count, "mean_rating": None if mean is None else float(mean)}


def detailed(engine: Engine, newest: int = 200) -> list[dict[str, Any]]:
    query = (
        select(FEEDBACK, QUESTIONS.c.question, QUESTIONS.c.answer)
        .join(QUESTIONS, QUESTIONS.c.id == FEEDBACK.c.question_id)
        .order_by(FEEDBACK.c.id.desc())
        .limit(newest)
    )
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
