"""encar: an employee asks the help desk's copilot; some questions everybody asks, and the cache knows them.

plimsoll run targets/encar.toml --start --rate 5
locust -f loadtests/scenarios/encar.py --host http://127.0.0.1:8000
"""

from pathlib import Path

from locust import between, task

from loadtests.response import Response
from loadtests.user import PlimsollUser


class Employee(PlimsollUser):
    contract = Path(__file__).parents[2] / "targets" / "encar.toml"
    wait_time = between(1, 3)

    def ask(self) -> Response:
        return self.client.post("/api/ask", json={"question": self.data("question")}, name="ask")

    @task(55)
    def ask_something_new(self) -> None:
        self.ask()

    @task(25)
    def ask_what_everybody_asks(self) -> None:
        """After the first time the answer comes from the cache, so it is timed under a name of its own."""
        self.client.post("/api/ask", json={"question": self.data("known_question")}, name="ask_known")

    @task(10)
    def rate_the_answer(self) -> None:
        answer = self.ask()
        if answer:
            feedback = {"question_id": answer.json()["question_id"], "rating": 4, "comment": "도움이 되었습니다."}
            self.client.post("/api/feedback", json=feedback, name="feedback")

    @task(5)
    def look_at_the_feedback(self) -> None:
        self.client.get("/api/feedback", name="feedback_summary")

    @task(3)
    def ask_far_too_long(self) -> None:
        """Over 500 characters: refused before the rate limit, the search and the LLM."""
        question = (self.data("question") + " 자세히 알려 주세요.") * 60
        with self.client.post(
            "/api/ask", json={"question": question[:501]}, name="ask invalid", catch_response=True
        ) as response:
            expect(response, 422)

    @task(2)
    def pry_into_feedback(self) -> None:
        """Admins only; these users are none."""
        with self.client.get("/api/feedback/detailed", name="feedback_detailed", catch_response=True) as response:
            expect(response, 403)


def expect(response: Response, status: int) -> None:
    """The refusal is the right answer; a limit's 429 or 503 stays what it is."""
    if response.status_code == status:
        response.success()
    elif response.status_code not in (429, 503):
        response.failure(f"invalid input got status {response.status_code}, not {status}")
