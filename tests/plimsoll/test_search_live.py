"""`plimsoll search` as a person types it: a run directory with every trial's rows, exit codes, refusals."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import finished, said, started, written
from servers import Scripted, answer

from measurements.rundir import RunDirectory

BRACKET = {"lower_rps", "upper_rps", "confidence", "shape", "seconds_for_5_percent"}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, dict[str, Any], int]:
    """A quick service, allowed up to 60 rps, ten load-seconds."""
    folder = tmp_path_factory.mktemp("search")
    with Scripted({"/search": answer(after_s=0.004)}) as server:
        contract = written(folder, server.url)
        words = [
            "--slo",
            "p95<400ms,errors<1%",
            "--max-rate",
            60,
            "--budget",
            10,
            "--seed",
            1,
            "--out",
            folder,
            "--json",
        ]
        done = finished("search", contract, *words)
    document = json.loads(done.out)
    return RunDirectory.open(folder / document["run"]), document, done.code


def test_the_document_has_what_other_programs_read(searched: tuple[RunDirectory, dict[str, Any], int]):
    run, document, code = searched
    assert code == 0 and document["valid"] is True
    assert document["slo"] == "p95<400ms,errors<1%"
    assert set(document["endpoints"]) == {"all", "search"}
    assert all(set(entry) >= BRACKET for entry in document["endpoints"].values())
    assert document["endpoints"]["all"]["shape"] == "never_fails"
    assert document["lower_rps"] == 60.0 and document["upper_rps"] is None
    assert 0 < document["load_seconds"] <= 10.5
    assert document == run.read_json("search.json")


def test_every_trials_rows_are_kept_on_one_clock(searched: tuple[RunDirectory, dict[str, Any], int]):
    run, document, _ = searched
    rows = run.table("samples").to_pandas()
    assert not rows.duplicated(["worker", "seq", "step"]).any()
    sent = rows.groupby(rows["stage"].astype(str).str[:3])["intended_ns"].agg(["min", "max", "size"])
    assert list(sent.index) == [trial["name"] for trial in document["trials"]]
    assert [int(n) for n in sent["size"]] == [trial["requests"] for trial in document["trials"]]
    assert (sent["min"].to_numpy()[1:] > sent["max"].to_numpy()[:-1]).all()


def test_the_run_reads_as_any_other(searched: tuple[RunDirectory, dict[str, Any], int]):
    run, document, _ = searched
    summary = run.read_json("summary.json")
    measured = {stage["name"]: stage for stage in summary["stages"] if not stage["warmup"]}
    for trial in document["trials"]:
        if trial["purpose"] != "warm_up":
            assert measured[trial["name"]]["duration_s"] == pytest.approx(trial["seconds"] - trial["settle_s"], abs=0.3)
    accounting = next(c for c in run.read_json("validity.json")["checks"] if c["check"] == "accounting")
    assert accounting["state"] == "ok", accounting
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "at least 60" in page and "The search for the highest rate" in page


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path):
    with Scripted({"/search": answer(after_s=0.004)}) as server:
        contract = written(tmp_path, server.url)
        process = started(
            "search", contract, "--slo", "p95<400ms", "--max-rate", 20, "--budget", 100, "--out", tmp_path / "runs"
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(tmp_path.glob("runs/*/samples/t02.parquet")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    run = RunDirectory.open((tmp_path / "runs" / "latest").resolve())
    assert run.read_json("search.json")["ended"] == "interrupted (SIGINT)"
    assert run.table("samples").num_rows > 0 and "report" in out


def test_nobody_there_is_exit_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    contract = written(tmp_path, "http://127.0.0.1:9")
    heard = said(capsys, "search", contract, "--slo", "p95<1s", "--out", tmp_path, "--quiet")
    assert heard.code == 4 and "does not answer" in heard.sentence


def test_a_paid_upstream_without_a_cap_is_refused_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with Scripted({"/search": answer()}) as server:
        upstream = {"paid": True, "usd_per_1k_tokens_in": 1.0, "tokens_in": 100}
        contract = written(tmp_path, server.url, upstream=upstream)
        heard = said(capsys, "search", contract, "--slo", "p95<1s", "--out", tmp_path, "--quiet")
        assert not server.asked
    assert heard.code == 5 and "max_usd" in heard.sentence


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--slo", "p95>1s"], "not understood"),
        (["--slo", "other:p95<1s"], "no endpoint"),
        (["--budget", "1"], "--budget 1"),
        (["--max-rate", "0"], "--max-rate 0"),
        (["--endpoint", "nope"], "the contract has search"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_2(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    heard = said(capsys, "search", written(tmp_path, "http://127.0.0.1:9"), *words, "--out", tmp_path, "--quiet")
    assert heard.code == 2 and says in heard.sentence


def test_load_beyond_private_networks_needs_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    heard = said(
        capsys, "search", written(tmp_path, "http://203.0.113.7:80"), "--slo", "p95<1s", "--out", tmp_path, "-q"
    )
    assert heard.code == 5 and "plimsoll allow" in heard.sentence
