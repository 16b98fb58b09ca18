"""From run directories to a plan on disk: plan.json, deployment files that were checked, and the report."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import which
from typing import Any

from capacity import alert_rules, deployment, ledger, machine, manifests, validation
from capacity.documents import RunDocuments
from capacity.growth import Growth
from capacity.ledger import Entry
from capacity.machine import Machine
from capacity.plan import make_plan
from capacity.prices import PRICES, PriceBook
from capacity.validation import Ran, ToolRun
from measurements.errors import UsageError
from measurements.interval import Refusal
from measurements.rundir import RunDirectory
from plimsoll import observed
from reports import quantities
from reports.said import say
from reports.wording import Words

LEDGER = "ledger.jsonl"
FOLDER = "deploy"
HORIZON = "12m"
MOST_RPS, MOST_USERS, MOST_TO_MEAN, LONGEST_LEAD_DAYS = 1_000_000, 1_000_000_000, 1_000, 3_650
TOOL_S = 60.0


@dataclass(frozen=True)
class Wish:
    """What is asked for on the command line; None where nothing is said."""

    demand_rps: float | None = None
    users: int | None = None
    growth: str | None = None
    horizon: str | None = None
    peak_to_mean: float = 1.0
    lead_time_days: float = 0.0
    prices: Path | None = None
    machine: Path | None = None


@dataclass(frozen=True)
class Made:
    """`files`: name → text of deployment files; empty where the plan has no number of replicas."""

    document: dict[str, Any]
    files: dict[str, str]
    runs: list[RunDirectory]

    @property
    def home(self) -> RunDirectory:
        return self.runs[-1]

    @property
    def only_refusals(self) -> bool:
        return not (self.document["capacity_rps"] or self.document["scale_up"] or self.document["scale_out"])


def make(run_dirs: Sequence[Path], wish: Wish, today: date) -> Made:
    """Reads the runs and plans; UsageError for words that are not understood."""
    growth = _growth(wish, today)
    book = _prices(wish.prices)
    other = machine.parse(_text(wish.machine, "--machine"), str(wish.machine)) if wish.machine else None
    runs = [RunDirectory.open(path) for path in run_dirs]
    documents = [observed.documents(run) for run in runs]
    return plan(runs, documents, wish, growth, book, other)


def plan(
    runs: list[RunDirectory], documents: list[RunDocuments], wish: Wish, growth: Growth | None = None,
    book: PriceBook | None = None, other: Machine | None = None, files: bool = True,
) -> Made:  # fmt: skip
    """Without `files` no deployment files are made: those are for a demand that somebody has named."""
    past = track_record(runs[-1])
    made = make_plan(
        documents, wish.demand_rps, growth, users=wish.users, peak_to_mean=wish.peak_to_mean,
        lead_time_days=wish.lead_time_days, prices=book or _prices(None), track_record=past, on=other,
    )  # fmt: skip
    document = made.as_json()
    document["rests_on"] = [{"run": run.identity, "path": str(run.path)} for run in runs]
    document["made_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    document["prices_are_examples"] = wish.prices is None
    made_files: dict[str, str] = {}
    if files:
        document["deployment_files"], made_files = _deployment(document, documents[-1])
    return Made(document, made_files, runs)


def _deployment(document: Mapping[str, Any], run: RunDocuments) -> tuple[dict[str, Any], dict[str, str]]:
    """What plan.json says of the files, and the files."""
    deployed = deployment.of(document, run)
    if isinstance(deployed, Refusal):
        return {"refusal": deployed.as_json()}, {}
    names = alert_rules.metric_names(run)
    files = manifests.render(deployed, names)
    checked = validation.as_document(validation.validate(files, _run_tool))
    return {**checked, "alerts_not_translated": alert_rules.not_translated(deployed, names)}, files


def write(made: Made, out: Path | None) -> Path:
    """plan.json and deploy/ into the last run's directory, and into `out` as well; returns where plan.json is."""
    made.home.write_json("plan.json", made.document)
    _write_files(made.home.path / FOLDER, made.files)
    if out is None:
        return shown(made.home.path) / "plan.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = (made.home.path / "plan.json").read_text(encoding="utf-8")
        (out / "plan.json").write_text(text, encoding="utf-8")
        _write_files(out / FOLDER, made.files)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}); name another folder with --out") from error
    return out / "plan.json"


def shown(path: Path) -> Path:
    """As a person here would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def track_record(home: RunDirectory) -> list[Entry]:
    """Past predictions on record beside the runs."""
    return read_ledger(home.path.parent / LEDGER)


def read_ledger(path: Path) -> list[Entry]:
    if not path.is_file():
        return []
    return ledger.parse(path.read_text(encoding="utf-8").splitlines(), str(path))


def lines(made: Made, folder: Path, words: Words) -> list[str]:
    """What a person should know of the files: which were checked by what, and which were not."""
    found = made.document["deployment_files"]
    if "refusal" in found:
        return [words("made.no_files", reason=say(found["refusal"]["reason"], words.lang))]
    checked = found["validated"]
    good = [f"{one['file']} ({one['by']})" for one in checked if one["state"] == "valid"]
    bad = [f"{one['file']}: {one['says']}" for one in checked if one["state"] == "invalid"]
    rest = [f"{one['file']} ({one['says']})" for one in checked if one["state"] == "not validated"]
    said = [words("made.files", count=len(made.files), folder=folder / FOLDER)]
    said += [words("made.valid", files=", ".join(good))] if good else []
    said += [words("made.invalid", sentence=sentence) for sentence in bad]
    said += [words("made.unchecked", files="; ".join(rest))] if rest else []
    said += [words("made.no_rule", sentence=say(one, words.lang)) for one in found.get("alerts_not_translated") or []]
    return said


def money_line(document: Mapping[str, Any], words: Words) -> str | None:
    """Cost of the last scale-out option, a figure per currency."""
    options = document.get("scale_out") or []
    costs = (options[-1].get("cost") or []) if options else []
    if not costs:
        return None
    said = "; ".join(
        words("made.cost", month=quantities.money(one["per_month"], one["currency"]),
              year=quantities.money(one["per_year"], one["currency"]), machine=one["machine"], date=one["price_date"])
        for one in costs
    )  # fmt: skip
    return words("made.money_example" if document.get("prices_are_examples") else "made.money", costs=said)


def _growth(wish: Wish, today: date) -> Growth | None:
    if wish.demand_rps is not None and not 0 < wish.demand_rps <= MOST_RPS:
        raise UsageError(f"--demand {wish.demand_rps:g}: give requests per second above 0 and up to {MOST_RPS:,}")
    if wish.users is not None and not 1 <= wish.users <= MOST_USERS:
        raise UsageError(f"--users {wish.users}: give a number of users from 1 to {MOST_USERS:,}")
    if wish.demand_rps is not None and wish.users is not None:
        raise UsageError("--demand (a rate) and --users (people) exclude each other; give one")
    if not 1 <= wish.peak_to_mean <= MOST_TO_MEAN:
        raise UsageError(
            f"--peak-to-mean {wish.peak_to_mean:g}: the peak is at least the mean, so give 1 to {MOST_TO_MEAN:,}"
        )
    if not 0 <= wish.lead_time_days <= LONGEST_LEAD_DAYS:
        raise UsageError(f"--lead-time {wish.lead_time_days:g}: give days from 0 to {LONGEST_LEAD_DAYS:,}")
    if wish.horizon is not None and wish.growth is None:
        raise UsageError(
            f"--horizon {wish.horizon} says how far to plan; say how demand grows too, e.g. --growth 10%/month"
        )
    if wish.growth is None:
        return None
    if wish.demand_rps is None and wish.users is None:
        raise UsageError(f"--growth {wish.growth} of what? give today's --demand RPS or --users N")
    return Growth.parse(wish.growth, wish.horizon or HORIZON, today)


def _prices(path: Path | None) -> PriceBook:
    return PriceBook.parse(_text(path or PRICES, "--prices"), str(path or PRICES))


def _text(path: Path, word: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UsageError(f"{word} {path} cannot be read ({reason}); name a file") from error


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    if not files:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _run_tool(wanted: ToolRun) -> Ran | None:
    """A validator on its files in a folder of their own; None where it is not installed."""
    if which(wanted.argv[0]) is None:
        return None
    with tempfile.TemporaryDirectory(prefix="plimsoll-") as folder:
        for name, text in wanted.files.items():
            (Path(folder) / name).write_text(text.replace("{folder}", folder), encoding="utf-8")
        argv = [part.replace("{folder}", folder) for part in wanted.argv]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=TOOL_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Ran(1, f"{wanted.argv[0]}: {error}")
    return Ran(done.returncode, done.stdout + done.stderr)
