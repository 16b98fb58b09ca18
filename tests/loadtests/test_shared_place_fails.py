"""A shared place that fails while the load runs: rows go over the line, and to the place again when it is back.

The two sides as they stand in `link` and `hub`, in a process of their own (gevent), joined by callbacks instead of a line.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHILD = """
import json, random, sys, time
from pathlib import Path
import gevent, pyarrow.fs
from loadtests.hosts import carrier as carriers, fetcher as fetchers
from loadtests.hosts.carrier import Carrier
from loadtests.hosts.fetcher import Fetcher
from loadtests.hosts.shared import PLACED, Place
from loadtests.hosts.shipping import KINDS, Shipper, Store
from measurements.errors import UsageError
from measurements.rundir import RunDirectory

folder, case = Path(sys.argv[1]), sys.argv[2]
here, there = RunDirectory.create(folder / "here", "run"), RunDirectory.create(folder / "there", "run")
store, shipper = Store(there, lambda rank, line: None), Shipper(here, [0])
carriers.LOOK_S, carriers.LAY_S, carriers.AGAIN_S, carriers.NAME_S, fetchers.TRY_S = 0.01, 0.02, 0.3, 0.05, 0.01
told, beats, meanwhile, puts, gets, by_line = [], [], [], [], [], []
putting, getting = Place.put, Place.get

def put(self, rank, kind, offset, data):
    puts.append(kind)
    if case == "no host can write" and len(puts) > 1:  # the first is the master's
        raise PermissionError(13, "Permission denied")
    if case == "writing fails for a while" and 6 <= len(puts) <= 7:
        raise OSError("the bucket is away")
    if case == "slow" and len(puts) > 1:
        before = len(beats)
        time.sleep(0.4)
        meanwhile.append(len(beats) - before)
    return putting(self, rank, kind, offset, data)

def get(self, laid):
    gets.append(laid.kind)
    if case == "the master reads another place" and len(gets) > 1:
        raise FileNotFoundError(2, "No such file")
    if case == "reading fails for a while" and 8 <= len(gets) <= 13:
        raise OSError("the bucket is away")
    return getting(self, laid)

Place.put, Place.get = put, get

def take(host, piece):
    have(host, piece.rank, piece.kind, store.take(piece))
    return True

def have(host, rank, kind, size):
    if kind in KINDS:
        shipper.acknowledge(rank, kind, size)
    carrier.heard({"say": "have", "rank": rank, "kind": kind, "size": size})

uri = str(folder / "place")
fetcher = Fetcher(uri, here.identity, store, take, have, lambda host, laid, why: carrier.heard({"say": "unread", "sentence": why}))

def name(laid):
    if case != "the line is cut" or not told:
        fetcher.hear("host", laid)

carrier = Carrier(here, [0], uri, name, lambda how, sentence: told.append((how, sentence)))
working = gevent.spawn(carrier.work, here.identity)

def beat():
    while True:
        gevent.sleep(0.01)
        beats.append(time.monotonic())
gevent.spawn(beat)

chance, until, quiet_s = random.Random(1), time.monotonic() + 40, 0.0
path, written = KINDS["samples"](here, 0), b""
while time.monotonic() < until:
    gevent.sleep(0.01)
    if told and told[0][0] == "refused":
        break
    if not told:
        continue
    if len(written) < 400_000 or carrier.fallen:  # what is written then shows that the place is back
        written += chance.randbytes(5_000)
        path.write_bytes(written)
    if case == "the line is cut" and len(written) >= 400_000 and not carrier.laying.unlaid_bytes:
        assert fetcher.bring([0]) == ""
        break
    for piece in shipper.due(carrier.kinds_on_line):
        by_line.append(len(piece.data))
        shipper.acknowledge(0, piece.kind, store.take(piece))
        carrier.laying.acknowledge(0, piece.kind, store.size(0, piece.kind))
    if time.monotonic() - quiet_s > 0.2:
        quiet_s = time.monotonic()
        carrier.laying.again()
    if len(written) >= 400_000 and not shipper.open_bytes and not carrier.laying.unlaid_bytes and not carrier.fallen:
        break
home = KINDS["samples"](there, 0)
fetcher.remove()
print(json.dumps({
    "told": told, "same": home.exists() and home.read_bytes() == written, "written": len(written), "by_line": sum(by_line),
    "left": [p.name for p in (folder / "place").rglob("*") if p.is_file()], "objects": fetcher.objects,
    "beats_meanwhile": meanwhile,
}))
"""


def carried(folder: Path, case: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, folder, case], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", ["nothing fails", "slow", "writing fails for a while", "reading fails for a while"])
def test_every_byte_is_home_whatever_the_place_does(tmp_path: Path, case: str) -> None:
    found = carried(tmp_path, case)
    assert found["same"] and found["written"] >= 400_000 and found["left"] == [], found
    hows = [how for how, _ in found["told"]]
    if case in ("nothing fails", "slow"):
        assert hows == ["ready"] and found["by_line"] == 0 and found["objects"] >= 2
        assert all(beats >= 3 for beats in found["beats_meanwhile"]), "heartbeats stood still for the place"
        assert bool(found["beats_meanwhile"]) == (case == "slow")
    else:
        assert hows == ["ready", "fallen", "back"] and found["by_line"] > 0
        assert "the bucket is away" in found["told"][1][1] and "over the line" in found["told"][1][1]


def test_what_a_host_had_laid_and_could_not_say_any_more_is_brought_when_it_is_lost(tmp_path: Path) -> None:
    found = carried(tmp_path, "the line is cut")
    assert found["same"] and found["objects"] == 0 and found["by_line"] == 0


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no host can write", ["cannot be written", "Permission denied"]),
        ("the master reads another place", ["cannot be read on the master", "No such file", "the same place"]),
    ],
)
def test_a_place_that_does_not_join_host_and_master_is_refused_before_the_load(
    tmp_path: Path, case: str, words: list[str]
) -> None:
    found = carried(tmp_path, case)
    assert [how for how, _ in found["told"]] == ["refused"] and found["written"] == 0
    assert all(word in found["told"][0][1] for word in [*words, str(tmp_path / "place")])
