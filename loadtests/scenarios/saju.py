"""saju: somebody asks about the pillars of a birth date; many stay for a conversation, whose history goes along.

plimsoll run targets/saju.toml --start --rate 3
locust -f loadtests/scenarios/saju.py --host http://127.0.0.1:8000
"""

import time
from pathlib import Path
from typing import Any

import orjson
from locust import between, task

from loadtests.response import Response
from loadtests.user import PlimsollUser

FOLLOW_UPS = 2
READING_S = 1.0  # shorter than people read, so that a conversation stays near its stage of the load


class Visitor(PlimsollUser):
    contract = Path(__file__).parents[2] / "targets" / "saju.toml"
    wait_time = between(1, 3)

    def body(self, message: str, **more: Any) -> dict[str, Any]:
        return {"user_id": f"user-{self.identity}", "message": message, "history": [], **more}

    @task(35)
    def ask_once(self) -> None:
        self.client.post("/api/chat", json=self.body(self.data("message")), name="chat")

    @task(25)
    def ask_once_streamed(self) -> None:
        self.client.stream("POST", "/api/chat", json=self.body(self.data("message"), stream=True), name="chat_stream")

    @task(30)
    def converse(self) -> None:
        """A session: each turn carries what was said before; it ends where an answer does not come."""
        history: list[dict[str, str]] = []
        session: dict[str, str] = {}
        for turn in range(1 + FOLLOW_UPS):
            if turn:
                time.sleep(READING_S)
            message = self.data("follow_up", turn) if turn else self.data("message")
            body = self.body(message, stream=True, **session) | {"history": history}
            response = self.client.stream("POST", "/api/chat", json=body, name="chat_stream")
            if not response:
                return
            answer, session = read_stream(response)
            history = [*history, {"role": "user", "content": message}, {"role": "assistant", "content": answer}]

    @task(4)
    def send_a_script(self) -> None:
        self.refused("refused_script", self.body("<script>alert(1)</script> 제 사주를 봐 주세요"))

    @task(3)
    def write_too_much(self) -> None:
        """Over 1,000 characters."""
        self.refused("chat invalid", self.body((self.data("message") * 200)[:1001]))

    @task(3)
    def drag_a_long_history(self) -> None:
        """Over 100 turns."""
        history = [{"role": "user", "content": "그리고요?"}] * 101
        self.refused("chat invalid", self.body(self.data("message")) | {"history": history})

    def refused(self, name: str, body: dict[str, Any]) -> None:
        """422 is the right answer, given before the rate limit, the search and the LLM."""
        with self.client.post("/api/chat", json=body, name=name, catch_response=True) as response:
            if response.status_code == 422:
                response.success()
            elif response.status_code not in (429, 503):  # a limit's no stays what it is
                response.failure(f"invalid input got status {response.status_code}, not 422")


def read_stream(response: Response) -> tuple[str, dict[str, str]]:
    """The text of a streamed answer, and its session as the next turn's body names it."""
    pieces: list[str] = []
    session: dict[str, str] = {}
    for line in response.iter_lines():
        if not line.startswith(b"data: {"):
            continue
        event = orjson.loads(line[6:])
        if "session_id" in event:
            session = {"session_id": event["session_id"]}
        pieces += [choice["delta"].get("content") or "" for choice in event.get("choices", [])]
    return "".join(pieces)[:4000], session
