"""The pages against axe's accessibility rules, in headless Chromium where there is one.

vendor/axe-4.14.1.min.js is axe-core as published (MPL 2.0, see its head).
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import synthetic_run

from measurements.rundir import RunDirectory
from reports import comparison
from reports.render import render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
RUN = """
axe.run(document, {resultTypes: ["violations"]}).then(found => document.documentElement.setAttribute("data-axe",
  JSON.stringify(found.violations.map(v => v.id + ": " + v.nodes.map(n => n.html.slice(0, 120)).join(" | ")))));
"""
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--virtual-time-budget=20000", "--dump-dom"]  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Every part of the page on few rows: axe looks at each cell of each table."""
    return synthetic_run.write(tmp_path_factory.mktemp("short"), rates=[10, 80], stage_s=4)


def opened(source: str, folder: Path, script: str, attribute: str, *flags: str) -> Any:
    """What a script puts into an attribute of the page as JSON; its policy is lifted, for the page itself allows no other."""
    lifted = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    page = folder / "page.html"
    page.write_text(lifted.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(rf'{attribute}="([^"]*)"', done.stdout)
    assert found, f"the script did not finish: {done.stderr[-500:]}"
    return json.loads(html.unescape(found[1]))


def violations(source: str, folder: Path, *flags: str) -> list[str]:
    """What axe objects to in the page."""
    script = AXE.read_text(encoding="utf-8") + RUN
    return opened(source.replace("<details>", "<details open>"), folder, script, "data-axe", *flags)


@pytest.mark.parametrize(
    "flags",
    [("--window-size=1200,900",), ("--window-size=500,900", "--blink-settings=preferredColorScheme=0")],
    ids=["wide and light", "narrow and dark"],
)
def test_axe_finds_nothing_in_the_report(short: RunDirectory, tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert violations(render(short, "ko").read_text(encoding="utf-8"), tmp_path, *flags) == []


def test_axe_finds_nothing_in_a_comparison(short: RunDirectory, run: RunDirectory, tmp_path: Path) -> None:
    assert violations(comparison.page(comparison.compare(short, run)), tmp_path) == []


def test_the_check_itself_can_fail(tmp_path: Path) -> None:
    broken = '<!doctype html><html><head><title>x</title></head><body><img src="data:,"></body></html>'
    found = violations(broken, tmp_path)
    assert any(one.startswith("image-alt") for one in found)
    assert any(one.startswith("html-has-lang") for one in found)
