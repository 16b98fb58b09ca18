"""`report.html`: one file that needs no network and no script, made from a run directory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from measurements.rundir import RunDirectory
from reports import advice, decision, documents, findings, fitted, policies, profile, searched, tables
from reports.charts.aligned import resources
from reports.charts.breakdown import breakdown
from reports.charts.chart import Chart
from reports.charts.heatmap import heatmap
from reports.charts.load_line import load_line
from reports.charts.memory import memory_growth
from reports.charts.over_time import outcomes
from reports.charts.percentiles import percentiles, token_percentiles
from reports.charts.predictions import predictions
from reports.charts.response_service import response_service
from reports.charts.scalability import scalability
from reports.charts.search_bracket import search_bracket
from reports.charts.token_timings import token_timings
from reports.costs import costs
from reports.documents import Documents, level_rps, listed, section, texts
from reports.incidents import incident
from reports.key_figures import ICONS
from reports.made import made
from reports.page import page_of
from reports.quarter import Quarter, quarter
from reports.series import Series
from reports.untested import untested
from reports.verified import verified
from reports.wording import Words


def render(run: RunDirectory, lang: str = "en") -> Path:
    """Writes the report into the run directory and returns its path. Missing documents are named in it."""
    return run.write_text("report.html", _page(run, lang, None))


def render_quarter(runs: Sequence[RunDirectory], baseline: RunDirectory | None, lang: str = "en") -> Path:
    """The capacity review of the newest run with a plan, with the quarter's runs beside the baseline (None: the first)."""
    run, found = quarter(runs, baseline, Words(lang))
    return run.write_text("quarterly.html", _page(run, lang, found))


def _page(run: RunDirectory, lang: str, over_time: Quarter | None) -> str:
    words = Words(lang)
    read = documents.read(run)
    if read.run.get("kind") == "profile":
        return profile.page(run, words)
    load, evidence, memory = _charts(run, read, words)
    cost_headings, cost_rows = fitted.cost_rows(read.plan, words)
    queue_rows, queue_sentences = fitted.queue_rows(read.plan)
    return page_of(
        "report.html.j2",
        words,
        quarter=over_time,
        name=read.name,
        documents=read,
        command_path=f"{run.path.resolve().parent.name}/{run.identity}",
        made=made(read),
        paper=decision.paper(read, words),
        found=findings.find(read, words),
        icons=ICONS,
        advice=advice.advise(read.plan, words),
        demands=advice.demand_rows(read.plan, words),
        costs=costs(read.plan, words),
        narrower=advice.narrower(read.plan, words),
        narrower_command=section(read.plan, "next_best_measurement").get("command"),
        verified=verified(read, words),
        verified_charts=_drawn([lambda: predictions(read.verification, words)], read),
        untested=untested(read, words),
        cost_headings=cost_headings,
        cost_rows=cost_rows,
        queue_rows=queue_rows,
        queue_sentences=queue_sentences,
        thumb=advice.thumb_rows(read.plan),
        evidence_texts=texts(section(read.plan, "bottleneck").get("evidence")),
        load_charts=load,
        evidence_charts=evidence,
        profile=profile.find(run, read.summary, memory, words),
        endpoints=tables.endpoint_rows(read),
        columns=tables.COLUMNS,
        unsaid=tables.unsaid_rows(read),
        glossary=tables.glossary_rows(words),
        limits=tables.limit_rows(read, words),
        incident=incident(read.summary),
        met_limits=policies.limit_rows(read, words),
        traps=policies.trap_rows(read, words),
        checks=tables.check_rows(read, words),
        errors=tables.error_rows(run, read.run),
        provenance=tables.provenance_rows(read, words),
        command=read.run.get("command"),
    )


Drawing = Callable[[], Chart | None]


Points = list[tuple[float, float]]


def _charts(run: RunDirectory, read: Documents, words: Words) -> tuple[list[Chart], list[Chart], Points]:
    """(how it carried the load, evidence, the service's memory over time in s and MiB); a chart without figures is left out,
    one that fails is named as missing."""
    stages, names, slo = read.stages, read.endpoints, listed(read.summary, "slo")
    contract = section(read.run, "contract")
    rising = sorted(stages, key=lambda stage: level_rps(stage) or 0.0) if read.search else stages
    telling = searched.telling(read.search, rising) if read.search else stages
    load: list[Drawing] = [lambda: load_line(rising, names, slo, read.plan, words)]
    if read.search:
        load.insert(0, lambda: search_bracket(read.search, words))
    evidence: list[Drawing] = [
        lambda: percentiles(telling, names, words),
        lambda: response_service(rising, words),
    ]
    told = section(read.summary, "where_time_went")
    timed: list[Drawing] = []
    memory: Points = []
    with _series(run, read) as series:
        if series is not None:
            memory = _memory(series)
            timed = [
                lambda: outcomes(series.outcomes(), stages, words),
                lambda: heatmap(series.latencies(), series.percentiles(), stages, slo, words),
                lambda: resources(series, contract, stages, words),
                lambda: memory_growth(series.memory_by_requests(), read.plan, words),
            ]
        tokens: list[Drawing] = [
            lambda: token_timings(stages, names, words),
            lambda: token_percentiles(stages, names, words),
        ]
        evidence += [*timed[:2], *tokens, *timed[2:3], lambda: scalability(stages, words), *timed[3:]]
        evidence.insert(2, lambda: breakdown(told, stages, names, words))
        return _drawn(load, read), _drawn(evidence, read), memory


def _memory(series: Series) -> Points:
    """The chart of resources says it where the file cannot be read."""
    try:
        return [(row[0], row[3]) for row in series.resources().rows if row[1] == "target" and row[3] is not None]
    except duckdb.Error:
        return []


def _drawn(drawings: list[Drawing], read: Documents) -> list[Chart]:
    charts = []
    for drawing in drawings:
        try:
            chart = drawing()
        except Exception as error:  # documents come from anywhere; one bad figure must not cost the report
            read.missing.append(f"{type(error).__name__}: {error}")
            continue
        if chart is not None:
            charts.append(chart)
    return charts


@contextmanager
def _series(run: RunDirectory, read: Documents) -> Iterator[Series | None]:
    try:
        series = Series(run, read.run)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        read.missing.append(f"samples: {error}")
        yield None
        return
    try:
        yield series
    finally:
        series.close()
