"""`search(wish) -> Found`: the highest rate within an SLO, from a contract to a finished run directory with search.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from loadtests.arrivals import Stage
from loadtests.search import answer
from loadtests.search.course import Course, Done, Wishes
from loadtests.search.goal import Limits, in_words
from loadtests.search.searching import Search
from loadtests.search.trial import Request, Rows
from loadtests.search.verdict import Verdict
from measurements import slo
from measurements.check import INVALID, NOTE
from measurements.errors import Exit, Interrupted, UsageError
from plimsoll import finish, money, permission
from plimsoll.measure import Run
from plimsoll.ready import Ready, ready
from plimsoll.run_document import first_document
from plimsoll.spec import Spec, checked, load_plan
from plimsoll.trials import Trials, merged_plan
from plimsoll.watcher import Watcher
from targets.contract import Contract, Slo
from targets.urls import is_private, resolve

EXCUSED = ("generator_added", "generator_cpu", "dropped_arrivals", "load_delivered", "generator_errors")
POLICIES = ("client", "front", "upstream")


@dataclass(frozen=True)
class Found:
    """A finished search: the run that holds its rows, search.json, and what the command ends with."""

    run: Run
    document: dict[str, Any]
    exit: Exit


def search(spec: Spec, limits: Limits | None, wishes: Wishes, watcher: Watcher | None = None) -> Found:
    """Runs the whole search, or up to the first signal. `limits` of None: those of the contract. PlimsollError for a
    user's mistake."""
    watcher = watcher or Watcher()
    spec = replace(checked(spec), shape="search")
    assert spec.contract is not None
    if limits:
        contract = spec.contract.model_copy(update={"slo": {name: Slo(**m) for name, m in limits.items()}})
        contract._folder = spec.contract.folder
        spec = replace(spec, contract=contract)
    limits = judged_limits(spec)
    cap = money.estimate(spec.contract, 0).max_requests  # refused here where it is paid and without a cap
    with ready(spec, watcher) as r:
        _may_go(r, wishes)
        return _search(r, limits, wishes, watcher, cap)


def judged_limits(spec: Spec) -> Limits:
    """The limits that a rate can be too high for. A floor under the goodput is none: the lowest rate would miss it."""
    stated = spec.limits() or slo.DEFAULT
    limits = {name: {k: v for k, v in metrics.items() if k != "min_goodput_rps"} for name, metrics in stated.items()}
    limits = {name: metrics for name, metrics in limits.items() if metrics}
    if not limits:
        raise UsageError("the contract only asks for a least goodput, which no search can fail by; give one with --slo")
    return limits


def _may_go(r: Ready, wishes: Wishes) -> None:
    """Beyond this machine and private networks a search needs a record, and stays below the rate that it names."""
    for url in r.urls:
        address = resolve(url)
        permission.check(url, address, 0.0)
        if not is_private(address):
            if wishes.max_rps == float("inf"):
                raise UsageError(f"a search raises the rate until {url} fails; name the highest rate with --max-rate")
            permission.check(url, address, wishes.max_rps)


def _search(r: Ready, limits: Limits, wishes: Wishes, watcher: Watcher, cap: int | None) -> Found:
    first = load_plan(replace(r.spec, rate_rps=1.0, shape="load"), r.run.identity, r.urls, r.placement.generator, 1.0)
    spent = f"up to {wishes.budget_s:g} load-seconds" + (f", at most {cap:,} requests for max_usd" if cap else "")
    document = first_document(r.spec, first, r.run, r.placement, r.services, spent, None, r.asked)
    document["seed"] = wishes.seed
    document["schedule"] |= {"process": "search", "stages": []}
    r.run.write_json("run.json", document)
    looking = r.watch(overload=True)
    watcher.phase(f"searching for the highest rate within {in_words(limits)}, {spent} -> {r.run.path}")

    def write(workers: list[dict[str, Any]], stages: list[Stage]) -> None:
        document["workers"] = workers
        document["schedule"]["stages"] = [stage.as_json() for stage in stages]
        r.run.write_json("run.json", document)

    trials = Trials(r, looking, write, cap, _news(watcher))
    searching = Search(trials, limits, wishes, _said(trials, watcher), trials.stop)
    try:
        course = searching.run()
    except Interrupted:
        if not trials.stages:
            raise
        course = searching.course
    finally:
        looking.stop()
    watcher.phase("reading the rows")
    trials.clear_up()
    return _finish(r, trials, course, limits, first, document, looking)


def _finish(
    r: Ready, trials: Trials, course: Course, limits: Limits, first: Any, document: dict[str, Any], looking: Any
) -> Found:
    ended = "stopped" if trials.stop() and not r.signals.interrupted else "completed"
    account = trials.merged_account(ended, course.stopped)
    plan = merged_plan(first, trials.stages)
    document["schedule"] |= {"stages": [stage.as_json() for stage in trials.stages], "pool_cap": plan.pool_cap}
    run = finish.finish(r.spec, plan, r.run, document, account, looking, r.signals.interrupted)
    verdict = _excused(run.validity)
    found = answer.document(course, in_words(limits))
    found |= {
        "run": r.run.identity,
        "limits": limits,
        "limit": _policy(found["limit"], run.summary, r.spec.contract),
        "valid": found["valid"] and verdict["valid"],
    }
    code = _exit(found, run, r.signals.interrupted, account.target_died)
    finish.close(r.run, document, run.summary, verdict, code, account)
    r.run.write_json("search.json", found)
    return Found(replace(run, validity=verdict, exit=code), found, code)


def _excused(verdict: dict[str, Any]) -> dict[str, Any]:
    """Each trial was judged by itself: a fail only by what the target did after the request was sent, a pass with what
    the generator added. So these checks cannot flip a verdict, and stand as notes."""
    why = "each trial was judged by what the target did once a request was sent"
    checks = [
        {**check, "state": NOTE, "sentence": f"{check['sentence']}; {why}"}
        if check["state"] == INVALID and check["check"] in EXCUSED
        else check
        for check in verdict["checks"]
    ]
    return {**verdict, "checks": checks, "valid": not any(check["state"] == INVALID for check in checks)}


def _policy(limit: dict[str, Any] | None, summary: dict[str, Any], contract: Contract | None) -> dict[str, Any] | None:
    """Whose refusals ended it, in words: a limit that somebody set is a policy, and no measure of what the service can do."""
    if limit is None:
        return None
    binding = next((one for one in summary.get("limits", []) if one["binds"]), None)
    kind = binding["kind"] if binding else None
    policy = kind in POLICIES or (kind in (None, "unstated") and limit["status"] == 429)
    said = binding["sentence"] if binding else f"{limit['requests']:,} requests were answered with {limit['status']}"
    what = "a limit that somebody set: policy, not capacity" if policy else "the service refused what it could not take"
    clients = contract.users.identities if contract else 1
    remedy = ""
    if policy and kind in ("client", None, "unstated"):
        remedy = f"raise the limit, or spread the load over more clients ([users] identities, now {clients})"
    lets = f". {_let_through(limit)}" if limit.get("rate_rps") else ""
    return {**limit, "policy": policy, "by": kind, "sentence": f"{what}. {said}{lets}", "remedy": remedy}


def _let_through(limit: dict[str, Any]) -> str:
    rate, error, burst = limit["rate_rps"], limit["rate_error_rps"], round(limit["burst"])
    stored = f" once a burst of {burst} is spent" if burst >= 2 else ""
    return (
        f"While it refused, it let {rate:.4g} ± {max(2 * error, 0.0005 * rate):.1g} requests a second through{stored}"
    )


def _exit(found: dict[str, Any], run: Run, interrupted: bool, died: bool) -> Exit:
    codes = []
    outcomes = run.summary["all"]["outcomes"]
    if died or (outcomes and set(outcomes) <= {"connect_error"}):
        codes.append(Exit.UNREACHABLE)
    if interrupted:
        codes.append(Exit.INTERRUPTED)
    if not found["valid"] or (found["lower_rps"] is None and found["upper_rps"] is None):
        codes.append(Exit.INVALID)
    return Exit.first(*codes)


def _said(trials: Trials, watcher: Watcher) -> Callable[[Done], None]:
    def said(done: Done) -> None:
        if done.verdict() is Verdict.GENERATOR_LIMIT:
            trials.void(done.request.number)
        watcher.phase(trial_line(done))

    return said


def trial_line(done: Done) -> str:
    judged = done.judgements["all"]
    verdict = str(judged.verdict).replace("_", " ")
    figure = answer.figure(judged.metric, judged.value)
    limit = answer.figure(judged.metric, judged.limit)
    shown = (
        f", {judged.metric} {figure}, limit {limit}" if judged.value is not None else f", {judged.metric} over {limit}"
    )
    shown = shown if judged.metric else ""
    why = f" ({judged.why})" if judged.verdict is not Verdict.PASS else ""
    name = answer.stage_name(done.request.number)
    purpose = done.request.purpose.replace("_", "-")
    return f"{name} {purpose:<14} {done.rate_rps:8.1f} rps  {done.seconds:4.1f} s  {verdict}{why}{shown}"


def _news(watcher: Watcher) -> Callable[[Request, Rows], None]:
    """On a terminal the line that is redrawn; logs hear of finished trials only."""
    live = getattr(watcher, "redraws", False)

    def news(request: Request, rows: Rows) -> None:
        if live:
            name, purpose = answer.stage_name(request.number), request.purpose.replace("_", "-")
            open_ = int((rows.done_s > rows.elapsed_s).sum())
            watcher.phase(
                f"{name} {purpose} at {request.rate_rps:.1f} rps: {rows.elapsed_s:.0f} of {request.duration_s:.0f} s, "
                f"{open_} in flight"
            )

    return news
