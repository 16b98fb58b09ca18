"""`plimsoll`: a table of contents. Each command's work is in `plimsoll.commands`, imported when it is called."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from measurements.errors import Exit, PlimsollError

app = typer.Typer(
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Load tests, performance gates and capacity plans for services that generate with LLMs and search.",
    epilog="A first step: plimsoll run targets/kakao.toml --start --shape breakpoint",
)

Contract = Annotated[Path | None, typer.Argument(help="contract file (TOML)", show_default=False)]
RunDir = Annotated[Path, typer.Argument(help="a run directory; the newest is runs/latest", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="folder that run directories are made in")]
Json = Annotated[bool, typer.Option("--json", help="print the result document to standard output, nothing else")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
Lang = Annotated[str, typer.Option("--lang", help="en or ko")]


def examples(*lines: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("plimsoll"))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def alone(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
) -> None:
    if context.invoked_subcommand is None:
        from plimsoll import first_steps

        print("\n".join(first_steps.lines(Path.cwd())))


@app.command(
    epilog=examples("plimsoll init http://127.0.0.1:8000", "plimsoll init localhost:8080 -o orders.toml --force")
)
def init(
    url: Annotated[str, typer.Argument(help="where the service listens", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="contract file to write")] = Path("plimsoll.toml"),
    force: Annotated[bool, typer.Option("--force", help="write over a file that is there")] = False,
    json: Json = False,
) -> None:
    """Write a contract from a running service's /openapi.json; enables only what cannot do harm."""
    from plimsoll.commands import init as command

    command.init(url, output, force, json)


@app.command(epilog=examples("plimsoll run targets/kakao.toml --start --shape breakpoint --duration 100",
                             "plimsoll run -f loadtests/scenarios/kakao.py --host http://127.0.0.1:8000 --rate 5"))  # fmt: skip
def run(
    contract: Contract = None,
    locustfile: Annotated[Path | None, typer.Option("-f", "--locustfile", help="an ordinary locustfile")] = None,
    host: Annotated[str | None, typer.Option(help="base URL; overrides the contract's")] = None,
    rate: Annotated[float | None, typer.Option(help="arrivals per second (open loop); absent: probed")] = None,
    users: Annotated[int | None, typer.Option(help="closed loop of so many users")] = None,
    duration: Annotated[float, typer.Option(help="seconds, without warm-up and drain")] = 60.0,
    warmup: Annotated[float, typer.Option(help="seconds left out of the statistics")] = 0.0,
    arrivals: Annotated[str, typer.Option(help="constant, poisson, gamma:CV, or a file of timestamps")] = "poisson",
    shape: Annotated[
        str, typer.Option(help="smoke, load, stress, spike, soak, breakpoint, ramp, daily, failover, rollout")
    ] = "load",
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    workers: Annotated[int, typer.Option(help="load processes")] = 1,
    seed: Annotated[int | None, typer.Option(help="same seed, same arrivals and payloads")] = None,
    abort_on_slo: Annotated[bool, typer.Option("--abort-on-slo", help="stop when an SLO is missed")] = False,
    allow_degraded: Annotated[bool, typer.Option("--allow-degraded", help="go on without a lost load process")] = False,
    start: Annotated[bool, typer.Option("--start", help="start the service by [target.control] on free ports")] = False,
    replicas: Annotated[int, typer.Option(help="with --start: so many of them")] = 1,
    service_workers: Annotated[int | None, typer.Option("--service-workers", help="with --start: {workers}")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="afterwards, where its CPU goes, in passes apart")] = False,
    ui: Annotated[bool, typer.Option("--ui", help="Locust's web UI on 127.0.0.1:8089")] = False,
    master: Annotated[bool, typer.Option("--master", help="coordinate load processes on other hosts")] = False,
    join: Annotated[str | None, typer.Option(help="be a load process of that master")] = None,
    out: Out = Path("runs"),
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Drive load at a service and report what it did."""
    from plimsoll.commands import run as command

    command.run(command.Words(**{k: v for k, v in locals().items() if k != "command"}))


@app.command(epilog=examples("plimsoll check targets/kakao.toml", "plimsoll check targets/encar.toml --rate 50"))
def check(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML)")],
    rate: Annotated[
        float | None, typer.Option(help="requests per second that you mean to send: how many clients the limits need")
    ] = None,
    duration: Annotated[float, typer.Option(help="seconds that you mean to run")] = 60.0,
    json: Json = False,
) -> None:
    """Preflight: the contract, one request per endpoint, limits, this machine, how long a run takes and what it costs."""
    from plimsoll.commands import check as command

    command.check(contract, as_json=json, rate_rps=rate, duration_s=duration)


@app.command(
    epilog=examples(
        "plimsoll serve kakao --port 8000 --upstream http://127.0.0.1:9000",
        "plimsoll serve llm --port 9000 --config llama-8b-h100",
    )
)
def serve(
    name: Annotated[str, typer.Argument(help="kakao, alaw, encar, saju or llm")],
    port: Annotated[int, typer.Option(help="0: a free one")] = 0,
    workers: Annotated[int, typer.Option(help="processes")] = 1,
    upstream: Annotated[str | None, typer.Option(help="URL of the LLM that it calls")] = None,
    front: Annotated[str | None, typer.Option(help="nginx: put the team's proxy in front")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, may be repeated; --list shows which there are")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="show what --set can change, and the traps built in")] = False,
    config: Annotated[str | None, typer.Option(help="llm: a shape by its name, or a file of parameters")] = None,
    record: Annotated[
        str | None, typer.Option(metavar="URL", help="llm: stand before a provider and record it")
    ] = None,
    record_to: Annotated[Path | None, typer.Option(help="llm: where to; default llm-recording.jsonl")] = None,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="llm: USD per 1,000 tokens of the provider")
    ] = None,
    max_usd: Annotated[float | None, typer.Option(help="llm: the most that recording may cost")] = None,
    replay: Annotated[Path | None, typer.Option(metavar="FILE", help="llm: serve a recording with its timings")] = None,
    emulate_unrecorded: Annotated[
        bool, typer.Option("--emulate-unrecorded", help="llm: emulate what the recording does not have")
    ] = False,
    fit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="llm: write the parameters behind a recording")
    ] = None,
    fit_to: Annotated[Path | None, typer.Option(help="llm: where to; default FILE with .toml")] = None,
    engine: Annotated[str | None, typer.Option(help="llm: emulator, or transformers for a real one")] = None,
    setup: Annotated[bool, typer.Option("--setup", help="llm: make the real engine's environment first")] = False,
) -> None:
    """Start an embedded reference service, until Ctrl-C."""
    from plimsoll.commands import serve as command

    words = {k: v for k, v in locals().items() if k not in ("command", "name", "port", "workers", "option", "list_")}
    if list_:
        command.show(name)
    else:
        command.serve(name, port, workers, words, option or [])


@app.command(
    epilog=examples(
        "plimsoll plan runs/latest --demand 20",
        "plimsoll plan runs/latest --demand 20 --growth 10%/month --horizon 12m",
    )
)
def plan(
    run_dirs: Annotated[list[Path], typer.Argument(help="run directories of one contract on one host")],
    demand: Annotated[float | None, typer.Option(help="peak requests per second to plan for")] = None,
    users: Annotated[int | None, typer.Option(help="or concurrent users")] = None,
    growth: Annotated[str | None, typer.Option(help="e.g. 10%/month")] = None,
    horizon: Annotated[
        str | None, typer.Option(help="how far to plan: 12m (the default with --growth), 90d, 1y")
    ] = None,
    peak_to_mean: Annotated[
        float, typer.Option("--peak-to-mean", help="peak demand over the month's average, for money per request")
    ] = 1.0,
    lead_time: Annotated[float, typer.Option("--lead-time", help="days from an order to its use")] = 0.0,
    prices: Annotated[
        Path | None, typer.Option(help="prices file (TOML); absent: the examples that come along")
    ] = None,
    machine: Annotated[
        Path | None, typer.Option(help="plan for another machine: what plimsoll doctor --calibrate --json said there")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for plan.json, report and deployment files as well")
    ] = None,
    lang: Lang = "en",
    json: Json = False,
) -> None:
    """From measurements to what to buy, as intervals, with deployment files; or a refusal with the missing measurement."""
    from plimsoll.commands import plan as command
    from plimsoll.planning import Wish

    wish = Wish(demand, users, growth, horizon, peak_to_mean, lead_time, prices, machine)
    command.plan(run_dirs, wish, out, lang, json)


@app.command(epilog=examples("plimsoll verify runs/latest", "plimsoll verify review --budget 400"))
def verify(
    plan_dir: Annotated[Path, typer.Argument(help="a folder with plan.json: a run directory, or plan's --out")],
    budget: Annotated[float, typer.Option(help="seconds of load for all trials together")] = 240.0,
    seed: Annotated[int, typer.Option(help="order of the trials' loads, and their arrivals")] = 1,
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Freeze a plan, apply what can be applied here, re-test it, and put predicted against measured on record."""
    from plimsoll.commands import verify as command

    command.verify(plan_dir, budget, seed, lang, json, quiet)


@app.command(epilog=examples("plimsoll ledger", "plimsoll ledger observe review targets/data/kakao_access.log.gz"))
def ledger(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[observe PLAN_DIR LOG…]", help="absent: show the record")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="folder that run directories and ledger.jsonl lie in")] = Path(
        "runs"
    ),
    window: Annotated[float, typer.Option(help="with observe: seconds that production is judged over")] = 300.0,
    json: Json = False,
) -> None:
    """How often past predictions held, here and in production; or judge one by what production did since."""
    from plimsoll.commands import ledger as command

    command.ledger(words or [], runs, window, json)


@app.command(epilog=examples("plimsoll report runs/latest --lang ko", "plimsoll report runs --as weekly"))
def report(
    run_dirs: Annotated[
        list[Path], typer.Argument(help="a run directory; for periods several, or a folder of them", show_default=False)
    ],
    form: Annotated[
        str, typer.Option("--as", help="review, markdown, junit; daily, weekly, monthly, quarterly over several runs")
    ] = "review",
    baseline: Annotated[Path | None, typer.Option(help="pinned run that weekly to quarterly are held against")] = None,
    lang: Lang = "en",
    json: Json = False,
) -> None:
    """Write report.html into a run directory, one file that needs no network; or a check over several runs."""
    from plimsoll.commands import report as command

    command.report(run_dirs, form, baseline, lang, json)


@app.command(epilog=examples("plimsoll recover runs/latest", "plimsoll recover runs/latest --json"))
def recover(run_dir: RunDir, json: Json = False) -> None:
    """Finish a run whose process was killed: what was measured becomes a run directory, marked INVALID."""
    from plimsoll.commands import recover as command

    command.recover(run_dir, json)


@app.command(epilog=examples("plimsoll doctor", "plimsoll doctor --json"))
def doctor(
    calibrate: Annotated[bool, typer.Option("--calibrate", help="time a fixed workload on this machine")] = False,
    json: Json = False,
) -> None:
    """What works on this machine, and what to do about the rest."""
    from plimsoll.commands import doctor as command

    command.doctor(calibrate, json)


@app.command(
    epilog=examples("plimsoll allow staging.example.com --max-rate 50", "plimsoll allow 203.0.113.7 --max-rate 5")
)
def allow(
    host: Annotated[str, typer.Argument(help="host name, without scheme")],
    max_rate: Annotated[float, typer.Option("--max-rate", help="requests per second")] = 10.0,
    json: Json = False,
) -> None:
    """Put on record that load may go to a host outside this machine and private networks."""
    from json import dumps

    from plimsoll.permission import allow as record

    entry = record(host, max_rate)
    if json:
        print(dumps(entry))
        return
    print(f"load up to {entry['max_rps']:g} rps may go to {entry['host']} (recorded for {entry['by']}, {entry['at']})")


@app.command(
    epilog=examples(
        "plimsoll workload targets/data/kakao_access.log.gz -o workload.toml",
        "plimsoll workload targets/data/kakao_access.log.gz --json",
    )
)
def workload(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG…", help="access logs or public LLM traces, plain or .gz")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="contract mix to write (.toml), arrivals and daily shape beside it"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read access logs: requests, errors and response times by hour and endpoint; a contract mix and arrivals."""
    from plimsoll.commands import workload as command

    command.workload(logs, output, json, quiet)


@app.command(
    epilog=examples(
        "plimsoll profile targets/kakao.toml --command 'plimsoll serve kakao --port {port}' --cpu --rate 5 --duration 20",
        "plimsoll profile targets/kakao.toml --pid 4711 --memory --rate 10 --duration 30",
    )
)
def profile(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML)")],
    pid: Annotated[int | None, typer.Option(help="the running service's process")] = None,
    command: Annotated[str | None, typer.Option(help="or start it so; {port} and {workers} are filled in")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="CPU by function (py-spy)")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="memory by line (memray)")] = False,
    rate: Annotated[float, typer.Option(help="requests per second")] = 5.0,
    duration: Annotated[float, typer.Option(help="seconds per pass")] = 20.0,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    out: Out = Path("runs"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Record where CPU and memory go under load, each in a pass of its own."""
    from plimsoll.commands import profile as work

    work.profile(contract, pid, command, cpu, memory, rate, duration, endpoint, out, json, quiet)


@app.command(
    epilog=examples("plimsoll compare runs/OLDER runs/latest", "plimsoll compare runs/OLDER runs/latest --json")
)
def compare(
    run_a: Annotated[Path, typer.Argument(help="the older run directory")],
    run_b: Annotated[Path, typer.Argument(help="the newer one")],
    lang: Lang = "en",
    json: Json = False,
) -> None:
    """Set two runs side by side: what differs, and which figures can be told apart. It never judges."""
    from plimsoll.commands import compare as command

    command.compare(run_a, run_b, lang, json)


@app.command(
    epilog=examples(
        "plimsoll gate targets/kakao.toml --endpoint search --baseline-start 'plimsoll serve kakao --port {port}' "
        "--candidate-start 'plimsoll serve kakao --port {port} --set planted_delay_ms=3'",
        "plimsoll gate accept runs/latest --reason 'a larger index, agreed on' --until 2027-06-30",
    )
)
def gate(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML); or the word accept")],
    run_dir: Annotated[Path | None, typer.Argument(help="after accept: the gate's run directory")] = None,
    baseline: Annotated[str | None, typer.Option(help="URL, run directory or git revision; absent: last tag")] = None,
    candidate: Annotated[str | None, typer.Option(help="the same; absent: the files as they are")] = None,
    baseline_ref: Annotated[str | None, typer.Option("--baseline-ref", help="git revision to start")] = None,
    candidate_ref: Annotated[str | None, typer.Option("--candidate-ref", help="git revision to start")] = None,
    baseline_start: Annotated[
        str | None, typer.Option("--baseline-start", help="command instead of the contract's")
    ] = None,
    candidate_start: Annotated[
        str | None, typer.Option("--candidate-start", help="{port}, {workers}, {state} are filled in")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="requests per second and version; absent: by a pilot")] = None,
    budget: Annotated[
        float, typer.Option(help="seconds of the first duet, without extension and confirmation")
    ] = 180.0,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    alternate: Annotated[
        bool,
        typer.Option("--alternate", help="never both at once: slower and blunter, for what cannot run side by side"),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="same seed, same requests")] = None,
    store: Annotated[Path | None, typer.Option(help="history file; absent: history.duckdb in --out")] = None,
    reason: Annotated[str | None, typer.Option(help="with accept: why the slowdown is intended")] = None,
    until: Annotated[str | None, typer.Option(help="with accept: date on which that ends")] = None,
    out: Out = Path("runs"),
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two versions in one paired run: PASS, WARN, FAIL, or why it cannot tell."""
    from plimsoll.commands import gate as command

    if str(contract) == "accept":
        command.accept(run_dir, reason, until)
        return
    words = {k: v for k, v in locals().items() if k not in ("command", "run_dir", "reason", "until")}
    if run_dir is not None or reason or until:
        from measurements.errors import UsageError

        raise UsageError("a run directory, --reason and --until belong to: plimsoll gate accept RUN_DIR")
    command.gate(command.Words(**words))


@app.command(epilog=examples("plimsoll history", "plimsoll history --weekly --target kakao"))
def history(
    store: Annotated[Path, typer.Option(help="history file, as gates write it")] = Path("runs/history.duckdb"),
    target: Annotated[str | None, typer.Option(help="which service, where it holds several")] = None,
    kind: Annotated[str, typer.Option(help="gate or run")] = "gate",
    weekly: Annotated[bool, typer.Option("--weekly", help="this week as Markdown")] = False,
    add: Annotated[Path | None, typer.Option(help="put a run directory into it")] = None,
    pin: Annotated[str | None, typer.Option(help="entry that later ones are shown against: the release")] = None,
    export: Annotated[Path | None, typer.Option(help="write every figure as Parquet")] = None,
    unsure_streak: Annotated[
        bool, typer.Option("--unsure-streak", help="print how many of the newest gates running were unsure")
    ] = False,
    json: Json = False,
) -> None:
    """Show trends of past gates and runs, and where they changed."""
    from plimsoll.commands import history as command

    command.history(store, target, kind, weekly, add, pin, export, unsure_streak, json)


@app.command(
    epilog=examples(
        "plimsoll search targets/kakao.toml --start --slo 'p95<2s,errors<1%'",
        "plimsoll search targets/kakao.toml --start --endpoint search --max-rate 200 --budget 60",
    )
)
def search(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML)")],
    slo: Annotated[
        str | None, typer.Option(help="e.g. 'p95<300ms,errors<1%' or 'generate:p95<5s'; absent: the contract's")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    max_rate: Annotated[float | None, typer.Option("--max-rate", help="arrivals per second, never more")] = None,
    budget: Annotated[float, typer.Option(help="load-seconds")] = 120.0,
    start: Annotated[bool, typer.Option("--start", help="start the service by [target.control] on free ports")] = False,
    workers: Annotated[int, typer.Option(help="load processes")] = 1,
    seed: Annotated[int | None, typer.Option(help="same seed, same arrivals and payloads of each trial")] = None,
    out: Out = Path("runs"),
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the highest rate that meets an SLO, as a bracket with its confidence."""
    from plimsoll.commands import search as command

    command.search(contract, slo, endpoint, max_rate, budget, start, workers, seed, out, lang, json, quiet)


def main(arguments: list[str] | None = None) -> Any:
    """The console script: every mistake of a user is one sentence on standard error and an exit code."""
    try:
        return app(args=arguments, prog_name="plimsoll")
    except PlimsollError as error:
        print(f"plimsoll: {error}", file=sys.stderr)
        raise SystemExit(int(error.exit_code)) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"plimsoll: no space left on the disk{where}; the rows written so far are kept: free some space, then finish "
            "the run with: plimsoll recover runs/latest (or the folder given with --out)",
            file=sys.stderr,
        )
        raise SystemExit(int(Exit.INVALID)) from None
    except KeyboardInterrupt:
        print("plimsoll: interrupted", file=sys.stderr)
        raise SystemExit(int(Exit.INTERRUPTED)) from None


if __name__ == "__main__":
    main()
