"""What a chat request may look like."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

_SCRIPT = re.compile(
    r"<\s*/?\s*(?:script|iframe|object|embed|svg|img)\b|javascript\s*:|\bon(?:error|load|click|mouseover)\s*=",
    re.IGNORECASE,
)


def _without_script(text: str) -> str:
    if _SCRIPT.search(text):
        raise ValueError("script-like content is refused")
    return text


Said = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_without_script)]


class Turn(BaseModel):
    role: Literal["user", "assistant"]
    content: Annotated[str, Field(max_length=4000), AfterValidator(_without_script)]


class Chat(BaseModel):
    user_id: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,50}$")
    session_id: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9-]{1,36}$")
    message: Said
    history: list[Turn] = Field(default=[], max_length=100)
    stream: bool = Field(default=False, description="answer as server-sent events")
