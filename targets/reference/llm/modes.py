"""What `serve` can do: emulate an engine, record a provider, replay a recording, fit parameters to one."""

import asyncio
import sys
from pathlib import Path

from targets.reference.llm import parameters as engine_parameters
from targets.reference.llm.driver import Driver
from targets.reference.llm.parameters import Batching, ParameterError, Parameters, Prefill
from targets.reference.llm.recording import RecordingError, read
from targets.reference.llm.scheduler import make
from targets.reference.llm.server import Running, listen, refuse, run, url
from targets.reference.llm.service import Service


def emulate(port: int, host: str, config: Path | None, seed: int, workers: int) -> None:
    """Serve the emulator. Each worker is an engine of its own behind the same port."""
    parameters = _parameters(config)
    server = listen(host, port)
    batching = parameters.batching
    engines = "" if workers == 1 else f"{workers} engines, each "
    announce = (
        f"llm (emulator) listening on {url(server)} ({engines}{batching.slots} slots, queue {batching.max_waiting}, "
        f"{batching.mode}, seed {seed})"
    )
    run(server, lambda loop: _emulator(loop, parameters, seed), announce, workers)


def record(
    port: int,
    host: str,
    upstream: str,
    *,
    record_to: Path | None,
    price: tuple[float, float] | None,
    max_usd: float | None,
) -> None:
    """Serve as a proxy before `upstream` and write every exchange to `record_to`.

    An upstream outside loopback and private networks costs money: it needs prices and a limit, or SystemExit(5).
    """
    from targets.reference.llm.recorder import Price, Recorder, is_private

    if not upstream.startswith(("http://", "https://")):
        raise refuse(f"llm: {upstream} is not an address to record; give one like https://api.openai.com.", 2)
    if record_to is None:
        raise refuse("llm: recording needs a file to write to; give --record-to FILE.", 2)
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


def replay(port: int, host: str, recording: Path, *, emulate_unrecorded: bool, config: Path | None, seed: int) -> None:
    """Serve a recording; what was not recorded gets 404, or the emulator's answer when told so."""
    from targets.reference.llm.replayer import Replayer

    try:
        recorded = read(recording)
    except RecordingError as error:
        raise refuse(f"llm: {error}", 2) from None
    parameters = _parameters(config)
    server = listen(host, port)

    def build(loop: asyncio.AbstractEventLoop) -> Running:
        emulator = _emulator(loop, parameters, seed) if emulate_unrecorded else None
        replayer = Replayer(loop, recorded, emulator.handler if emulator else None)

        async def close() -> None:
            await replayer.close()
            if emulator:
                await emulator.close()

        return Running(replayer.handle, close)

    rest = "emulated" if emulate_unrecorded else "refused"
    count = len(recorded.exchanges)
    run(server, build, f"llm (replay) listening on {url(server)} ({recording}: {count} exchanges, others {rest})")


def fit(recording: Path, fit_to: Path | None) -> None:
    """Write the parameters of the engine behind a recording as TOML and say what was found."""
    from targets.reference.llm.fit import FitError, fit_recording

    to = fit_to or recording.with_suffix(".toml")
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


def _parameters(config: Path | None) -> Parameters:
    try:
        return engine_parameters.load(config)
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
