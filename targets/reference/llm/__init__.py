"""An LLM server that computes nothing: it speaks the OpenAI and Anthropic APIs and keeps a real engine's time.

`serve` runs it. Importing this package is cheap; what it needs is loaded when it serves.
"""

from pathlib import Path

__all__ = ["serve"]


def serve(
    port: int = 0,
    workers: int = 1,
    host: str = "127.0.0.1",
    config: Path | None = None,
    seed: int = 1,
    *,
    record: str | None = None,
    record_to: Path | None = None,
    price: tuple[float, float] | None = None,
    max_usd: float | None = None,
    replay: Path | None = None,
    emulate_unrecorded: bool = False,
    fit: Path | None = None,
    fit_to: Path | None = None,
    engine: str = "emulator",
    setup: bool = False,
    options: dict[str, str] | None = None,
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; port 0 takes a free one.

    `config`: a parameter file or the name of a shape that comes with the emulator. `record`: be a proxy before that
    URL and write each exchange to `record_to` (default: llm-recording.jsonl; `price`: USD per 1,000 tokens in and
    out, `max_usd`: the most to spend). `replay`: serve such a file with its timing; other requests get 404, or the
    emulator's answer with `emulate_unrecorded`. `fit`: serve nothing, write the parameters behind a recording to
    `fit_to` (default: the recording's name with .toml). `engine`: "emulator", or "transformers", a real engine in an
    environment of its own, which `setup` makes first. `options`: any of these as text, as typed after --set, and
    single parameters of the emulator by their names, such as {"config": "llama-8b-h100", "batching.slots": "8"}.

    Raises SystemExit after one sentence on standard error: 2 for what cannot be used, 4 when the port cannot be had,
    5 when recording would cost money without a limit.
    """
    from targets.reference.llm import modes

    given = {
        "config": config, "seed": seed, "record": record, "record_to": record_to, "price": price, "max_usd": max_usd,
        "replay": replay, "emulate_unrecorded": emulate_unrecorded, "fit": fit, "fit_to": fit_to, "engine": engine,
        "setup": setup,
    }  # fmt: skip
    modes.serve(port, workers, host, modes.Options.of(given, options or {}))
