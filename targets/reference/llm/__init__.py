"""An LLM server that computes nothing: it speaks the OpenAI and Anthropic APIs and keeps a real engine's time.

`serve` runs it. Importing this package is cheap; what it needs is loaded when it serves.
"""

from pathlib import Path

__all__ = ["serve"]


def serve(
    port: int,
    workers: int = 1,
    host: str = "127.0.0.1",
    config: Path | None = None,
    seed: int = 1,
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; port 0 takes a free one.

    `config` is a parameter file or the name of a shape that comes with it. Raises SystemExit: 4 when the port cannot
    be had, 2 when the parameters cannot be used, each after one sentence on standard error.
    """
    from targets.reference.llm.server import emulate

    emulate(port, host, config, seed, workers)
