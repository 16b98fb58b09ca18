"""encar: an internal help-desk copilot; finds FAQ entries and lets an LLM answer from them.

`serve` runs it; `app.create_app` is the ASGI factory; `TRAPS` names what is built in on purpose.
"""

TRAPS = {
    "limit_per_process": (
        "The rate limit is counted in each process: 2 replicas or 2 workers silently double it. "
        "Off: it is counted in the database, which replicas with the same database URL share."
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
    """Run encar in the foreground until SIGINT or SIGTERM; port 0 takes a free one, printed in the ready line.

    Without `upstream` an emulated LLM is started with it. Exit codes: 2 options, 4 port in use.
    """
    from targets.reference.encar.settings import SERVICE
    from targets.reference.launch import launch

    launch(SERVICE, port, workers, host, upstream=upstream, front=front, options=options)
