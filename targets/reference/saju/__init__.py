"""saju: a fortune-telling chatbot; computes the four pillars of a birth date and lets an LLM talk about them.

`serve` runs it; `app.create_app` is the ASGI factory; `TRAPS` names what is built in on purpose.
"""

TRAPS = {
    "health_calls_paid_llm": (
        "/health and /health/ready ask the paid LLM for a completion at every probe; its team's 3 replicas are probed "
        "every 5 s (readiness) and every 10 s (liveness, also on /health). Off: they list its models, which is free."
    ),
    "limit_by_peer_address": (
        "The rate limit keys on request.client.host, so behind nginx all users share one bucket. "
        "Off: behind nginx it keys on X-Real-IP."
    ),
    "limiter_never_forgets": (
        "The limiter's table keeps every address it ever saw: a slow leak. Off: addresses expire with their window."
    ),
    "proxy_limits_health": (
        "With nginx in front, its 10 requests a minute cover /health and /metrics too. Off: these are exempt."
    ),
}


def serve(
    port: int,
    workers: int = 1,
    host: str = "127.0.0.1",
    *,
    upstream: str | None = None,
    front: str | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Run saju in the foreground until SIGINT or SIGTERM; port 0 takes a free one, printed in the ready line.

    Without `upstream` an emulated LLM is started with it; `front="nginx"` puts nginx before it. Exit codes: 2 options,
    4 port in use. Each worker counts its own rate limit.
    """
    from targets.reference.launch import launch
    from targets.reference.saju.settings import SERVICE

    launch(SERVICE, port, workers, host, upstream=upstream, front=front, options=options)
