"""kakao: a marketer looks up the policy and then has a template drafted; others only look up.

plimsoll run targets/kakao.toml --start --rate 10
locust -f loadtests/scenarios/kakao.py --host http://127.0.0.1:8000
"""

from pathlib import Path

from locust import between, task

from loadtests.user import PlimsollUser


class Marketer(PlimsollUser):
    contract = Path(__file__).parents[2] / "targets" / "kakao.toml"
    wait_time = between(1, 3)

    def search_policies(self) -> None:
        query = self.data("query")
        self.client.get("/api/v1/policies/search", params={"q": query, "k": 5}, name="search")

    @task(60)
    def look_up(self) -> None:
        self.search_policies()

    @task(35)
    def draft(self) -> None:
        self.search_policies()
        request = {"user_request": self.data("user_request")}
        self.client.post("/api/v1/templates/generate", json=request, name="generate")

    @task(5)
    def forget_the_request(self) -> None:
        """Invalid input must be refused cheaply and correctly."""
        with self.client.post(
            "/api/v1/templates/generate", json={"user_request": ""}, name="generate invalid", catch_response=True
        ) as response:
            if response.status_code == 422:
                response.success()
            else:
                response.failure(f"an empty request got status {response.status_code}, not 422")
