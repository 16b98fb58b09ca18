"""What an ordinary Locust user writes with Locust's fast client."""

from locust import FastHttpUser, constant, task


class Stock(FastHttpUser):
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        self.client.post("/api/ask", json={"question": "hello there how are you"})
