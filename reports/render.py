"""`report.html`: one file that needs no network and no script, made from a run directory."""

import base64
import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from measurements.rundir import RunDirectory
from reports import advice, documents, findings, tables
from reports.charts.chart import Chart
from reports.charts.load_line import load_line
from reports.charts.over_time import outcomes, resources
from reports.charts.percentiles import percentiles
from reports.charts.response_service import response_service
from reports.charts.token_timings import token_timings
from reports.documents import Documents, listed, section
from reports.series import Series
from reports.wording import Words


def render(run: RunDirectory, lang: str = "en") -> Path:
    """Writes the report into the run directory and returns its path. Missing documents are named in it."""
    words = Words(lang)
    read = documents.read(run)
    load, evidence = _charts(run, read, words)
    style = files("reports").joinpath("templates").joinpath("report.css").read_text(encoding="utf-8")
    page = _environment().get_template("report.html.j2").render(
        zip=zip,
        w=words,
        lang=lang,
        name=read.name,
        documents=read,
        found=findings.find(read, words),
        icons=findings.ICONS,
        advice=advice.advise(read.plan, words),
        load_charts=load,
        evidence_charts=evidence,
        endpoints=tables.endpoint_rows(read),
        limits=tables.limit_rows(read, words),
        checks=tables.check_rows(read, words),
        errors=tables.error_rows(run),
        provenance=tables.provenance_rows(read, words),
        command=read.run.get("command"),
        style=Markup(style),
        style_hash=policy_hash(style),
    )  # fmt: skip
    return run.write_text("report.html", page)


def policy_hash(source: str) -> str:
    """A Content-Security-Policy source expression that allows exactly this inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _unbroken(value: Any) -> Any:
    """A figure stays on one line with its unit."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return re.sub(r"(?<=\d) (?=(ms|s|min|h|%|MiB|GiB)\b|%)", "\u00a0", value)
    return value


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _charts(run: RunDirectory, read: Documents, words: Words) -> tuple[list[Chart], list[Chart]]:
    """(how it carried the load, evidence); a chart without figures is left out."""
    stages, names = read.stages, read.endpoints
    load = [load_line(stages, names, listed(read.summary, "slo"), read.plan, words)]
    evidence = [
        percentiles(stages, names, words),
        response_service(stages, words),
        *_over_time(run, read, words),
    ]
    evidence.insert(3, token_timings(stages, names, words))
    return [chart for chart in load if chart], [chart for chart in evidence if chart]


def _over_time(run: RunDirectory, read: Documents, words: Words) -> list[Chart | None]:
    made: list[Chart | None] = []
    try:
        series = Series(run, read.run)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        read.missing.append(f"samples: {error}")
        return made
    contract = section(read.run, "contract")
    drawings: list[Callable[[], Chart | None]] = [
        lambda: outcomes(series.outcomes(), read.stages, words),
        lambda: resources(series.resources(), contract, read.stages, words),
    ]
    for drawing in drawings:
        try:
            made.append(drawing())
        except duckdb.Error as error:
            read.missing.append(str(error))
    series.close()
    return made
