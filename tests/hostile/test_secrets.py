"""A canary in header, URL, body, environment and error of a run is found in nothing that the run leaves or says."""

import contextlib
import json
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from servers import Asked, Line, Scripted, answer, head

from measurements.rundir import RunDirectory
from plimsoll import cli

CANARIES = {
    "IN_HEADER_KEY": "canary-header/81f3+x",
    "IN_URL_TOKEN": "canary-url-5d2c9a07",
    "IN_BODY_SECRET": 'canary-body-"q"-77e1',
    "IN_ENV_PASSWORD": "canary-env-0b6f1d44",
}
EVERY = list(CANARIES.values())


def echoes(line: Line, asked: Asked) -> None:
    """Whatever it was sent, in every place that an answer has, as an error."""
    said = " ".join([*EVERY, asked.target, asked.body.decode(), *asked.header.values()])
    plain = said.replace('"', "'")
    body = json.dumps({"detail": said, "trace": f"Authorization: Bearer {said}"}).encode()
    line.send(head(503, Content_Length=len(body), Server=plain, Location=f"http://x/{quote(said)}", Set_Cookie=f"s={EVERY[1]}",
                   Server_Timing=f'{EVERY[1]};dur=3;desc="{EVERY[1]}", db;dur=1') + body)  # fmt: skip


def metrics(line: Line, _: Asked) -> None:
    body = f'leaks_total{{token="{EVERY[1]}"}} 1\nx{{y="{EVERY[0]}"}} 3\n'.encode()
    line.send(head(Content_Length=len(body)) + body)


LOCUSTFILE = """
import os
from locust import task
from loadtests.user import PlimsollUser

class Careless(PlimsollUser):
    @task
    def ask(self):
        key, body = os.environ["IN_URL_TOKEN"], os.environ["IN_BODY_SECRET"]
        self.client.post(f"/e?key={key}", json={"secret": body}, headers={"X-Key": os.environ["IN_HEADER_KEY"]})
        with self.client.get("/e", catch_response=True, name="caught") as response:
            response.failure("the key was " + key)
        print("printing", body)
        raise RuntimeError(f"failed with {key} and {os.environ['IN_ENV_PASSWORD']}")
"""

CONTRACT = """
[target]
name = "canaries"
base_url = "{url}"
{locustfile}
[target.observe]
prometheus = "/metrics"
[[endpoint]]
name = "e"
path = "/e"
method = "POST"
json = {{ q = "x" }}
header = {{ Authorization = "Bearer ${{env:IN_HEADER_KEY}}", X-More = "${{env:IN_BODY_SECRET}}" }}
"""


def forms(canary: str) -> set[bytes]:
    texts = {canary, quote(canary, safe=""), json.dumps(canary)[1:-1]}
    return {text.encode() for text in texts} | {b64encode(canary.encode())}


def leaks(folder: Path, *said: str) -> list[str]:
    """Where a canary stands: raw bytes of every file, every value of every Parquet file, and what was printed."""
    found = []
    texts = {f"said {k}": text.encode() for k, text in enumerate(said)}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "contract.toml" and path.suffix != ".py":
            texts[str(path)] = path.read_bytes()
            if path.suffix == ".parquet":
                texts[f"{path} (values)"] = repr(pq.read_table(path).to_pydict()).encode()
    for where, data in texts.items():
        found += [
            f"{name} in {where}" for name, canary in CANARIES.items() if any(form in data for form in forms(canary))
        ]
    return found


def why_not(run: Path) -> str:
    """What the run says of itself where it sent too little."""
    said = (
        pq.read_table(run / "errors.parquet").to_pylist() if (run / "errors.parquet").exists() else "no errors.parquet"
    )
    logs = "".join(path.read_text(encoding="utf-8")[-2_000:] for path in run.glob("load-*.log"))
    return f"{said}\n{logs}"


@pytest.mark.parametrize("from_locustfile", [False, True])
def test_no_secret_is_left_in_any_file_or_word(
    from_locustfile: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "careless.py").write_text(LOCUSTFILE, encoding="utf-8")
    with Scripted({"/e": echoes, "/metrics": metrics, "/health": answer()}) as server:
        locustfile = 'locustfile = "careless.py"' if from_locustfile else ""
        (tmp_path / "contract.toml").write_text(
            CONTRACT.format(url=server.url, locustfile=locustfile), encoding="utf-8"
        )
        with pytest.raises(SystemExit):
            cli.main(["run", "contract.toml", "--rate", "20", "--duration", "1.2", "--seed", "1"])
        assert len(server.asked) >= 10, why_not(tmp_path / "runs" / "latest")
        assert any(EVERY[0] in " ".join(one.header.values()) for one in server.asked)  # it was really sent
    run = RunDirectory.open(tmp_path / "runs" / "latest")
    assert run.table("errors").num_rows >= 1 and run.has("report.html") and run.has("examples.jsonl")
    for words in (["report", "--as", "markdown"], ["report", "--as", "junit"], ["compare", str(run.path)]):
        with contextlib.suppress(SystemExit):
            cli.main([*words, str(run.path)])
    said = capfd.readouterr()
    assert leaks(tmp_path / "runs", said.out, said.err) == []
    assert "***" in (run.path / "examples.jsonl").read_text(encoding="utf-8")
