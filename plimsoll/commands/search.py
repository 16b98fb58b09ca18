"""plimsoll search"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from pathlib import Path

from loadtests.search.course import Wishes
from loadtests.search.goal import parse_slo
from measurements.errors import UsageError
from plimsoll.display import watcher
from plimsoll.publish import report_of
from plimsoll.searching import search as run_search
from plimsoll.spec import Spec
from reports import wording
from reports.search_lines import search_lines
from targets.contract_file import load

LEAST_BUDGET_S = 10.0


def search(
    contract: Path, slo: str | None, endpoint: str | None, max_rate: float | None, budget: float, start: bool,
    workers: int, seed: int | None, out: Path, lang: str, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    wording.Words(lang)  # refuses a language that no report is written in, before anything runs
    if not LEAST_BUDGET_S <= budget <= 86_400:
        raise UsageError(f"--budget {budget:g}: give load-seconds from {LEAST_BUDGET_S:g} up to a day")
    if max_rate is not None and not 0 < max_rate <= 1_000_000:
        raise UsageError(f"--max-rate {max_rate:g}: give a rate above 0 and up to 1,000,000 per second")
    loaded = load(contract)
    names = [one.name for one in loaded.endpoint]
    limits = parse_slo(slo, names) if slo else None
    if endpoint and limits and (others := set(limits) - {"all", endpoint}):
        raise UsageError(f"--slo names {', '.join(sorted(others))}, and --endpoint {endpoint} sends only that one")
    spec = Spec(
        contract=loaded, contract_path=contract, endpoint=endpoint, workers=workers, seed=seed, start=start, out=out,
        command=shlex.join(["plimsoll", *sys.argv[1:]]),
    )  # fmt: skip
    wishes = Wishes(budget, max_rate or float("inf"), seed if seed is not None else secrets.randbelow(2**31))
    found = run_search(spec, limits, wishes, watcher(quiet or as_json))
    path = report_of(found.run, lang)
    if as_json:
        print(json.dumps(found.document, ensure_ascii=False))
    else:
        print("\n".join(search_lines(found.document, loaded.target.name, path, lang)))
    raise SystemExit(int(found.exit))
