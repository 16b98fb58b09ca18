"""`self.client` of a locustfile: get, post, stream … on the lean transport, with the arguments that people know."""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from http.cookies import CookieError, SimpleCookie
from time import monotonic_ns as now
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urljoin, urlsplit

import orjson
from gevent import get_hub, getcurrent

from loadtests.identities import Identity
from loadtests.judge import ALL_WELL, Judge, header, refused
from loadtests.origin import Origin
from loadtests.response import Response
from loadtests.tokenizer import Count
from loadtests.tokens import TokenStream
from loadtests.transport import Connection, Limits, whole_ns
from loadtests.wire import HAS_BODY, HeadBuilder
from measurements.errors import UsageError
from measurements.sample import Outcome

MAX_REDIRECTS = 5
REDIRECTS = frozenset((301, 302, 303, 307, 308))
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
OK = Outcome.ok
SAFE = "/:?#[]@!$&'()*+,;=%~-._"


class Named:
    """What is known of the requests of one name: the endpoint's number, its judge and its timeout."""

    __slots__ = ("count_tokens", "endpoint", "judge", "limits", "name")

    def __init__(
        self, name: str, endpoint: int, judge: Judge | None, limits: Limits, count_tokens: Count | None = None
    ) -> None:
        self.name, self.endpoint, self.judge = name, endpoint, judge
        self.limits, self.count_tokens = limits, count_tokens


class Place(Protocol):
    """Where a client's requests belong and where their rows go: a run of ours, or plain Locust's statistics."""

    heads: HeadBuilder
    known: dict[str, Named]  # what `named` has said and goes on saying

    def enter(self, user: Any) -> tuple[int, Identity]: ...
    def origin(self, user: Any) -> Origin: ...
    def named(self, name: str) -> Named: ...
    def began(self, user: Any, name: str) -> tuple[int, int, int]: ...
    def ended(
        self, user: Any, connection: Connection, method: str, named: Named, place: tuple[int, int, int],
        verdict: tuple[Outcome, str], stream: TokenStream | None,
    ) -> None: ...  # fmt: skip


class Client:
    """One per user: keeps its connections and cookies."""

    def __init__(self, user: Any, place: Place) -> None:
        self._user, self._place = user, place
        self._origin, self._builder, self._known = place.origin(user), place.heads, place.known
        self._idle: list[Connection] = []
        self._to_the_loop = get_hub().switch
        self._heads: dict[tuple[str, str, str], bytes] = {}
        self._cookies: dict[str, str] = {}
        self.base_url = self._origin.url
        self.headers: dict[str, str] = {}
        self.get = partial(self.request, "GET")
        self.post = partial(self.request, "POST")
        self.put = partial(self.request, "PUT")
        self.patch = partial(self.request, "PATCH")
        self.delete = partial(self.request, "DELETE")
        self.head = partial(self.request, "HEAD")
        self.options = partial(self.request, "OPTIONS")

    def request(
        self, method: str, url: str, *, name: str | None = None, catch_response: bool = False, json: Any = None,
        data: Any = None, headers: dict[str, str] | None = None, params: dict[str, Any] | None = None,
        timeout: float | tuple[float, ...] | None = None, stream: bool | str = False, allow_redirects: bool = True,
        auth: tuple[str, str] | None = None,
    ) -> Response:  # fmt: skip
        """Sends and waits. Failures are recorded and returned, never raised. `timeout` is total, (first byte, total) or
        (connect, first byte, total) in seconds."""
        name = name or url
        place, user = self._place, self._user
        named = self._named(name)
        step = place.began(user, name)
        body, kind = (orjson.dumps(json), JSON) if json is not None else _body(data)
        prepared = None
        if not (headers or params or auth or self._cookies or self.headers):
            prepared = self._heads.get((method, url, kind))
        if prepared is None:
            prepared = self._prepare(method, url, kind, headers, params, auth)
        request = self._builder.head(prepared, step[0], step[1], body, method in HAS_BODY)
        limits = _limits(timeout) if timeout else named.limits
        connection = self._take()
        tokens = TokenStream(named.count_tokens) if stream else None
        connection.sink = tokens.hear if tokens else None
        self._exchange(connection, request, limits, method == "HEAD")
        if tokens:
            tokens.read()
        if 300 < connection.status < 400 and connection.status in REDIRECTS and allow_redirects:
            self._follow(connection, method, url, body, kind, headers, step)
        if stream is True and b"text/event-stream" not in header(connection.head, b"content-type"):
            tokens = None  # somebody who streams a download, as with requests
        if connection.head.find(b"ookie:") >= 0:  # `in` would try it as a number first, at four times the cost
            self._keep_cookies(connection.head)
        if connection.outcome is OK and connection.status < 400 and tokens is None and named.judge is None:
            verdict = ALL_WELL
        else:
            verdict = _verdict(connection, named.judge, tokens)
        response = Response(url, connection, verdict, tokens)
        if not catch_response:
            self._idle.append(connection)
            place.ended(user, connection, method, named, step, verdict, tokens)
            if connection.counted_bytes:
                connection.release()  # the response has its own hold of the body
            return response

        response.report = partial(self._report, connection, method, named, step, tokens)
        return response

    def _report(
        self, connection: Connection, method: str, named: Named, step: tuple[int, int, int],
        tokens: TokenStream | None, outcome: Outcome, error: str,
    ) -> None:  # fmt: skip
        self._idle.append(connection)  # not earlier: its times are needed until the with-block ends
        self._place.ended(self._user, connection, method, named, step, (outcome, error), tokens)
        if connection.counted_bytes:
            connection.release()

    def _named(self, name: str) -> Named:
        return self._known.get(name) or self._place.named(name)

    def _take(self) -> Connection:
        return self._idle.pop() if self._idle else Connection(self._origin, getattr(self._user, "source_address", None))

    def stream(self, method: str, url: str, **arguments: Any) -> Response:
        """A streamed answer (server-sent events), waited for; `response.tokens` has the time of every content event."""
        return self.request(method, url, stream="sse", **arguments)

    # ------------------------------------------------------------------ parts

    def _exchange(self, connection: Connection, request: bytes, limits: Limits, no_body: bool) -> None:
        connection.finish = getcurrent().switch
        connection.start(request, limits, no_body)
        switch = self._to_the_loop
        try:
            while connection.busy:
                switch()
        except BaseException:
            connection.finish = getcurrent  # the user is being stopped: nobody waits any more
            if connection.busy:
                connection.abandon("the user was stopped")
            raise

    def _prepare(
        self, method: str, url: str, kind: str, headers: dict[str, str] | None,
        params: dict[str, Any] | None, auth: tuple[str, str] | None,
    ) -> bytes:  # fmt: skip
        """The request's head up to the arrival's part; kept for the next time where nothing but the body can differ."""
        path = self._path(url)
        if params:
            path += ("&" if "?" in path else "?") + urlencode(params, doseq=True)
        sent = {**({"Content-Type": kind} if kind else {}), **self.headers, **(headers or {})}
        if auth:
            sent["Authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        if self._cookies:
            sent.setdefault("Cookie", "; ".join(f"{key}={value}" for key, value in self._cookies.items()))
        prepared = self._place.heads.prepare(method, path, self._origin, sent)
        if not (headers or params or auth or self._cookies or self.headers) and len(self._heads) < 1_000:
            self._heads[method, url, kind] = prepared
        return prepared

    def _path(self, url: str) -> str:
        if "://" in url:
            parts = urlsplit(url)
            if parts.netloc != self._origin.host_header:
                raise UsageError(
                    f"the locustfile asks for {parts.netloc}, but the load goes to {self._origin.host_header}; "
                    "use a path, or run against that host"
                )
            url = parts.path + (f"?{parts.query}" if parts.query else "")
        return quote(url, safe=SAFE) if url.startswith("/") else "/" + quote(url, safe=SAFE)

    def _follow(
        self, connection: Connection, method: str, url: str, body: bytes | None, kind: str,
        headers: dict[str, str] | None, step: tuple[int, int, int],
    ) -> None:  # fmt: skip
        """Redirects within the host; the row spans the chain. Another host is never followed."""
        deadline_ns = connection.total_deadline_ns
        sent_ns, connect_ns, out, into = (
            connection.sent_ns,
            connection.connect_ns,
            connection.bytes_out,
            connection.bytes_in,
        )
        for _ in range(MAX_REDIRECTS):
            said = header(connection.head, b"location").decode("latin-1")
            try:
                target = urlsplit(urljoin(f"http://{self._origin.host_header}{url}", said))
            except ValueError:
                connection.outcome, connection.error = Outcome.http_error, "redirect to what is no URL"
                break
            if target.netloc != self._origin.host_header:
                connection.outcome = Outcome.http_error
                connection.error = f"redirect to another host ({target.netloc[:80]}) not followed"
                break
            if connection.status in (301, 302, 303) and method != "HEAD":
                method, body, kind = "GET", None, ""
            url = target.path + (f"?{target.query}" if target.query else "")
            prepared = self._prepare(method, url, kind, headers, None, None)
            request = self._place.heads.head(prepared, step[0], step[1], body, method in HAS_BODY)
            self._exchange(connection, request, Limits(deadline_ns - now()), method == "HEAD")
            out, into = out + connection.bytes_out, into + connection.bytes_in
            if connection.status not in REDIRECTS or connection.outcome is not Outcome.ok:
                break
        connection.sent_ns, connection.connect_ns = sent_ns, connect_ns
        connection.bytes_out, connection.bytes_in = out, into

    def _keep_cookies(self, head: bytes) -> None:
        for line in head.split(b"\r\n"):
            if line[:11].lower() == b"set-cookie:":
                try:
                    parsed = SimpleCookie(line[11:].decode("latin-1").strip())
                except CookieError:
                    continue
                self._cookies |= {
                    key: morsel.value for key, morsel in list(parsed.items())[:50] if len(self._cookies) < 50
                }


def _verdict(connection: Connection, judge: Judge | None, tokens: TokenStream | None) -> tuple[Outcome, str]:
    status = connection.status
    if connection.outcome is not OK:
        return connection.outcome, connection.error
    if tokens is not None and status < 400:
        verdict = tokens.verdict()
        if verdict[0] is not OK:
            return verdict
    if judge is not None:
        return judge(status, connection.head, connection.body, tokens.counts()[0] if tokens else 0)
    return ALL_WELL if status < 400 else refused(status, connection.head, connection.body)


def _limits(timeout: float | tuple[float, ...]) -> Limits:
    """Of total, (first byte, total) or (connect, first byte, total) in seconds."""
    parts_s = timeout if isinstance(timeout, tuple) else (timeout,)
    if not 1 <= len(parts_s) <= 3:
        raise UsageError(f"timeout={timeout}: write total, (first byte, total) or (connect, first byte, total)")
    return Limits(*map(whole_ns, reversed(parts_s)))


def _body(data: Any) -> tuple[bytes | None, str]:
    if data is None:
        return None, ""
    if isinstance(data, dict | list | tuple):
        return urlencode(data, doseq=True).encode(), FORM
    return (data.encode() if isinstance(data, str) else bytes(data)), ""
