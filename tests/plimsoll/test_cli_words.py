"""Every command's help, its examples, and every mistake a person can type: one sentence and the documented exit code."""

import json
import re
import shlex
import sys
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import typer
from command_line import ROOT, said, written
from typer.testing import CliRunner

from plimsoll import cli
from plimsoll.cli import app

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
DESIGN = {
    "init", "check", "serve", "run", "search", "profile", "plan", "verify", "gate", "workload", "history", "ledger", "allow",
    "compare", "report", "recover", "doctor",
}  # fmt: skip


def help_of(*words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_commands_are_those_of_the_design() -> None:
    assert set(COMMANDS) == DESIGN
    listed = help_of()
    assert all(re.search(rf"^\s+{name}\b", listed, re.MULTILINE) for name in DESIGN)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_text(name: str) -> None:
    assert f"plimsoll {name}" in help_of(name) or "Usage:" in help_of(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_two_examples_whose_words_the_command_knows(name: str) -> None:
    command = typer.main.get_command(app)
    epilog = command.commands[name].epilog or ""  # type: ignore[attr-defined]
    examples = [line.strip() for line in epilog.splitlines() if line.strip().startswith("plimsoll ")]
    assert len(examples) == 2 and epilog.startswith("Examples:")
    for example in examples:
        words = shlex.split(example)[1:]
        assert words[0] == name
        command.commands[name].make_context(name, words[1:])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["run"], 2, "nothing to run"),
        (["run", "absent.toml"], 2, "there is no contract absent.toml"),
        (["run", "-f", "absent.py"], 2, "needs --host URL"),
        (["init", "http:/127.0.0.1:1"], 2, "names no host; write http://host:port"),
        (["run", "-f", "absent.py", "--host", "127.0.0.1:1"], 2, "--host: '127.0.0.1:1' is not a base URL"),
        (["run", "CONTRACT", "--rate", "5", "--users", "5"], 2, "exclude each other"),
        (["run", "CONTRACT", "--rate", "nan"], 2, "--rate nan"),
        (["run", "CONTRACT", "--shape", "wave", "--rate", "5"], 2, "--shape wave"),
        (["run", "CONTRACT", "--arrivals", "gamma:x", "--rate", "5"], 2, "--arrivals gamma:x"),
        (["run", "-f", "absent.py", "--host", "http://127.0.0.1:9"], 2, "there is no locustfile absent.py"),
        (["run", "CONTRACT", "--users", "2000000000"], 2, "--users 2000000000: give a number of users from 1 to"),
        (["run", "CONTRACT", "--users", "3", "--shape", "breakpoint"], 2, "--shape breakpoint is made of rates"),
        (["run", "CONTRACT", "--rate", "1", "--replicas", "2"], 2, "--replicas says how many are started; add --start"),
        (["run", "CONTRACT", "--rate", "1", "--service-workers", "2"], 2, "--service-workers says how many"),
        (["run", "CONTRACT", "--rate", "1", "--ui-host", "127.0.0.2"], 2, "where the web UI listens; add --ui"),
        (["run", "CONTRACT", "--endpoint", ""], 2, "the contract has search"),
        (["profile", "CONTRACT", "--rate", "0"], 2, "--rate 0: give a rate above 0"),
        (["profile", "CONTRACT", "--command", ""], 2, "--command is empty"),
        (["profile", "CONTRACT", "--command", "'x"], 2, "check its quotes"),
        (["profile", "CONTRACT", "--command", "no-such-program"], 2, "(no-such-program: No such file or directory)"),
        (["profile", "CONTRACT"], 2, "no process of this machine listens on port 9"),
        (["profile", "CONTRACT", "--duration", "nan"], 2, "--duration nan: give seconds above 0"),
        (["profile", "CONTRACT", "--endpoint", "x"], 2, "--endpoint x: the contract has search"),
        (["run", "CONTRACT", "--endpoint", "x"], 2, "--endpoint x: the contract has search"),
        (["run", "CONTRACT", "--seed", "-1"], 2, "--seed -1"),
        (["run", "CONTRACT", "--start"], 2, "[target.control]"),
        (["run", "CONTRACT", "--lang", "de", "--rate", "5"], 2, "there is no report in language 'de'"),
        (["run", "CONTRACT", "--host", "http://no-such-host.invalid", "--rate", "1"], 4, "has no address"),
        (["run", "CONTRACT", "--rate", "5"], 4, "does not answer (Connection refused)"),
        (["run", "CONTRACT", "--host", "http://100.64.0.1", "--rate", "5"], 5, "plimsoll allow 100.64.0.1"),
        (["run", "CONTRACT", "--rate", "5", "--rows-to", "rows"], 2, "add --master"),
        (["run", "CONTRACT", "--rate", "5", "--master", "--rows-to", "s3://key:word@bucket"], 2, "never stand in the URI"),
        (["run", "--join", "127.0.0.1:1", "--rows-to", "rows"], 2, "from the master"),
        (["check", "absent.toml"], 2, "there is no contract"),
        (["check", "CONTRACT"], 4, "does not answer"),
        (["report", "."], 2, "is not a run directory"),
        (["recover", "absent"], 2, "is not a run directory"),
        (["plan", "absent"], 2, "is not a run directory"),
        (["serve", "kakoa"], 2, "did you mean kakao?"),
        (["serve", "llm", "--set", "x"], 2, "write NAME=VALUE"),
        (["serve", "kakao", "--record", "http://127.0.0.1:9"], 2, "kakao takes no --record"),
        (["serve", "kakao", "--port", "99999"], 2, "--port 99999: ports are 1 to 65535, and 0 takes a free one"),
        (["serve", "kakao", "--upstream", "banana"], 2, "--upstream: 'banana' is not a base URL"),
        (["serve", "alaw", "--max-usd", "0"], 2, "alaw takes no --max-usd"),
        (["allow", "http://x"], 2, "is not a host name"),
        (["allow", "x", "--max-rate", "0"], 2, "--max-rate 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_the_documented_exit_code(
    words: list[str], code: int, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    contract = written(tmp_path, "http://127.0.0.1:9")  # the discard port: nobody listens
    done = said(capsys, *(str(contract) if word == "CONTRACT" else word for word in words))
    assert done.code == code, done.err
    assert part in done.sentence and done.sentence.startswith("plimsoll: ") and done.out == ""
    assert not (tmp_path / "runs" / "latest").exists()
    assert not list((tmp_path / "runs").glob("*")) if (tmp_path / "runs").exists() else True


@pytest.mark.parametrize(
    ("words", "document", "part"),
    [
        (["recover", "RUN"], {"kind": "gate"}, "is a gate's directory, and only a run can be finished; start the gate"),
        (["recover", "RUN"], {"kind": "profile"}, "is a profile's directory"),
        (["plan", "RUN", "--demand", "5"], {"kind": "profile"}, "it is a profile, which has none"),
        (["history", "--add", "RUN", "--kind", "run"], {"run": "mine"}, "has no run with a time in its name"),
    ],
)
def test_a_directory_of_another_kind_is_told_from_a_run(
    words: list[str], document: dict[str, str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "run.json").write_text(json.dumps({"schema": 1} | document))
    if words[0] == "history":
        (tmp_path / "kept" / "summary.json").write_text('{"schema": 1}')
    done = said(capsys, *("kept" if word == "RUN" else word for word in words))
    assert done.code == 2 and part in done.sentence, done.err


def test_an_output_that_is_closed_or_cannot_show_a_letter_changes_no_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    narrow = TextIOWrapper(BytesIO(), encoding="ascii")
    for out, err in ((None, None), (narrow, narrow)):
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as ended:
            cli.main(["check", "없다.toml", "--json"])
        assert ended.value.code == 2
    narrow.seek(0)
    assert "\\uc5c6\\ub2e4.toml" in narrow.read()


def test_an_output_that_is_full_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", buffering=1, encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            cli.main(["serve", "llm", "--list", "--json"])
        with suppress(OSError):
            full.close()
    assert ended.value.code == 3


def test_a_current_folder_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = said(capsys, "check", "c.toml")
    assert done.code == 2 and "the current folder is gone" in done.sentence


@pytest.mark.parametrize("words", [["rnu"], ["run", "--raet", "5"], ["check"], ["run", "x.toml", "--rate", "fast"]])
def test_words_that_nobody_knows_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    done = said(capsys, *words)
    assert done.code == 2 and done.out == "" and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["rnu"], 2, "Did you mean 'run'?"),
        (["run", "--raet", "5"], 2, "--raet"),
        (["run", "x.toml", "--rate", "fast"], 2, "'--rate'"),
        (["check", "absent.toml"], 2, "there is no contract"),
        (["serve", "kakao"], 2, "--json goes with --list"),
        (["plan", "absent"], 2, "is not a run directory"),
    ],
)
def test_with_json_a_failure_is_a_document_too(
    words: list[str], code: int, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = said(capsys, *words, "--json")
    document = json.loads(done.out)
    assert (done.code, document["exit_code"]) == (code, code)
    assert part in document["error"] and "Traceback" not in done.err and done.err


def test_what_a_service_can_be_set_to_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(said(capsys, "serve", "llm", "--list", "--json").out)
    assert document["service"] == "llm" and {"name", "value", "meaning"} == set(document["settings"][0])


def test_every_finding_of_a_contract_is_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[target]\nnaem = "x"\nbase_url = "http://h"\n[[endpoint]]\nname = "a"\npath = "a"\n')
    done = said(capsys, "check", path)
    assert done.code == 2 and done.out == ""
    lines = done.err.strip().splitlines()
    assert len(lines) == 2 and all(str(path) in line for line in lines)


def test_doctor_prints_findings_or_only_json(capsys: pytest.CaptureFixture[str]) -> None:
    plain = said(capsys, "doctor")
    assert plain.code == 0 and "cores" in plain.out
    document = json.loads(said(capsys, "doctor", "--json").out)
    assert {finding["state"] for finding in document["findings"]} <= {"works", "limited", "absent"}
    assert all(finding["remedy"] for finding in document["findings"] if finding["state"] == "absent")


def test_the_shipped_contracts_named_in_the_examples_exist() -> None:
    for name in COMMANDS:
        for path in re.findall(r"(?:targets|loadtests/scenarios)/\w+\.(?:toml|py)", help_of(name)):
            assert (ROOT / path).is_file(), path
