"""alaw: searches and analyses Korean court precedents; every request goes through a queue with few slots.

`serve` runs it; `app.create_app` is the ASGI factory; `TRAPS` names what is built in on purpose.
"""

TRAPS = {
    "self_restart": (
        "Every `restart_check_s` (300 s) it probes its own /api/queue/health and restarts itself when that fails, "
        "dropping what it is doing; a full queue makes the probe fail, so a load test can trigger it. Off: it stays up."
    ),
    "full_queue_is_unhealthy": (
        "The health check answers 503 while a queue is full, so that load looks like a fault. "
        "Off: it only reports how full the queues are."
    ),
    "proxy_limits_health": (
        "With nginx in front, its 10 requests a second on /api/ also cover /api/queue/health. Off: health is exempt."
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
    """Run alaw in the foreground until SIGINT or SIGTERM; port 0 takes a free one, printed in the ready line.

    It calls no LLM. The first start builds the BM25 cache file, which takes a while. Exit codes: 2 options, 4 port in
    use.
    """
    from targets.reference.alaw.settings import SERVICE
    from targets.reference.launch import launch

    launch(SERVICE, port, workers, host, upstream=upstream, front=front, options=options)
