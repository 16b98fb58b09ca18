"""Token streams side by side: what each generator reports of a server that stamps every token itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from benchmarks.peers.server import front_run
from benchmarks.peers.truth import Truth, stamps, truth

FIRST_S, RATE, TOKENS = 0.01, 100, 200
SETS = {"guidellm": Path(".venv-guidellm/bin"), "aiperf": Path(".venv-aiperf/bin")}  # set up by `make peers`
LIMITED = 0.95
PATIENCE_S = 60  # beside the load: starting, loading PyTorch, writing the report
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
CONTRACT = """
[target]
name = "streams"
base_url = "{url}"
[[endpoint]]
name = "chat"
method = "POST"
path = "/v1/chat/completions"
json = {{ model = "truth", stream = true, messages = [{{ role = "user", content = "hello" }}] }}
stream = "sse"
"""


@dataclass(frozen=True)
class Reported:
    """What a generator says of its own run."""

    tokens_per_s: float
    ttft_p50_ms: float | None  # None: held back, too few streams stand behind it
    ttft_p95_ms: float | None


@dataclass(frozen=True)
class Row:
    name: str
    streams: int
    reported: Reported | None  # None: it ended without a result
    stamped_p50_ms: float
    stamped_p95_ms: float
    cores: float
    server_share: float


@dataclass(frozen=True)
class Streamer:
    """`command` for a URL and a number of streams; `read` finds its report in the folder after it has ended."""

    name: str
    command: Callable[[str, int, int, Path], list[str]]
    read: Callable[[str, Path], Reported]
    ours: bool = False


def compare(folder: Path, seconds: int, counts: tuple[int, ...]) -> tuple[list[Row], list[str]]:
    """A row per generator and number of streams, and the generators that are not installed."""
    found, absent = [_ours()], []
    for make, name in ((_guidellm, "guidellm"), (_aiperf, "aiperf")):
        if (SETS[name] / name).exists():
            found.append(make())
        else:
            absent.append(name)
    rows = []
    for count in counts:
        for streamer in found:
            print(f"{streamer.name}, {count} streams ...", file=sys.stderr, flush=True)
            place = folder / f"{streamer.name.split()[0]}-{count}"
            place.mkdir()
            rows.append(_run(streamer, count, seconds, place))
    return rows, absent


def _run(streamer: Streamer, count: int, seconds: int, folder: Path) -> Row:
    config = {"kind": "sse", "first_s": FIRST_S, "gap_s": 1 / RATE, "tokens": TOKENS, "seed": 1, "law": "constant"}
    with truth(folder, config) as (server, log):
        cores, text = _watched(streamer, streamer.command(server.url, count, seconds, folder), server, folder, seconds)
    stamped = stamps(log).to_pandas()
    first = stamped[stamped["planned"] - stamped["received"] == round(FIRST_S * 1e9)]
    ttft_ms = (first["sent"] - first["received"]).to_numpy() / 1e6
    try:
        reported = streamer.read(text, folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"{streamer.name}: no result ({type(error).__name__}: {error}): {text[-300:]}", file=sys.stderr)
        reported = None
    p50, p95 = np.quantile(ttft_ms, (0.5, 0.95)) if len(ttft_ms) else (float("nan"), float("nan"))
    return Row(streamer.name, count, reported, float(p50), float(p95), cores, max(server.shares, default=0.0))


def _watched(streamer: Streamer, command: list[str], server: Truth, folder: Path, seconds: int) -> tuple[float, str]:
    """Its CPU in cores while the server was at work (the median second), and what it printed. One that does not end is
    ended, with what it started."""
    with (folder / "printed.txt").open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **OFFLINE}, start_new_session=True
        )
    ends_s = time.monotonic() + seconds + PATIENCE_S
    if not streamer.ours:  # ours places itself
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        front_run(process.pid)
    used: list[tuple[float, float]] = []
    before_s = _tree_cpu_s(process.pid)
    server.look()
    while True:
        try:
            process.wait(1.0)
            break
        except subprocess.TimeoutExpired:
            after_s = _tree_cpu_s(process.pid)
            server.look()
            used.append((server.shares[-1], after_s - before_s))
            before_s = after_s
            if time.monotonic() > ends_s:
                os.killpg(process.pid, signal.SIGKILL)
    busy = [cpu_s for share, cpu_s in used if share > 0.5 * max(share for share, _ in used)]
    return (median(busy) if busy else float("nan")), (folder / "printed.txt").read_text("utf-8", "replace")


def _tree_cpu_s(pid: int) -> float:
    total = 0.0
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return total
    for process in tree:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


# ---------------------------------------------------------------------- the generators


def _ours() -> Streamer:
    def command(url: str, count: int, seconds: int, folder: Path) -> list[str]:
        contract = folder / "streams.toml"
        contract.write_text(CONTRACT.format(url=url), encoding="utf-8")
        plimsoll = str(Path(sys.executable).parent / "plimsoll")
        words = ["--users", str(count), "--duration", str(seconds), "--json", "--quiet", "--out", str(folder / "runs")]
        return [plimsoll, "run", str(contract), *words]

    def read(text: str, folder: Path) -> Reported:
        entry = json.loads(text[text.index("{") :])["endpoints"]["chat"]
        return Reported(entry["output_tokens_per_s"], entry["ttft_ms"]["p50"], entry["ttft_ms"]["p95"])

    return Streamer("plimsoll", command, read, ours=True)


def _guidellm() -> Streamer:
    def command(url: str, count: int, seconds: int, folder: Path) -> list[str]:
        return [
            str(SETS["guidellm"] / "guidellm"), "run", "--backend", f"kind=openai_http,target={url},model=truth",
            "--profile", f"kind=concurrent,streams={count}", "--constraint", f"kind=max_duration,seconds={seconds}",
            "--tokenizer", f"kind=hf_auto,model={_tokenizer(folder)}",
            "--data", f"kind=synthetic_text,prompt_tokens=8,output_tokens={TOKENS}",
            "--output", f"kind=json,path={folder}/benchmarks.json", "--disable-console",
        ]  # fmt: skip

    def read(text: str, folder: Path) -> Reported:
        report = json.loads((folder / "benchmarks.json").read_text(encoding="utf-8"))
        metrics = report["benchmarks"][0]["metrics"]
        ttft = metrics["time_to_first_token_ms"]["successful"]
        rate = metrics["output_tokens_per_second"]["successful"]["mean"]
        return Reported(rate, ttft["percentiles"]["p50"], ttft["percentiles"]["p95"])

    return Streamer("guidellm 0.8.1", command, read)


def _tokenizer(folder: Path) -> Path:
    """Every byte is a token: what GuideLLM needs to make prompts, without a download."""
    place = folder / "tokenizer"
    script = (
        "import sys; from tokenizers import Tokenizer, models, pre_tokenizers, decoders;"
        "from transformers import PreTrainedTokenizerFast as Fast;"
        "letters = sorted(pre_tokenizers.ByteLevel.alphabet());"
        "made = Tokenizer(models.BPE(vocab={c: k for k, c in enumerate(letters)}, merges=[]));"
        "made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False); made.decoder = decoders.ByteLevel();"
        "Fast(tokenizer_object=made).save_pretrained(sys.argv[1])"
    )
    subprocess.run([str(SETS["guidellm"] / "python"), "-c", script, str(place)], check=True, capture_output=True)
    return place


def _aiperf() -> Streamer:
    def command(url: str, count: int, seconds: int, folder: Path) -> list[str]:
        return [
            str(SETS["aiperf"] / "aiperf"), "profile", "--model", "truth", "--url", url, "--endpoint-type", "chat",
            "--streaming", "--concurrency", str(count), "--benchmark-duration", str(seconds),
            "--benchmark-grace-period", "5", "--tokenizer", "builtin", "--synthetic-input-tokens-mean", "8",
            "--output-tokens-mean", str(TOKENS), "--ui-type", "none", "--output-artifact-dir", str(folder / "artifacts"),
        ]  # fmt: skip

    def read(text: str, folder: Path) -> Reported:
        found = list((folder / "artifacts").rglob("profile_export_aiperf.json"))
        if not found:
            raise LookupError("it left no profile_export_aiperf.json")
        [path] = found
        report = json.loads(path.read_text(encoding="utf-8"))
        ttft = report["time_to_first_token"]
        return Reported(report["output_token_throughput"]["avg"], ttft["p50"], ttft["p95"])

    return Streamer("aiperf 0.13.0", command, read)


# ---------------------------------------------------------------------- the table

HEADINGS = ("streams", "generator", "tokens/s", "first token ms, p50 / p95, as it reports",
            "as the server stamped", "CPU, cores", "server's core")  # fmt: skip


def cells(rows: list[Row]) -> list[list[str]]:
    """Refuses to compare rates of a server that was the limit: such a row says so."""
    return [
        [
            str(row.streams),
            row.name,
            "no result" if row.reported is None else f"{row.reported.tokens_per_s:,.0f}",
            "-" if row.reported is None else f"{_ms(row.reported.ttft_p50_ms)} / {_ms(row.reported.ttft_p95_ms)}",
            f"{row.stamped_p50_ms:.2f} / {row.stamped_p95_ms:.2f}",
            f"{row.cores:.2f}",
            f"{row.server_share:.0%}" + (" (it is the limit)" if row.server_share >= LIMITED else ""),
        ]
        for row in rows
    ]


def _ms(value: float | None) -> str:
    """A report may hold back a quantile that too few streams stand behind."""
    return "held back" if value is None else f"{value:.2f}"
