"""What this measurement did not test, read from its documents: a reader must not take silence for a pass."""

from collections.abc import Callable
from urllib.parse import urlsplit

from reports import quantities as q
from reports.documents import Documents, amount, level_rps, listed, section
from reports.wording import Words

LONG_S = 1800.0  # a leak or a filling cache shows within half an hour of load, if at all in a test
LOOPBACK = ("127.", "localhost", "::1", "unix")


def untested(read: Documents, words: Words) -> list[str]:
    """A sentence each; empty without a summary, for then nothing at all was tested."""
    if not read.summary:
        return []
    return [sentence for look in LOOKS if (sentence := look(read, words))]


def _upstream(read: Documents, words: Words) -> str:
    kind = section(read.run, "contract", "upstream").get("kind")
    return words(f"untested.upstream_{kind}") if kind in ("emulated", "replayed") else ""


def _network(read: Documents, words: Words) -> str:
    url = section(read.run, "contract", "target").get("base_url")
    urls = url if isinstance(url, list) else [url]
    hosts = [(urlsplit(one).hostname or urlsplit(one).scheme) if isinstance(one, str) else None for one in urls]
    return words("untested.network") if hosts and all(h and h.startswith(LOOPBACK) for h in hosts) else ""


def _slow(read: Documents, words: Words) -> str:
    duration = amount(read.summary, "duration_s")
    return words("untested.slow", duration=q.seconds(duration)) if duration and duration < LONG_S else ""


def _beyond(read: Documents, words: Words) -> str:
    planned = section(read.plan, "demand").get("planned_rps")
    wanted = [rate for rate in planned if q.is_number(rate)] if isinstance(planned, list) else []
    driven = [level for stage in read.stages if (level := level_rps(stage))]
    if not wanted or not driven or wanted[-1] <= max(driven):
        return ""
    return words("untested.beyond", demand=q.rate(wanted[-1]), highest=q.rate(max(driven)))


def _bursts(read: Documents, words: Words) -> str:
    if read.summary.get("loop") == "closed":
        return words("untested.closed")
    process = str(read.summary.get("arrivals") or section(read.run, "schedule").get("process") or "")
    return words("untested.bursts", process=words(f"untested.{process}")) if process in ("poisson", "constant") else ""


def _losses(read: Documents, words: Words) -> str:
    shape = section(read.run, "schedule").get("shape")
    return "" if shape in ("failover", "rollout") else words("untested.losses")


def _repeats(read: Documents, words: Words) -> str:
    contract = section(read.run, "contract")
    fresh = contract.get("data") and not section(contract, "data").get("repeat")
    return words("untested.repeats") if fresh else ""


def _clients(read: Documents, words: Words) -> str:
    contract = section(read.run, "contract")
    if not section(contract, "limits").get("per_client"):
        return ""
    return words("untested.clients") if section(contract, "users").get("identities", 1) == 1 else ""


def _endpoints(read: Documents, words: Words) -> str:
    known = section(read.summary, "endpoints")
    listed_ones = [e for e in listed(section(read.run, "contract"), "endpoint") if e.get("kind") != "health"]
    names = [str(e.get("name")) for e in listed_ones if e.get("name") not in known]
    return words("untested.endpoints", names=", ".join(names)) if names else ""


def _plan(read: Documents, words: Words) -> str:
    return words("untested.plan") if read.plan and not read.verification else ""


LOOKS: tuple[Callable[[Documents, Words], str], ...] = (
    _upstream, _network, _beyond, _bursts, _slow, _losses, _repeats, _clients, _endpoints, _plan,
)  # fmt: skip
