"""Reads a service's own metrics once a second, from a thread of a parent process (one without gevent).

The target writes the documents, so size, time, number of series and their spelling are bounded, and whatever goes
wrong is counted and told, never raised: a load test does not end because a metrics page did.
"""

import threading
import time
from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa

from profiles.exposition import Reading, prometheus, status_json
from profiles.spool import EVERY_S, Spool
from profiles.traffic import tls_context
from targets import pinned

SERVER = pa.schema(
    [
        ("at_ns", pa.int64()),  # since the run's start; the middle between asking and having
        ("source", pa.dictionary(pa.int32(), pa.string())),  # path of the document
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("labels", pa.dictionary(pa.int32(), pa.string())),  # JSON object
        ("kind", pa.dictionary(pa.int32(), pa.string())),
        ("value", pa.float64()),
    ]
)
MOST_BYTES = 4 << 20
MOST_SECONDS = 2.0
MOST_SERIES = 10_000  # over the whole run: a page that invents names each second ends here
ROWS_BEFORE_SLOWING = 1_000_000
MOST_REASONS = 50
PAUSE_PER_CPU = 4  # at most a fifth of a core, whatever page there is to parse


class Scraper:
    """`prometheus`: path or URL of a metrics page; `json`: path → dotted keys; `start_ns` as for the Observer.

    Every scrape uses a connection of its own: several workers behind one port then show as counters that fall, which
    `rates` tells, where one kept connection would silently show one worker as the whole service. The period doubles
    with every million rows, so that a long soak stays bounded. `source`: the address that it asks from, apart from the
    load's where something counts requests by address.
    """

    def __init__(
        self,
        base_url: str,
        prometheus: str | None,
        json: Mapping[str, list[str]],
        start_ns: int,
        *,
        period_s: float = 1.0,
        verify_tls: bool = True,
        source: str | None = None,
        spool: Path | None = None,
    ) -> None:
        self.start_ns = start_ns
        self.period_s = period_s
        unix = base_url.startswith("unix:")
        origin = "http://localhost" if unix else base_url.rstrip("/")
        self._pages: list[tuple[str, str, list[str] | None]] = []
        if prometheus:
            self._pages.append((*_address(origin, prometheus), None))
        self._pages += [(*_address(origin, path), list(keys)) for path, keys in json.items()]
        self._client = httpx.Client(
            transport=pinned.transport(base_url, verify=tls_context(base_url, verify_tls), source=source, keep=0),
            timeout=1.0,
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "plimsoll/observer"},
        )
        self._series: dict[tuple[str, str, str, str], int] = {}
        self._at, self._index, self._values = array("q"), array("i"), array("d")
        self._failures: Counter[tuple[str, str]] = Counter()
        self._spool = Spool(spool, SERVER) if spool else None
        self._spooled, self._spooled_s = 0, time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns at once; the first scrape follows at once in the thread."""
        if self._pages:
            self._thread = threading.Thread(target=self._watch, name="scraper", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Scrapes once more, so that counters have their end. A second call does nothing."""
        if self._thread is None or self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        self._scrape_all()
        self._client.close()

    def once(self) -> list[tuple[str, Reading]]:
        """Every page as it stands now, (source, reading); nothing of it is kept. A page that fails has no readings."""
        found = []
        for source, url, keys in self._pages:
            body, wrong = self._fetch(url)
            if wrong is None:
                readings, _ = prometheus(body) if keys is None else status_json(body, keys)
                found += [(source, reading) for reading in readings]
        return found

    def close(self) -> None:
        """For a scraper that was never started; `stop` does it for the others."""
        self._client.close()

    def failures(self) -> list[dict[str, str | int]]:
        """What went wrong: `source`, `reason` (a sentence's part) and how many times."""
        with self._lock:
            return [{"source": source, "reason": reason, "count": n} for (source, reason), n in self._failures.items()]

    def table(self, first: int = 0) -> pa.Table:
        """All rows so far, in the order of time, from the `first` on; schema `SERVER`."""
        with self._lock:
            at, index, values = self._at[first:], np.array(self._index[first:], dtype=np.int32), self._values[first:]
            columns = list(zip(*self._series, strict=True)) or [(), (), (), ()]
        words = [pa.array(column, pa.string()).dictionary_encode().take(pa.array(index)) for column in columns]
        return pa.Table.from_arrays([pa.array(at, pa.int64()), *words, pa.array(values, pa.float64())], schema=SERVER)

    def forget(self) -> None:
        """The spool's file goes: its rows stand elsewhere."""
        if self._spool is not None:
            self._spool.remove()

    def _keep_on_disk(self) -> None:
        """What came since the last time: for `recover`; here the rows stay in memory, and are bounded."""
        if self._spool is None or time.monotonic() - self._spooled_s < EVERY_S:
            return
        found = self.table(self._spooled)
        for batch in found.to_batches():
            self._spool.add(batch)
        self._spooled, self._spooled_s = self._spooled + found.num_rows, time.monotonic()

    def _watch(self) -> None:
        due_s = time.monotonic()
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            began_s = time.thread_time()
            self._scrape_all()
            self._keep_on_disk()
            rest_s = PAUSE_PER_CPU * (time.thread_time() - began_s)
            period_s = self.period_s * 2 ** (len(self._at) // ROWS_BEFORE_SLOWING)
            due_s = max(due_s + period_s, time.monotonic() + rest_s)

    def _scrape_all(self) -> None:
        for source, url, keys in self._pages:
            asked_ns = time.monotonic_ns()
            body, wrong = self._fetch(url)
            at_ns = (asked_ns + time.monotonic_ns()) // 2 - self.start_ns
            readings: list[Reading] = []
            if wrong is None:
                readings, wrong = prometheus(body) if keys is None else status_json(body, keys)
            with self._lock:
                for reading in readings:
                    self._keep(at_ns, source, reading)
                if wrong is not None:
                    self._count_failure(source, wrong)

    def _fetch(self, url: str) -> tuple[bytes, str | None]:
        deadline_s = time.monotonic() + MOST_SECONDS
        body = bytearray()
        try:
            with self._client.stream("GET", url) as response:
                if response.status_code != 200:
                    return b"", f"answered {response.status_code}"
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    return b"", "answered compressed though asked not to"
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        return b"", f"answered more than {MOST_BYTES >> 20} MiB"
                    if time.monotonic() > deadline_s:
                        return b"", f"took longer than {MOST_SECONDS:g} s"
        except Exception as error:  # httpx's errors, and what a broken peer makes the layers below it raise
            return b"", f"could not be read ({type(error).__name__})"
        return bytes(body), None

    def _keep(self, at_ns: int, source: str, reading: Reading) -> None:
        series = (source, reading.name, reading.labels, reading.kind)
        index = self._series.get(series)
        if index is None:
            if len(self._series) == MOST_SERIES:
                self._count_failure(source, f"named more than {MOST_SERIES} series; later ones are left out")
                return
            index = self._series[series] = len(self._series)
        self._at.append(at_ns)
        self._index.append(index)
        self._values.append(reading.value)

    def _count_failure(self, source: str, reason: str) -> None:
        if (source, reason) in self._failures or len(self._failures) < MOST_REASONS:
            self._failures[source, reason] += 1


def _address(origin: str, place: str) -> tuple[str, str]:
    """(source, URL): a path below the service's address, or a URL of its own."""
    return (place, place) if "://" in place else (place, origin + "/" + place.lstrip("/"))
