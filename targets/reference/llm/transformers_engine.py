"""A real continuous-batching engine, kept in an environment of its own: Hugging Face's `transformers serve` on the CPU.

The model is a small Llama with random weights: it writes nonsense at the pace of a real engine. Set up once (about a
minute, 1.2 GB with PyTorch's CPU build); nothing of it enters the project's own environment, unless the extra `engine`
is installed there.
"""

import ctypes
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from targets.reference.llm.server import listen, refuse, url
from targets.reference.serving import stop

TORCH = "torch==2.13.0"  # not in the lock: its CPU build has another hash wherever it comes from
REQUIREMENTS = (TORCH, "transformers[serving]==5.23.0", "accelerate==1.15.0")  # the extra `engine` in pyproject.toml
LOCK = Path(__file__).with_name("engine.lock")
RECIPE = Path(__file__).with_name("engine_model.py")
CORPUS = Path(__file__).parents[2] / "data"
SETUP = "plimsoll serve llm --engine transformers --setup"
_CONTINUOUS_BATCHING = (
    "--continuous-batching", "--cb-block-size", "32", "--cb-num-blocks", "512", "--cb-max-batch-tokens", "512",
)  # fmt: skip
_START_S = 120
_PR_SET_PDEATHSIG = 1


def cache() -> Path:
    """Where the engine lives: plimsoll's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plimsoll"


def is_installed_here() -> bool:
    """Whether the extra `engine` is part of this environment."""
    return all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate"))


def python() -> Path:
    return Path(sys.executable) if is_installed_here() else cache() / "engine-venv" / "bin" / "python"


def model() -> Path:
    """The model's folder, which is also its name in requests."""
    return cache() / "engine-model"


def is_ready() -> bool:
    """Whether this version of the engine was set up to its end."""
    ready = model() / ".ready"
    return ready.exists() and ready.read_text(encoding="utf-8") == _version() and python().exists()


def _version() -> str:
    contents = b"".join(path.read_bytes() for path in (LOCK, RECIPE))
    return f"{' '.join(REQUIREMENTS)} {hashlib.sha256(contents).hexdigest()[:16]}"


def set_up() -> None:
    """Make the environment and the model; does nothing when they are there. SystemExit(2) with a sentence if not.

    Everything but PyTorch is installed by hash. pip takes PyTorch's CPU build where it is set up to find one
    (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL); else the standard build, on Linux several GB with CUDA, which works as well.
    """
    if is_ready():
        return
    pip = [str(python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = [("makes the model", [str(python()), str(RECIPE), str(model()), str(CORPUS)])]
    if not is_installed_here():
        steps = [
            ("makes an environment", [sys.executable, "-m", "venv", "--clear", str(cache() / "engine-venv")]),
            ("installs transformers", [*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)]),
            ("installs torch", [*pip, TORCH]),
            *steps,
        ]
    cache().mkdir(parents=True, exist_ok=True)
    for what, command in steps:
        print(f"llm: {what} in {cache()} ...", file=sys.stderr, flush=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise refuse(f"llm: the engine could not be set up, since a step failed ({what}): {last}", 2)
    (model() / ".ready").write_text(_version(), encoding="utf-8")


def serve(port: int, host: str, setup: bool) -> None:
    """Run the engine in the foreground until SIGINT or SIGTERM; it is gone when this returns."""
    if setup:
        set_up()
    if not is_ready():
        raise refuse(f"llm: the transformers engine is not set up; set it up once with: {SETUP}", 2)

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        with running(port, host) as (address, process):
            print(f"llm (transformers) listening on {address} (model {model()})", file=sys.stderr, flush=True)
            code = process.wait()
        raise refuse(f"llm: the engine ended by itself with {code}; run it again to see whether it does so again.", 1)
    except KeyboardInterrupt:
        pass


@contextmanager
def running(
    port: int = 0, host: str = "127.0.0.1", cores: set[int] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The engine on a port, on these cores, ready to answer; gives its address and process."""
    claimed = listen(host, port)  # says why when the port cannot be had; the engine itself would only die
    address, port = url(claimed), claimed.getsockname()[1]
    claimed.close()
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [str(python().with_name("transformers")), "serve", str(model()), "--device", "cpu", *_CONTINUOUS_BATCHING]
    process = subprocess.Popen(
        [*command, "--host", host, "--port", str(port)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: _settle(cores),
    )
    try:
        _await(address, process)
        yield address, process
    finally:
        stop(process)


def _settle(cores: set[int] | None) -> None:
    """In the child: onto its cores, and gone when its parent is."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if cores:
            os.sched_setaffinity(0, cores)


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{address}/health", timeout=1).status_code == httpx.codes.OK:
                return
        except (httpx.HTTPError, OSError):
            pass
        time.sleep(0.2)
    raise refuse(f"llm: the engine did not start within {_START_S} s; set it up again: rm -r {model()} && {SETUP}", 1)
