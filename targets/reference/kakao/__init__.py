"""kakao: drafts Kakao AlimTalk message templates with an LLM, checked against a policy base.

`serve` runs it; `app.create_app` is the ASGI factory; `TRAPS` names what is built in on purpose.
"""

TRAPS = {
    "retrieval_on_event_loop": (
        "The vector query runs on the event loop, as in an `async def` endpoint that calls Chroma directly: "
        "while it runs, the worker answers nobody else. Off: it runs in the thread pool."
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
    """Run kakao in the foreground until SIGINT or SIGTERM; port 0 takes a free one, printed in the ready line.

    Without `upstream` an emulated LLM is started with it. Exit codes: 2 options, 4 port in use.
    """
    from targets.reference.kakao.settings import SERVICE
    from targets.reference.launch import launch

    launch(SERVICE, port, workers, host, upstream=upstream, front=front, options=options)
