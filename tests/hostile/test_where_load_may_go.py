"""A name that moves moves no load; link-local and metadata addresses are refused; no locustfile gets further than its run."""

import json
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import Scripted, answer

from measurements.errors import Refused
from plimsoll import permission
from plimsoll.measure import measure
from plimsoll.spec import Spec
from targets import pinned, urls
from targets.contract import Contract
from targets.contract_file import parse


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """resolver("name", "1.2.3.4", "5.6.7.8"): what each look-up of the name says, the last one for ever; returns the list
    of look-ups."""
    real, asked, answers = socket.getaddrinfo, [], dict[str, list[str]]()

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host not in answers:
            return real(host, port, *rest, **more)
        asked.append(host)
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return real(found, port, *rest, **more)

    def set_up(name: str, *addresses: str) -> list[str]:
        answers[name] = list(addresses)
        return asked

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(urls, "_pinned", {})
    yield set_up


def contract(url: str, **sections: Any) -> Contract:
    target = {"name": "moved", "base_url": url, **sections.pop("target", {})}
    return parse({"target": target, "endpoint": [{"name": "e", "path": "/e"}], **sections}, Path("c.toml"))


def test_a_name_is_looked_up_once_however_often_it_is_asked_for(resolver: Callable[..., list[str]]) -> None:
    asked = resolver("rebinding.example", "127.0.0.1", "203.0.113.8")
    assert {urls.resolve("http://rebinding.example:8000") for _ in range(5)} == {"127.0.0.1"}
    assert len(asked) == 1


def test_a_whole_run_with_its_probes_and_scrapes_goes_to_the_first_address_only(
    resolver: Callable[..., list[str]], tmp_path: Path
) -> None:
    """The second answer would be a public address, where the test would fail."""
    metrics = "requests_total 1\n"
    with Scripted({"/e": answer(), "/health": answer(), "/metrics": answer(body=metrics.encode())}) as server:
        asked = resolver("rebinding.example", "127.0.0.1", "203.0.113.8")
        made = contract(f"http://rebinding.example:{server.port}", target={"observe": {"prometheus": "/metrics"}})
        health = {"name": "health", "kind": "health", "path": "/health", "weight": 0}
        made = parse({**made.model_dump(by_alias=True, exclude_unset=True),
                      "endpoint": [{"name": "e", "path": "/e"}, health]}, Path("c.toml"))  # fmt: skip
        run = measure(Spec(contract=made, out=tmp_path, rate_rps=20.0, duration_s=1.0, seed=1))
        aside = {one.path for one in server.aside}
        hosts = {one.header["host"] for one in [*server.asked, *server.aside]}
    assert asked == ["rebinding.example"]
    assert set(run.summary["all"]["outcomes"]) == {"ok"} and {"/health", "/metrics"} <= aside
    assert hosts == {f"rebinding.example:{server.port}"}


def test_probes_keep_the_name_in_host_and_certificate_and_the_address_on_the_wire(
    resolver: Callable[..., list[str]],
) -> None:
    with Scripted({"/": answer()}) as server:
        asked = resolver("named.example", "127.0.0.1", "203.0.113.8")
        with pinned.client(f"http://named.example:{server.port}", 2.0) as client:
            assert [client.get("/").status_code for _ in range(3)] == [200, 200, 200]
        assert {one.header["host"] for one in server.aside} == {f"named.example:{server.port}"}
    assert len(asked) == 1


NEVER = ["169.254.169.254", "169.254.170.2", "fe80::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "0.0.0.0", "::",
         "224.0.0.1", "255.255.255.255", "::ffff:169.254.169.254", "ff02::1"]  # fmt: skip


@pytest.mark.parametrize("address", NEVER)
def test_link_local_and_metadata_addresses_are_refused_also_when_they_are_on_record(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    permission.allow("metadata.example", 5.0)
    with pytest.raises(Refused, match="no load goes to link-local"):
        permission.check("http://metadata.example", address, 1.0)
    assert not urls.is_private(address)


def test_a_name_that_leads_to_a_metadata_address_is_refused_before_anything_is_asked(
    resolver: Callable[..., list[str]], tmp_path: Path
) -> None:
    resolver("innocent.example", "169.254.169.254")
    with pytest.raises(Refused, match=r"innocent\.example leads to 169\.254\.169\.254"):
        measure(Spec(contract=contract("http://innocent.example"), out=tmp_path, rate_rps=1.0, duration_s=1.0))
    assert list(tmp_path.glob("2*")) == []


def test_a_metrics_page_at_a_metadata_address_is_not_asked_for() -> None:
    with (
        pinned.client("http://169.254.169.254", 1.0) as client,
        pytest.raises(httpx.ConnectError, match="no request may go"),
    ):
        client.get("/latest/meta-data/")


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data/", "//elsewhere.example/x",
                                      "http://127.0.0.1:1/", "gopher://x", "http://[::1"])  # fmt: skip
def test_a_redirect_to_another_host_is_an_error_of_the_service_and_never_followed(
    location: str, tmp_path: Path
) -> None:
    locustfile = tmp_path / "follows.py"
    locustfile.write_text("from loadtests.user import PlimsollUser\nfrom locust import task\n\nclass U(PlimsollUser):\n"
                          "    @task\n    def go(self):\n        self.client.get('/e')\n", encoding="utf-8")  # fmt: skip
    with Scripted({"/e": answer(302, b"", Location=location)}) as server:
        run = measure(Spec(locustfile=locustfile, host=server.url, out=tmp_path, rate_rps=10.0, duration_s=0.5, seed=1))
        paths = set(server.paths())
    assert set(run.summary["all"]["outcomes"]) == {"http_error"} and paths == {"/e"}
    assert run.document["task_exceptions"] == []


LEAVING = """
import socket
from locust import HttpUser, task
class Leaves(HttpUser):
    @task
    def go(self):
        self.client.get("/e")
        socket.create_connection(("203.0.113.8", 80), timeout=1)
"""


def test_a_locustfile_cannot_leave_the_run_whatever_it_uses(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text(LEAVING, encoding="utf-8")
    with Scripted({"/e": answer()}) as server:
        spec = Spec(
            locustfile=tmp_path / "leaves.py", host=server.url, out=tmp_path, rate_rps=5.0, duration_s=0.6, seed=1
        )
        run = measure(spec)
    assert set(run.summary["all"]["outcomes"]) == {"ok"}
    assert any("no load goes to 203.0.113.8" in said for said in run.document["task_exceptions"])


def test_what_a_load_process_may_reach_is_its_targets_and_private_addresses() -> None:
    script = """
    import json, sys
    from loadtests import allowed
    allowed.only(["203.0.113.7"])
    said = {}
    for host in ("203.0.113.7", "203.0.113.8", "169.254.169.254", "127.0.0.1", "10.255.255.1"):
        try:
            sys.audit("socket.connect", None, (host, 9))  # what every connect says before it begins
            said[host] = "allowed"
        except allowed.NotAllowed:
            said[host] = "refused"
    print(json.dumps(said))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=30, check=True
    )
    assert json.loads(done.stdout) == {
        "203.0.113.7": "allowed", "203.0.113.8": "refused", "169.254.169.254": "refused", "127.0.0.1": "allowed",
        "10.255.255.1": "allowed",
    }  # fmt: skip


def test_more_requests_than_arrivals_count_against_the_rate_on_record() -> None:
    at_s = [0.0]
    rate = permission.Rate(10.0, clock=lambda: at_s[0])
    for second in range(20):  # ten arrivals a second, each a journey of one request
        at_s[0] = float(second)
        rate.add(10)
        assert not rate.is_over()
    for second in range(20, 26):  # now of two
        at_s[0] = float(second)
        rate.add(20)
    assert rate.is_over() and "10" in rate.sentence


def test_no_run_file_is_unpickled_and_nothing_of_a_target_is_evaluated() -> None:
    root = Path(__file__).parents[2]
    forbidden = ("import pickle", "pickle.load", "allow_pickle=True", "yaml.load(", "marshal.load", "shelve.", " eval(", " exec(",
                 "joblib")  # fmt: skip
    rooms = ("plimsoll", "loadtests", "measurements", "targets", "profiles", "capacity", "benchmarks", "reports")
    sources = {path: path.read_text(encoding="utf-8") for room in rooms for path in (root / room).rglob("*.py")}
    assert len(sources) > 200
    found = [f"{path}: {word}" for path, text in sources.items() for word in forbidden if word in text]
    assert found == []
