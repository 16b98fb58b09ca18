"""The same task with our client: only the base class differs."""

from locust import constant, task

from loadtests.user import PlimsollUser


class Ours(PlimsollUser):
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        self.client.post("/api/ask", json={"question": "hello there how are you"})
