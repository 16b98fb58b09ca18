"""What `serve` can do: emulate an engine, record a provider, replay a recording, fit parameters, run a real engine."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from targets.reference.llm import parameters as engine_parameters
from targets.reference.llm.driver import Driver
from targets.reference.llm.parameters import Batching, ParameterError, Parameters, Prefill, sentence
from targets.reference.llm.recording import RecordingError, read
from targets.reference.llm.scheduler import make
from targets.reference.llm.server import Running, listen, refuse, run, url
from targets.reference.llm.service import Service

Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Options(BaseModel):
    """What the server is told; see `targets.reference.llm.serve`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: Path | None = None
    changes: dict[str, str] = {}  # single parameters of the emulator, "section.key": value
    seed: int = 1
    record: str | None = None
    record_to: Path | None = None
    price: tuple[Usd, Usd] | None = None
    max_usd: float | None = Field(None, gt=0)
    replay: Path | None = None
    emulate_unrecorded: bool = False
    fit: Path | None = None
    fit_to: Path | None = None
    engine: Literal["emulator", "transformers"] = "emulator"
    setup: bool = False

    @field_validator("price", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @classmethod
    def of(cls, given: dict[str, Any], typed: dict[str, str]) -> Self:
        """From values and from text, which wins; SystemExit(2) with one sentence for what cannot be used."""
        changes = {key: value for key, value in typed.items() if "." in key}
        plain = {key: value for key, value in typed.items() if "." not in key}
        try:
            return cls.model_validate(given | plain | {"changes": changes})
        except ValidationError as error:
            raise refuse(f"llm: option {sentence(error, cls)}", 2) from None


def serve(port: int, workers: int, host: str, options: Options) -> None:
    """Do what the options say."""
    modes = [name for name in ("record", "replay", "fit") if getattr(options, name) is not None]
    if len(modes) > 1:
        raise refuse(f"llm: {' and '.join(modes)} exclude each other; give one of them.", 2)
    if workers != 1 and (modes or options.engine != "emulator"):
        what = modes[0] if modes else options.engine
        raise refuse(f"llm: {what} works with one worker; leave --workers at 1.", 2)
    if options.engine == "transformers":
        from targets.reference.llm.transformers_engine import serve as serve_transformers

        serve_transformers(port, host, options.setup)
    elif options.record is not None:
        _record(port, host, options.record, options)
    elif options.replay is not None:
        _replay(port, host, options.replay, options)
    elif options.fit is not None:
        _fit(options.fit, options.fit_to or options.fit.with_suffix(".toml"))
    else:
        _emulate(port, host, workers, options)


def _emulate(port: int, host: str, workers: int, options: Options) -> None:
    """Each worker is an engine of its own behind the same port."""
    parameters = _parameters(options)
    server = listen(host, port)
    batching = parameters.batching
    engines = "" if workers == 1 else f"{workers} engines, each "
    announce = (
        f"llm (emulator) listening on {url(server)} ({engines}{batching.slots} slots, queue {batching.max_waiting}, "
        f"{batching.mode}, seed {options.seed})"
    )
    run(server, lambda loop: _emulator(loop, parameters, options.seed), announce, workers)


def _record(port: int, host: str, upstream: str, options: Options) -> None:
    """An upstream outside loopback and private networks costs money: it needs prices and a limit, or exit code 5."""
    from targets.reference.llm.recorder import Price, Recorder, is_private

    if not upstream.startswith(("http://", "https://")):
        raise refuse(f"llm: {upstream} is not an address to record; give one like https://api.openai.com.", 2)
    record_to, price, max_usd = options.record_to or Path("llm-recording.jsonl"), options.price, options.max_usd
    if record_to.exists() and record_to.stat().st_size:
        raise refuse(
            f"llm: {record_to} is there already and may have cost money; give another with --record-to FILE.", 2
        )
    if not is_private(upstream) and (price is None or max_usd is None):
        raise refuse(
            f"llm: recording {upstream} costs money; give its prices per 1,000 tokens in and out and the most to spend "
            "(--price IN,OUT --max-usd USD).",
            5,
        )
    budget = Price(*(price or (0.0, 0.0)), max_usd=max_usd)
    server = listen(host, port)

    def build(loop: asyncio.AbstractEventLoop) -> Running:
        try:
            recorder = Recorder(loop, upstream, record_to, budget)
        except OSError as error:
            raise refuse(f"llm: {record_to} cannot be written ({error.strerror}); choose another file.", 2) from None
        return Running(recorder.handle, recorder.close)

    run(server, build, f"llm (recorder) listening on {url(server)} ({upstream} to {record_to})")


def _replay(port: int, host: str, recording: Path, options: Options) -> None:
    """What was not recorded gets 404, or the emulator's answer when told so."""
    from targets.reference.llm.replayer import Replayer

    try:
        recorded = read(recording)
    except RecordingError as error:
        raise refuse(f"llm: {error}", 2) from None
    parameters = _parameters(options)
    server = listen(host, port)

    def build(loop: asyncio.AbstractEventLoop) -> Running:
        emulator = _emulator(loop, parameters, options.seed) if options.emulate_unrecorded else None
        replayer = Replayer(loop, recorded, emulator.handler if emulator else None)

        async def close() -> None:
            await replayer.close()
            if emulator:
                await emulator.close()

        return Running(replayer.handle, close)

    rest = "emulated" if options.emulate_unrecorded else "refused"
    count = len(recorded.exchanges)
    run(server, build, f"llm (replay) listening on {url(server)} ({recording}: {count} exchanges, others {rest})")


def _fit(recording: Path, to: Path) -> None:
    """Write the parameters of the engine behind a recording as TOML and say what was found."""
    from targets.reference.llm.fit import FitError, fit_recording

    try:
        fitted = fit_recording(read(recording))
    except (RecordingError, FitError) as error:
        raise refuse(f"llm: {error}", 2) from None
    try:
        to.write_text(fitted.toml(recording.name), encoding="utf-8")
    except OSError as error:
        raise refuse(f"llm: {to} cannot be written ({error.strerror}); choose another file.", 2) from None
    print(fitted.summary(), file=sys.stderr)
    print(f"llm: written to {to}; serve it with --config {to}.", file=sys.stderr)


def _parameters(options: Options) -> Parameters:
    try:
        return engine_parameters.load(options.config, options.changes)
    except ParameterError as error:
        raise refuse(f"llm: {error}", 2) from None


def _emulator(loop: asyncio.AbstractEventLoop, parameters: Parameters, seed: int) -> Running:
    embedding = parameters.embedding
    embedding_engine = Parameters(
        batching=Batching(
            mode="independent", slots=embedding.slots, max_waiting=embedding.max_waiting, kv_tokens=1 << 60
        ),
        prefill=Prefill(base_ms=embedding.base_ms, ms_per_token=embedding.ms_per_token),
    )
    drivers = [Driver(loop, make(parameters)), Driver(loop, make(embedding_engine))]

    async def close() -> None:
        for driver in drivers:
            driver.close()

    return Running(Service(parameters, seed, *drivers).handle, close)
