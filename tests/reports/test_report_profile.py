"""Profiles on the page: functions, packages, flame graph, blocked threads, memory with its slope; hostile names stay text."""

import re
from pathlib import Path
from typing import Any

import pytest
import synthetic_run

from measurements.rundir import RunDirectory
from reports import explore
from reports.flames import MOST_BOXES, by_package, flame_graph
from reports.render import render
from reports.wording import LANGUAGES

HOSTILE = '<script>alert(1)</script>"\x07'


def tree(name: str, seconds: float, *children: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "seconds": seconds, "children": list(children)}


def document() -> dict[str, Any]:
    leaf = tree("planted_hog (/srv/app.py)", 6.0)
    calls = tree("handle (/srv/app.py)", 8.0, leaf, tree(HOSTILE, 2.0))
    row = {"function": "planted_hog", "file": "/srv/app.py", "line": 12, "self_share": 0.75, "total_share": 0.8,
           "cpu_ms_per_request": 4.5, "package": "the service's own code"}  # fmt: skip
    slope = {"low": 1.0, "mid": 1.5, "high": 2.0, "confidence": 0.95}
    return {
        "schema": 1,
        "rate_rps": 20.0,
        "passes": [{"pass": "cpu", "overhead": {"response_mean": 1.25, "ci95": [1.1, 1.4], "cpu_per_request": 1.5}}],
        "cpu": {
            "why_not": None, "notes": [], "cpu_ms_per_request": 6.0, "functions": [row, {**row, "function": HOSTILE}],
            "packages": [{"package": "json (stdlib)", "share": 0.41}, {"package": "chromadb", "share": 0.22}],
            "tree": tree("all", 8.0, tree("process 1", 8.0, tree("main (/srv/app.py)", 8.0, calls))),
            "flame_graph": "profiles/cpu.svg",
        },
        "frames": {
            "frames": [{"class": "lock", "function": "checkout", "file": "/srv/pool.py", "line": 3, "count": 9, "share": 0.9}],
            "event_loop": {"blocked_share": 0.4, "by": "read_file (/srv/app.py:5)"}, "why_not": None,
        },
        "memory": {"why_not": "memray is not installed in the service's own environment", "notes": []},
        "growth": {"verdict": "leak", "why": "RSS grew", "growth_mib": 3.0, "slope_mib_per_1000_requests": slope},
        "memory_over_time": {"at_s": list(range(20)), "rss_mib": [100 + at * 0.2 for at in range(20)],
                             "phases": {"load": [2.0, 18.0]}},
    }  # fmt: skip


@pytest.fixture
def profiled(tmp_path: Path) -> RunDirectory:
    run = RunDirectory.create(tmp_path, "planted-profile")
    run.write_json(
        "run.json", {"schema": 1, "kind": "profile", "name": "planted", "command": "plimsoll profile x.toml"}
    )
    run.write_json("profiles/profiles.json", document())
    run.write_text("profiles/cpu.svg", "<svg/>")
    return run


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_profile_has_a_page_of_its_own(profiled: RunDirectory, lang: str) -> None:
    page = render(profiled, lang).read_text(encoding="utf-8")
    expected = ["planted_hog", "/srv/app.py:12", "41 % json (stdlib), 22 % chromadb", "6.00", "/srv/pool.py:3", "1.25×"]
    expected += ["read_file (/srv/app.py:5)", "RSS grew", "memray is not installed", 'href="profiles/cpu.svg"']
    for told in expected:
        assert told in page.replace("\u00a0", " "), told
    assert "memory_over_time" in page
    assert "<script" not in page
    assert "\x07" not in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_memory_tells_the_time_until_its_limit_what_a_user_holds_and_what_a_request_allocates(
    profiled: RunDirectory, lang: str
) -> None:
    told = document()
    told["growth"] |= {"hours_to_limit": {"low": 12.0, "mid": 15.0, "high": 21.0}, "limit_mib": 512.0}
    told["users"] = {"users": 64, "mib_per_user_at_least": 0.25}
    told["memory"] = {
        "why_not": None, "notes": [], "base_mib": 100.0, "peak_mib": 140.0, "retained_mib": 12.0, "processes": [1, 2, 3],
        "packages": [{"package": "chromadb", "share": 0.6}, {"package": "numpy", "share": 0.3}],
        "per_request": {"kib": 321.0, "allocations": 4567.0},
    }  # fmt: skip
    profiled.write_json("profiles/profiles.json", told)
    page = render(profiled, lang).read_text(encoding="utf-8").replace("\u00a0", " ")
    for figure in ("512 MiB", "12.0–21.0", "256 KiB", "140 MiB", "60 % chromadb, 30 % numpy", "321 KiB"):
        assert figure in page, figure


def test_the_flame_graph_begins_where_the_branches_part_and_names_every_box(profiled: RunDirectory) -> None:
    found = flame_graph(document()["cpu"]["tree"], "title", "description")
    assert found is not None
    assert "main (/srv/app.py)" not in found  # the trunk below everything
    assert "planted_hog (/srv/app.py): 6 s, 75 %" in found
    assert "&lt;script&gt;" in found
    assert "style=" not in found


def test_callers_of_one_thing_alone_are_passed_over_and_the_services_own_functions_stay() -> None:
    """Middleware on middleware would fill the page before the first function that anybody wrote or chose."""
    query = tree("query (chromadb/api/rust.py)", 5.0)
    search = tree("search (/srv/app.py)", 5.0, tree("wrapper (chromadb/telemetry.py)", 5.0, query))
    middle = tree("__call__ (starlette/middleware/errors.py)", 5.0, tree("app (starlette/routing.py)", 5.0, search))
    found = str(flame_graph(tree("all", 10.0, middle, tree("other (/srv/app.py)", 5.0)), "t", "d"))
    assert "search (/srv/app.py)" not in found  # alone under "all" it is the trunk, and what it calls is shown
    below = str(flame_graph(tree("all", 10.0, tree("root (x.py)", 10.0, middle, tree("b (y.py)", 4.0))), "t", "d"))
    assert "search (/srv/app.py)" in below
    assert "query (chromadb/api/rust.py)" in below
    assert "starlette" not in below
    assert "telemetry" not in below


def test_a_flame_graph_has_bounds_and_none_is_drawn_of_nothing() -> None:
    wide = tree("all", 1.0, *(tree(f"f{n}", 1 / 3000) for n in range(3_000)))
    assert flame_graph(wide, "t", "d").count("<rect") <= MOST_BOXES  # type: ignore[union-attr]
    deep = tree("leaf", 1.0)
    for level in range(500):
        deep = tree(f"f{level}", 1.0, deep, tree("side", 0.2))
    assert flame_graph(tree("all", 1.0, deep), "t", "d").count("<rect") < 100  # type: ignore[union-attr]
    assert flame_graph({}, "t", "d") is None
    assert flame_graph({"seconds": "x", "children": 3}, "t", "d") is None


def test_packages_under_one_percent_are_left_out() -> None:
    assert by_package([{"package": "json", "share": 0.5}, {"package": "rest", "share": 0.001}, {}]) == "50 % json"


def told() -> dict[str, Any]:
    parts = {"retrieval": 6.0, HOSTILE: 3.0}
    stages = {
        f"step-{n:02d}": {"n": 9, "service_ms_mean": 11.0, "outside_ms_mean": 2.0, "parts": parts} for n in range(1, 9)
    }
    listed = [{"name": name, "ms_mean": ms, "share": ms / 11} for name, ms in parts.items()]
    return {
        "generate": {"source": "Server-Timing", "n": 9, "parts": listed, "stages": stages},
        "search": {"why_not": "no"},
    }


def test_a_run_shows_where_time_went_and_what_its_threads_waited_for(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, [5.0, 10.0, 20.0], 3.0)
    places = [{"class": "pool_checkout", "function": "get_conn", "file": "db.py", "line": 7, "count": 11, "share": 0.8}]
    summary = run.read_json("summary.json") | {"where_time_went": told(), "blocked_frames": {"places": places}}
    run.write_json("summary.json", summary)
    page = render(run).read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "Where requests' time went" in page or "Where requests&#39; time went" in page
    assert "It said nothing of search." in page
    assert "waits for a connection of a pool" in page
    assert "db.py:7" in page
    assert re.findall(r"<script>(.*?)</script>", page, re.DOTALL) == [explore.script().replace("\u00a0", " ")]


@pytest.mark.parametrize(
    "damage", [{"cpu": 3}, {"cpu": {"functions": "x", "tree": []}}, {"growth": {"verdict": 7}}, {}]
)
def test_odd_profiles_cost_no_page(profiled: RunDirectory, damage: dict[str, Any]) -> None:
    profiled.write_json("profiles/profiles.json", damage)
    assert render(profiled).stat().st_size > 5_000
    (profiled.path / "profiles" / "profiles.json").write_text("{")
    assert "is damaged" in render(profiled).read_text(encoding="utf-8")
