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
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; port 0 takes a free one.

    `config`: a parameter file or the name of a shape that comes with the emulator. `record`: be a proxy before that
    URL and write each exchange to `record_to` (`price`: USD per 1,000 tokens in and out, `max_usd`: the most to
    spend). `replay`: serve such a file with its timing; other requests get 404, or the emulator's answer with
    `emulate_unrecorded`. `fit`: serve nothing, write the parameters behind a recording to `fit_to` (default: the
    recording's name with .toml). `engine`: "emulator", or "transformers", a real engine in an environment of its own,
    which `setup` makes first.

    Raises SystemExit after one sentence on standard error: 2 for parameters or files that cannot be used, 4 when the
    port cannot be had, 5 when recording would cost money without a limit.
    """
    if engine == "transformers":
        from targets.reference.llm.transformers_engine import serve as serve_transformers

        serve_transformers(port, host, setup)
        return
    from targets.reference.llm import modes

    if engine != "emulator":
        raise modes.refuse(f"llm: {engine} is not an engine; choose emulator or transformers.", 2)
    if sum(mode is not None for mode in (record, replay, fit)) > 1:
        raise modes.refuse("llm: record, replay and fit exclude each other; give one of them.", 2)
    if workers != 1 and (record or replay):
        raise modes.refuse("llm: a recording has one writer and one reader; leave --workers at 1.", 2)
    if record is not None:
        modes.record(port, host, record, record_to=record_to, price=price, max_usd=max_usd)
    elif replay is not None:
        modes.replay(port, host, replay, emulate_unrecorded=emulate_unrecorded, config=config, seed=seed)
    elif fit is not None:
        modes.fit(fit, fit_to)
    else:
        modes.emulate(port, host, config, seed, workers)
