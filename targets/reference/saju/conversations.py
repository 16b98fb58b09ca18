"""Sessions and messages, in the team's database."""

import time

from sqlalchemy import Column, Engine, Float, Integer, MetaData, String, Table, Text, select

METADATA = MetaData()
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("user_id", String(50), nullable=False),
    Column("started_unix_s", Float, nullable=False),
)
MESSAGES = Table(
    "messages",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("session_id", String(36), nullable=False, index=True),
    Column("role", String(10), nullable=False),
    Column("content", Text, nullable=False),
    Column("said_unix_s", Float, nullable=False),
)


def save_turn(engine: Engine, session_id: str, user_id: str, message: str, answer: str) -> None:
    """Keep what was said and answered; the session is made at its first turn."""
    now_s = time.time()
    said = (("user", message), ("assistant", answer))
    rows = [
        {"session_id": session_id, "role": role, "content": content, "said_unix_s": now_s} for role, content in said
    ]
    with engine.begin() as connection:
        if connection.execute(select(SESSIONS.c.id).where(SESSIONS.c.id == session_id)).first() is None:
            row = {"id": session_id, "user_id": user_id, "started_unix_s": now_s}
            connection.execute(SESSIONS.insert().values(row))
        connection.execute(MESSAGES.insert(), rows)
