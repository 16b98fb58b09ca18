"""What a hostile service says in bodies, headers, metrics, health and descriptions moves no cursor, opens no tag, is no markup."""

import contextlib
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hostile_text import ALL, BIDI, C1, EVERY, IN_A_HEADER, SCRIPT, unsafe
from servers import Asked, Line, Scripted, answer, head, openai, sse

from measurements.plain import plain
from measurements.rundir import RunDirectory
from plimsoll import cli, defects


def refuses(line: Line, _: Asked) -> None:
    body = json.dumps({"detail": ALL}).encode()
    more = b"Server: " + IN_A_HEADER + b'\r\nServer-Timing: db;desc="' + IN_A_HEADER.replace(b'"', b"") + b'";dur=1\r\n'
    line.send(head(503, Content_Length=len(body)).replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n") + body)


def redirects(line: Line, _: Asked) -> None:
    line.send(
        b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: http://" + IN_A_HEADER.replace(b" ", b"") + b"/\r\n\r\n"
    )


def packs(line: Line, _: Asked) -> None:
    line.send(b"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Encoding: " + IN_A_HEADER + b"\r\n\r\nx")


METRICS = "\n".join(
    [f'evil_total{{word="{word}"}} {k}'.replace("\n", " ") for k, word in enumerate(w.replace('"', "'") for w in EVERY)]
).encode("utf-8", "replace")
OPENAPI = {
    "openapi": "3.1.0", "info": {"title": ALL, "version": ALL},
    "paths": {f"/e{ALL}": {"get": {"summary": ALL, "operationId": ALL, "tags": [ALL], "responses": {"200": {}}}},
              "/search": {"get": {"operationId": ALL, "parameters": [{"name": "q", "in": "query", "example": ALL}],
                                  "responses": {"200": {"description": ALL}}}}},
}  # fmt: skip
SCRIPTS = {
    "/refuses": refuses, "/redirects": redirects, "/packs": packs, "/search": answer(),
    "/stream": sse([openai(ALL), {"error": {"message": ALL}}]), "/html": answer(502, f"<title>{ALL}</title>".encode()),
    "/metrics": answer(body=METRICS), "/health": answer(500, ALL.encode()),
    "/openapi.json": answer(body=json.dumps(OPENAPI).encode()),
}  # fmt: skip
CONTRACT = """
[target]
name = "hostile"
base_url = "{url}"
[target.observe]
prometheus = "/metrics"
[[endpoint]]
name = "../../../etc/x"
path = "/refuses"
[[endpoint]]
name = "<script>alert(1)</script>"
path = "/redirects"
[[endpoint]]
name = "packs"
path = "/packs"
expect = {{ contains = "x" }}
[[endpoint]]
name = "stream"
path = "/stream"
stream = "sse"
[[endpoint]]
name = "=cmd|calc"
path = "/html"
[[endpoint]]
name = "health"
kind = "health"
path = "/health"
weight = 0
"""


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, dict[str, str]]:
    """A run against all of it, and what each command said (standard output and error together)."""
    folder = tmp_path_factory.mktemp("hostile")
    said: dict[str, str] = {}
    with Scripted(SCRIPTS) as server:
        contract = folder / "hostile.toml"
        contract.write_text(CONTRACT.format(url=server.url), encoding="utf-8")
        runs = folder / "runs"
        commands = {
            "run": ["run", contract, "--rate", "40", "--duration", "2", "--seed", "1", "--out", runs],
            "check": ["check", contract], "check --json": ["check", contract, "--json"],
            "init": ["init", server.url, "-o", folder / "made.toml"],
            "markdown": ["report", runs / "latest", "--as", "markdown"], "junit": ["report", runs / "latest", "--as", "junit"],
            "compare": ["compare", runs / "latest", runs / "latest"], "plan": ["plan", runs / "latest", "--demand", "3"],
            "weekly": ["report", runs / "latest", "--as", "weekly"],
            "json": ["compare", runs / "latest", runs / "latest", "--json"],
        }  # fmt: skip
        for name, words in commands.items():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
                cli.main([str(word) for word in words])
            said[name] = out.getvalue() + err.getvalue()
    return RunDirectory((runs / "latest").resolve()), said


def test_no_command_lets_anything_through_that_a_terminal_acts_on(met: tuple[RunDirectory, dict[str, str]]) -> None:
    _, said = met
    assert all(said.values()), {name: text for name, text in said.items() if not text}
    assert {name: found for name, text in said.items() if (found := unsafe(text))} == {}
    assert not any("does not expect" in text or "Traceback" in text for text in said.values()), said


def test_the_files_that_a_person_may_print_are_harmless_too(met: tuple[RunDirectory, dict[str, str]]) -> None:
    run, _ = met
    texts = {path.name: path.read_text(encoding="utf-8") for path in run.path.rglob("*")
             if path.suffix in (".json", ".jsonl", ".md", ".xml", ".html")}  # fmt: skip
    assert {"summary.json", "examples.jsonl", "report.html"} <= set(texts)
    assert {name: found for name, text in texts.items() if (found := unsafe(text))} == {}
    for name, text in texts.items():
        if name.endswith(".json"):
            json.loads(text)
    ElementTree.fromstring((run.path / "junit.xml").read_text(encoding="utf-8"))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.handlers, self.links = [], [], []
        self.csp = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given)
        if given.get("http-equiv", "").lower() == "content-security-policy":
            self.csp = given["content"] or ""
        self.handlers += [f"{tag} {name}" for name in given if name.startswith("on")]
        self.links += [value for name, value in attrs if name in ("href", "src", "action") and value]


def test_the_page_has_no_tag_handler_or_link_of_the_targets_and_its_policy_forbids_the_network(
    met: tuple[RunDirectory, dict[str, str]],
) -> None:
    run, _ = met
    page = (run.path / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert "default-src 'none'" in tags.csp and "connect-src" not in tags.csp.replace("connect-src 'none'", "")
    assert tags.handlers == []
    assert all(link.startswith(("#", "data:")) for link in tags.links), tags.links[:5]
    assert "<script>alert" not in page and "onerror=alert(1)>" not in page.replace("&gt;", "")
    for script in re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL):
        assert "alert(1)" not in script


def test_a_csv_in_the_page_holds_no_formula(met: tuple[RunDirectory, dict[str, str]]) -> None:
    run, _ = met
    from urllib.parse import unquote

    page = (run.path / "report.html").read_text(encoding="utf-8")
    sheets = [unquote(data) for data in re.findall(r"data:text/csv[^,\"]*,([^\"]*)", page)]
    cells = [cell for sheet in sheets for row in csv.reader(io.StringIO(sheet)) for cell in row]
    assert [cell for cell in cells if cell[:1] in ("=", "+", "@", "\t", "\r")] == []


def test_names_never_become_paths(met: tuple[RunDirectory, dict[str, str]]) -> None:
    run, _ = met
    outside = [path for path in run.path.parents[1].rglob("*") if path.name in ("x", "x.json") or "script" in path.name]
    assert outside == []
    assert all(run.path in path.resolve().parents for path in run.path.rglob("*"))


@pytest.mark.parametrize("name", ["../../up", "/etc/x", "a/../../b", "..", "con\x00nul", "n" * 300, "<b>", "x\n../y"])
def test_a_runs_name_stays_inside_its_folder(name: str, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "runs", name)
    assert run.path.parent == tmp_path / "runs" and re.fullmatch(r"[\w-]+", run.identity)


def test_the_written_contract_is_plain_and_loads(met: tuple[RunDirectory, dict[str, str]]) -> None:
    import tomllib

    run, said = met
    made = run.path.parents[1] / "made.toml"
    assert made.exists(), said["init"]
    text = made.read_text(encoding="utf-8")
    assert unsafe(text) == [] and "49" not in re.findall(r"name = \"(.*)\"", text)
    tomllib.loads(text)


def test_plain_text_is_left_as_it_is_and_everything_else_is_shown_as_its_code() -> None:
    assert plain("한글, emoji 🙂, tab\t and\nline　end") == "한글, emoji 🙂, tab\t and\nline　end"
    assert (
        plain(C1) == "\\u009b31mred\\u009b0m"
        and plain(BIDI) == "\\u202egnp.exe"
        and plain("a\rb\x1b") == "a\\rb\\u001b"
    )
    assert plain(SCRIPT) == SCRIPT


def test_what_nobody_expected_is_one_sentence_with_its_place_and_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plimsoll.commands.doctor.doctor", lambda *_, **__: {}["all"])
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor"])
    said = capsys.readouterr().err
    assert end.value.code == 3 and len(said.splitlines()) == 1
    assert "KeyError: 'all'" in said and defects.SHOW in said
    monkeypatch.setenv(defects.SHOW, "1")
    with pytest.raises(KeyError):
        cli.main(["doctor"])
