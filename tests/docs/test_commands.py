"""Documented commands: each is understood by the program that it calls; the blocks marked "run" are executed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from plimsoll.cli import app
from tests.docs import pages

BIN = Path(sys.executable).parent
SHORT_S = 3
COMMANDS = pages.commands()
ELSEWHERE = {
    "cat",
    "export",
    "openssl",
    "python3",
    "locust",
    "uv",
}  # not ours to check, beyond that the files they name are ours


def test_there_are_commands_to_check() -> None:
    assert {words[0] for _, words in COMMANDS} >= {"plimsoll", "make"}


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=[f"{page}: {' '.join(words)[:60]}" for page, words in COMMANDS]
)
def test_a_documented_command_is_understood(page: str, words: list[str]) -> None:
    program = Path(words[0]).name
    if program == "plimsoll":
        _parse(words[1:])
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (pages.ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        assert [word for word in words[1:] if "=" not in word and word not in targets] == []
    elif program == "python":
        named = [word for word in words[1:] if word.endswith((".py", ".md")) or word.startswith("tests/")]
        assert named and all((pages.ROOT / name).exists() for name in named)
        options = (pages.ROOT / "tests/prove/conftest.py").read_text(encoding="utf-8")
        ours = [word for word in words if word.startswith(("--truth-", "--write-"))]
        assert all(f'"{word.removeprefix("--truth-")}"' in options for word in ours)
    else:
        assert program in ELSEWHERE, f"{page}: nothing checks {program!r}"


def _parse(words: list[str]) -> None:
    """As the command line would, without doing it: unknown commands, options and wrong values raise."""
    group: Any = get_command(app)
    assert words[0] in group.commands
    command = group.commands[words[0]]
    command.make_context(words[0], list(words[1:]))


class Answers(BaseHTTPRequestHandler):
    """The service of the guides: /api/ask and /api/search."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"answer": "yes", "results": [{"text": "from nine to six"}]}).encode()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def followed(service: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which somebody followed my-own-service.md, and what the commands printed."""
    folder = tmp_path_factory.mktemp("own")
    said = [_type(block.text, folder, service) for block in pages.blocks(pages.HOW_TO / "my-own-service.md")
            if block.mark == "run"]  # fmt: skip
    return folder, "\n".join(said)


def _type(commands: str, folder: Path, service: str) -> str:
    text = commands.replace("http://127.0.0.1:8000", service)
    text = re.sub(r"--duration \d+", f"--duration {SHORT_S}", text).replace(
        "breakpoint", "breakpoint --rate 20"
    )  # no probe
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), f"{text}\n{done.stdout}\n{done.stderr}"  # 3: this machine was too busy to measure
    return done.stdout


def test_who_follows_the_guide_gets_a_report(followed: tuple[Path, str]) -> None:
    folder, said = followed
    assert "ready to run" in said
    assert (folder / "runs" / "latest" / "report.html").is_file()
    summary = json.loads((folder / "runs" / "latest" / "summary.json").read_text(encoding="utf-8"))
    assert summary["endpoints"]["ask"]["outcomes"] == {"ok": summary["endpoints"]["ask"]["count"]}


def test_the_review_guide_plans_from_that_run(followed: tuple[Path, str], service: str) -> None:
    folder, _ = followed
    said = [
        _type(b.text, folder, service) for b in pages.blocks(pages.HOW_TO / "capacity-review.md") if b.mark == "run"
    ]
    assert len(said) == 1
    assert 'id="decision"' in (folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")


@pytest.mark.prove
def test_the_tutorial_runs_as_it_is_printed(service: str, tmp_path: Path) -> None:
    """In a folder of its own, with short loads; what the numbers then are worth, the reports say themselves. Three starts
    of a service: part of make prove."""
    said = [
        _type(b.text, tmp_path, service) for b in pages.blocks(pages.ROOT / "docs" / "tutorial.md") if b.mark == "run"
    ]
    assert len(said) == 4 and "kakao" in said[1]
    plan = json.loads((tmp_path / "runs" / "latest" / "plan.json").read_text(encoding="utf-8"))
    assert plan["demand"]["demand_rps"] == 60
    assert all((tmp_path / where / "latest" / "report.html").is_file() for where in ("runs", "before", "after"))


def test_what_the_comparison_says_of_locusts_percentiles_is_what_locust_does() -> None:
    [block] = [
        b for b in pages.blocks(pages.ROOT / "docs" / "comparison.md") if (b.language, b.mark) == ("python", "run")
    ]
    done = subprocess.run([sys.executable, "-c", block.text], capture_output=True, text=True, check=True)
    assert block.text.rstrip().endswith(f"# {done.stdout.strip()}")


def test_the_workload_guide_reads_the_log_that_comes_along(service: str) -> None:
    said = [_type(b.text, pages.ROOT, service) for b in pages.blocks(pages.HOW_TO / "workload.md") if b.mark == "run"]
    assert len(said) == 1 and "By endpoint" in said[0]


def test_the_query_over_rows_works_on_that_run(followed: tuple[Path, str]) -> None:
    folder, _ = followed
    queries = [
        b.text for b in pages.blocks(pages.HOW_TO / "reading-a-run.md") if (b.language, b.mark) == ("python", "run")
    ]
    assert queries
    for query in queries:
        done = subprocess.run([sys.executable, "-c", query], cwd=folder, capture_output=True, text=True, check=True)
        assert "lateness_ms" in done.stdout and "ask" in done.stdout


def test_the_locustfile_of_the_guide_runs_as_it_is_printed(service: str, tmp_path: Path) -> None:
    page = pages.HOW_TO / "locustfiles.md"
    scenario = next(block.text for block in pages.blocks(page) if "# scenario.py" in block.text)
    (tmp_path / "scenario.py").write_text(scenario, encoding="utf-8")
    _type(
        next(block.text for block in pages.blocks(page) if "-f scenario.py" in block.text).splitlines()[0],
        tmp_path,
        service,
    )
    summary = json.loads((tmp_path / "runs" / "latest" / "summary.json").read_text(encoding="utf-8"))
    assert summary["all"]["error_rate"] == 0
    assert {"search", "ask"} >= set(summary["endpoints"]) >= {"search"}
