"""alaw: a lawyer searches precedents, and now and then has a case analysed after the search.

plimsoll run targets/alaw.toml --start --rate 3
locust -f loadtests/scenarios/alaw.py --host http://127.0.0.1:8997
"""

from pathlib import Path

from locust import between, task

from loadtests.response import Response
from loadtests.user import PlimsollUser


class Lawyer(PlimsollUser):
    contract = Path(__file__).parents[2] / "targets" / "alaw.toml"
    wait_time = between(1, 3)

    def search(self) -> Response:
        return self.client.post("/api/search", json={"query": self.data("query")}, name="search")

    @task(78)
    def look_up(self) -> None:
        self.search()

    @task(10)
    def analyse_after_search(self) -> None:
        """Whose search was refused has nothing to analyse."""
        if self.search():
            self.client.post("/api/analysis", json={"case_text": self.data("case_text")}, name="analysis")

    @task(7)
    def see_how_long_the_queue_is(self) -> None:
        self.client.get("/api/queue/status/json", name="queue_status")

    @task(5)
    def forget_the_query(self) -> None:
        """Refused before it takes a place in the queue."""
        with self.client.post(
            "/api/search", json={"query": ""}, name="search invalid", catch_response=True
        ) as response:
            if response.status_code == 422:
                response.success()
            elif response.status_code not in (429, 503):  # a limit's no stays what it is
                response.failure(f"an empty query got status {response.status_code}, not 422")
