"""Rows by way of a bucket, on a server of its own here that speaks S3 (moto, in .venv-s3: make prove-s3)."""

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pytest
from servers import Scripted, answer
from test_many_hosts import Group, rows

from loadtests.hosts.shared import Damaged, Place
from targets.control import free_port

pytestmark = pytest.mark.prove
SERVER = Path(__file__).parents[2] / ".venv-s3" / "bin" / "moto_server"
KEYS = {"AWS_ACCESS_KEY_ID": "canary-key-id-0001", "AWS_SECRET_ACCESS_KEY": "canary-secret-of-a-bucket-0001"}


@dataclass
class Bucket:
    process: subprocess.Popen[bytes]
    port: int

    @property
    def uri(self) -> str:
        return f"s3://bucket/rows/here?endpoint_override=http://127.0.0.1:{self.port}&region=us-east-1"

    def listed(self) -> list[str]:
        """Keys of objects that hold anything: pyarrow keeps an empty one for a prefix."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/bucket?list-type=2", timeout=10) as found:
            text = found.read().decode()
        return [part.partition("</Key>")[0] for part in text.split("<Key>")[1:] if "<Size>0</Size>" not in part]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    if not SERVER.exists():
        pytest.skip("no S3 server here: make prove-s3 sets one up")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    with (tmp_path / "s3.log").open("wb") as log:
        process = subprocess.Popen([SERVER, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                made = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
                urllib.request.urlopen(made, timeout=10).close()
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None, (tmp_path / "s3.log").read_text()
                time.sleep(0.2)
        yield Bucket(process, port)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted({"/search": answer(after_s=0.01)}) as server:
        yield server


def test_objects_go_to_a_bucket_and_come_back(bucket: Bucket) -> None:
    place = Place.at(bucket.uri, "run-1")
    first, large = place.put(0, "samples", 0, b"rows"), place.put(0, "samples", 4, os.urandom(4 << 20))
    assert place.get(first) == b"rows" and len(place.get(large)) == 4 << 20
    assert place.laid(0, "samples") == [first, large] and place.laid(1, "samples") == []
    key = f"rows/here/run-1/0/samples/{0:020d}-{first.digest}"
    assert key in bucket.listed()
    with pa.fs.FileSystem.from_uri(bucket.uri)[0].open_output_stream(f"bucket/{key}") as changed:
        changed.write(b"ROWS")
    with pytest.raises(Damaged):
        place.get(first)
    place.remove()
    place.remove()
    assert bucket.listed() == []
    with pytest.raises(OSError, match="NO_SUCH_BUCKET"):
        Place.at(bucket.uri.replace("//bucket", "//absent"), "run-1").put(0, "samples", 0, b"rows")


def test_two_hosts_rows_go_through_a_bucket_and_no_key_of_it_is_left_anywhere(
    bucket: Bucket, server: Scripted, tmp_path: Path
) -> None:
    group = Group(tmp_path, server.url, 2, "--rate", 60, "--duration", 8, "--seed", 7, "--rows-to", bucket.uri)
    try:
        group.until_rows(30)
        keys = bucket.listed()
        _, run, said = group.end()
    finally:
        group.close()
    assert [code for code, _, _ in said] == [0, 0], said
    assert (
        any("/0/samples/" in key for key in keys)
        and any("/1/samples/" in key for key in keys)
        and bucket.listed() == []
    )
    found = rows(run)
    assert [row["seq"] for row in found] == list(range(len(server.asked))) and {row["outcome"] for row in found} == {
        "ok"
    }
    rows_to = run.read_json("run.json")["rows_to"]
    assert rows_to["uri"] == bucket.uri and not rows_to["kept"] and rows_to["objects"] >= 4
    text = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "s3.log")
    assert not [value for value in KEYS.values() if value.encode() in text]


def test_a_bucket_that_dies_in_the_middle_costs_no_row(bucket: Bucket, server: Scripted, tmp_path: Path) -> None:
    group = Group(tmp_path, server.url, 2, "--rate", 60, "--duration", 12, "--seed", 7, "--rows-to", bucket.uri)
    try:
        group.until_rows(30)
        bucket.process.kill()
        _, run, said = group.end()
    finally:
        group.close()
    assert [code for code, _, _ in said] == [0, 0], said
    found = rows(run)
    assert [row["seq"] for row in found] == list(range(len(server.asked))) and {row["outcome"] for row in found} == {
        "ok"
    }
    sentences = run.read_json("run.json")["rows_to"]["said"]
    assert any("rows go over the line" in sentence for sentence in sentences), sentences
    assert any("could not be removed" in sentence for sentence in sentences), sentences
