"""plimsoll init: from a running service to a contract that check accepts, without a question and without harm."""

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import said
from fastapi import FastAPI
from pydantic import BaseModel
from servers import Scripted, answer

from plimsoll.first_look import _command, _start
from targets.contract_file import load


class Question(BaseModel):
    question: str


class Answer(BaseModel):
    answer: str


def service() -> FastAPI:
    """A team's app; only its description is used here."""
    app = FastAPI(title="레시피 Helper", version="0.3")

    @app.post("/api/ask")
    def ask(body: Question) -> Answer: ...

    @app.get("/api/search")
    def search(q: str, k: int = 5) -> list[str]: ...

    @app.delete("/api/recipes/{recipe_id}")
    def drop(recipe_id: int) -> None: ...

    @app.post("/api/queue/clear")
    def clear() -> None: ...

    @app.get("/health")
    def health() -> None: ...

    return app


def pages(**more: Any) -> dict[str, Any]:
    return {
        "/openapi.json": answer(body=json.dumps(service().openapi()).encode()),
        "/health": answer(), "/metrics": answer(body=b"# TYPE asked counter\nasked_total 3\n"),
        "/api/ask": answer(body=b'{"answer": "yes"}'), "/api/search": answer(body=b'["a"]'), **more,
    }  # fmt: skip


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(pages()) as running:
        yield running


def test_the_contract_is_one_that_check_accepts_without_a_touch(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "plimsoll.toml"
    done = said(capsys, "init", server.url, "-o", written)
    assert done.code == 0 and f"plimsoll check {written}" in done.out
    contract = load(written)
    assert contract.target.name == "레시피-helper"
    assert {e.name: e.kind for e in contract.endpoint} == {"ask": "generation", "search": "search", "health": "health"}
    assert contract.target.observe.port == server.port and contract.target.observe.prometheus == "/metrics"
    assert said(capsys, "check", written).out.rstrip().endswith("ready to run")


def test_it_only_reads_and_what_could_destroy_is_written_off_with_its_reason(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "init", server.url, "-o", tmp_path / "c.toml")
    assert {one.method for one in [*server.asked, *server.aside]} == {"GET"}
    text = (tmp_path / "c.toml").read_text(encoding="utf-8")
    for path in ("/api/recipes/1", "/api/queue/clear"):
        assert f'\n# path = "{path}"' in text and f'\npath = "{path}"' not in text
    assert "# POST /api/queue/clear: its name says" in text


def test_a_pasted_address_of_the_docs_page_is_understood(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "init", f"127.0.0.1:{server.port}/docs", "-o", tmp_path / "c.toml")
    assert load(tmp_path / "c.toml").target.base_url == server.url


def test_with_json_only_the_document_is_printed(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = said(capsys, "init", server.url, "-o", tmp_path / "c.toml", "--json")
    found = {one["operation"]: one["enabled"] for one in json.loads(done.out)["endpoints"]}
    assert found["POST /api/ask"] and not found["DELETE /api/recipes/{recipe_id}"]


def test_a_file_that_is_there_is_kept_unless_forced(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "mine.toml"
    written.write_text("mine", encoding="utf-8")
    done = said(capsys, "init", server.url, "-o", written)
    assert done.code == 2 and "--force" in done.sentence and written.read_text(encoding="utf-8") == "mine"
    assert said(capsys, "init", server.url, "-o", written, "--force").code == 0


def test_a_service_without_a_description_is_told_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Scripted({"/healthz": answer()}) as server:
        done = said(capsys, "init", server.url, "-o", tmp_path / "c.toml")
    assert done.code == 2 and "no OpenAPI description" in done.sentence and not (tmp_path / "c.toml").exists()
    (tmp_path / "c.toml").write_text(done.out, encoding="utf-8")
    assert [e.path for e in load(tmp_path / "c.toml").endpoint] == ["/api/ask", "/healthz"]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"[" * 100_000, "no OpenAPI description"),
        (b"<html>", "no OpenAPI description"),
        (b'{"swagger": "2.0"}', "Swagger 2"),
        (b'{"openapi": "3.0.0", "paths": {}}', "none that a load may call unasked"),
    ],
)
def test_a_description_that_cannot_be_read_is_a_sentence(
    body: bytes, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Scripted({"/openapi.json": answer(body=body)}) as server:
        done = said(capsys, "init", server.url, "-o", tmp_path / "c.toml")
    assert done.code == 2 and part in done.err and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("url", "code", "part"),
    [
        ("http://127.0.0.1:9", 4, "start the service"),
        ("http://100.64.0.1", 5, "plimsoll allow 100.64.0.1"),
        ("ftp://127.0.0.1", 2, "not a base URL"),
        ("http://user:pw@127.0.0.1:9", 2, "credentials"),
    ],
)
def test_a_place_that_cannot_be_asked_is_one_sentence(
    url: str, code: int, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = said(capsys, "init", url, "-o", tmp_path / "c.toml")
    assert done.code == code and part in done.sentence


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([sys.executable, "/x/bin/uvicorn", "app:app", "--port", "8000"], "uvicorn app:app --port {port} --workers {workers}"),
        (["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "shop.main:create()", "--env", "KEY=s3cret"],
         "gunicorn shop.main:create() -k uvicorn.workers.UvicornWorker --bind 127.0.0.1:{port} --workers {workers}"),
        (["python", "-m", "fastapi", "run", "main.py"], "fastapi run main.py --port {port} --workers {workers}"),
        (["python", "serve.py", "--token", "s3cret"], ""),
    ],
)  # fmt: skip
def test_of_a_command_line_only_program_and_application_are_told(words: list[str], command: str) -> None:
    assert _start(_command(words)) == command
    assert "s3cret" not in " ".join(_command(words))


def test_what_is_written_for_a_start_is_valid_toml(server: Scripted, tmp_path: Path, capsys: Any) -> None:
    said(capsys, "init", server.url, "-o", tmp_path / "c.toml")
    text = (tmp_path / "c.toml").read_text(encoding="utf-8")
    block = text.split("# [target.control]")[1].split("\n\n")[0]
    lines = [line.removeprefix("# ") for line in f"# [target.control]{block}".splitlines()]
    assert tomllib.loads("\n".join(lines))["target"]["control"]["ready"] == "/health"
