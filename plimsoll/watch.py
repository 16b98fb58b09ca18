"""Everything that looks on while the load runs: processes, the service's own metrics, its health checks.

All of it in threads of this process, bounded in what it costs; whatever it meets is told and never ends a run.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from plimsoll import health_checks
from plimsoll.health_checks import Asked
from profiles.health import HealthWatch
from profiles.observer import Observer
from profiles.scrape import SERVER, Scraper
from profiles.snapshots import Snapshots
from profiles.spans import SpanReceiver
from targets.contract import Contract

MOST_PAGES = 8
FOLDER, RESOURCES_SPOOL, SERVER_SPOOL = "observed", "resources.arrows", "server-{}.arrows"


class Watch:
    """`roots`: role → pids. `engines`: need → base URL of an engine started with the service. `overload`: the load is
    meant to go beyond what the service can do, so stacks are looked at once it does. `folder`: for rows of a run that
    goes on; `forget` removes it."""

    def __init__(
        self, contract: Contract | None, urls: Sequence[str], roots: Mapping[str, Sequence[int]],
        engines: Mapping[str, str], asked: Sequence[Asked], spans: SpanReceiver | None = None, *,
        overload: bool = False, folder: Path | None = None,
    ) -> None:  # fmt: skip
        self.spans = spans
        self.snapshots = Snapshots(roots.get("target", [])) if overload and roots.get("target") else None
        self._roots, self.asked = roots, list(asked)
        self.observer: Observer | None = None
        self._folder = folder
        self._scrapers = _scrapers(contract, urls, engines, folder)
        checks = health_checks.watched(contract, urls[0], asked) if contract else []
        verify = contract.target.verify_tls if contract else True
        self._health = HealthWatch(checks, 0, verify_tls=verify, source=_aside(urls[0], 3))

    def before(self) -> None:
        """While nothing is loaded yet; may take a second."""
        if self.snapshots is not None:
            self.snapshots.calm()

    def progress(self, worker: int, news: Mapping[str, Any]) -> None:
        """What a load process tells once a second."""
        if self.snapshots is not None:
            self.snapshots.progress(worker, int(news["in_flight"]))

    def start(self, start_ns: int, generator: Sequence[int], load_s: float) -> None:
        """Returns within milliseconds: the first arrival is near. `generator`: pids of the load processes."""
        if self.snapshots is not None:
            self.snapshots.start(start_ns, load_s)
        spool = self._folder / RESOURCES_SPOOL if self._folder else None
        self.observer = Observer({**self._roots, "generator": list(generator)}, start_ns, spool=spool)
        self.observer.start()
        for scraper in self._scrapers:
            scraper.start_ns = start_ns
            scraper.start()
        self._health.start_ns = start_ns
        self._health.start()

    def stop(self) -> None:
        if self.observer is not None:
            self.observer.stop()
        for scraper in self._scrapers:
            scraper.stop()
        self._health.stop()
        if self.snapshots is not None:
            self.snapshots.stop()

    def forget(self) -> None:
        """What was kept on disk for `recover`: all of it stands in the run's own files."""
        for looker in (self.observer, *self._scrapers):
            if looker is not None:
                looker.forget()

    def server(self) -> pa.Table:
        """What the service and its engines said about themselves; schema `profiles.scrape.SERVER`."""
        tables = [scraper.table() for scraper in self._scrapers]
        whole = pa.concat_tables(tables).unify_dictionaries() if tables else SERVER.empty_table()
        return whole.sort_by("at_ns")

    def failures(self) -> list[dict[str, Any]]:
        return [failure for scraper in self._scrapers for failure in scraper.failures()]

    def health(self) -> dict[str, dict[str, Any]]:
        return self._health.results()


def _scrapers(
    contract: Contract | None, urls: Sequence[str], engines: Mapping[str, str], folder: Path | None
) -> list[Scraper]:
    """The service's pages; of several replicas each under its full address. Of engines: /metrics, where they have one."""
    numbers = itertools.count()

    def scraper(url: str, page: str | None, json: Mapping[str, list[str]], **more: Any) -> Scraper:
        spool = folder / SERVER_SPOOL.format(next(numbers)) if folder else None
        return Scraper(url, page, json, 0, spool=spool, **more)

    found = []
    if contract is not None:
        observe, verify = contract.target.observe, contract.target.verify_tls
        page, json, aside = observe.prometheus, observe.json_, _aside(urls[0], 2)
        if page or json:
            found.append(scraper(urls[0], page, json, verify_tls=verify, source=aside))
            if page and "://" not in page:
                others = [url.rstrip("/") + page for url in urls[1:MOST_PAGES]]
                found += [scraper(urls[0], other, {}, verify_tls=verify, source=aside) for other in others]
    return found + [scraper(url, f"{url}/metrics", {}) for url in engines.values()]


def _aside(url: str, last: int) -> str | None:
    """A loopback address of our own, so that a limit per address counts neither scrapes nor health checks as load."""
    host = urlsplit(url).hostname or ""
    return f"127.0.0.{last}" if host.startswith("127.") and sys.platform == "linux" else None


def engines(needs: Mapping[str, str]) -> dict[str, str]:
    """Those of the services that were started along (name → base URL) which tell about themselves on /metrics."""
    found = {}
    for name, url in needs.items():
        page = Scraper(url, "/metrics", {}, 0)
        if page.once():
            found[name] = url
        page.close()
    return found
