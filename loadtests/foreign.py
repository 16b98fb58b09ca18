"""Locust's own clients (HttpUser, FastHttpUser) under the rules of a run: every request names the run and carries its
arrival's trace, and none leaves the host that the load goes to, by its URL or by a redirect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

from gevent import getcurrent
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession, FastRequest

from loadtests.session import Session
from measurements.errors import UsageError

HEADERS_AT = 5  # of FastHttpSession.request's positional arguments behind method and url


class RedirectElsewhere(ConnectionError):
    """A redirect to another host, which is never followed."""

    def __init__(self, host: str) -> None:
        super().__init__(f"redirect to another host ({host[:80]}) not followed")


def under_our_rules(session: Session, steps_before: Callable[[Any], tuple[int, int]]) -> Callable[[], None]:
    """For the life of a load process; returns the function that puts Locust's own back. `steps_before` gives a user's
    arrival and how many requests it made for it."""
    hosts = frozenset(origin.host_header for origin in session.origins)
    own = [(HttpSession, "request"), (FastHttpSession, "request"), (FastRequest, "redirect")]
    before = [(kind, name, getattr(kind, name)) for kind, name in own]
    own_target = HttpSession.get_redirect_target

    def identified(request: Any) -> Any:
        def send(client: Any, method: str, url: str, *words: Any, **arguments: Any) -> Any:
            _stay(url, hosts)
            if len(words) < HEADERS_AT:
                headers = dict(arguments.get("headers") or {})
                known = {name.lower() for name in headers}
                user = getattr(getcurrent(), "user", None)
                for name, value in session.heads.identity(*steps_before(user)).items():
                    if name.lower() not in known:
                        headers[name] = value
                arguments["headers"] = headers
            return request(client, method, url, *words, **arguments)

        return send

    def redirect_target(client: Any, response: Any) -> str | None:
        target = own_target(client, response)
        host = _host(response.url, target) if target else ""
        if host and host not in hosts:
            response.refused = RedirectElsewhere(host)
            return None
        return target

    own_redirect = FastRequest.redirect

    def redirect(request: Any, code: int, location: str) -> None:
        host = _host(request.url, location)
        if host not in hosts:
            raise RedirectElsewhere(host)
        own_redirect(request, code, location)

    HttpSession.request = identified(HttpSession.request)
    FastHttpSession.request = identified(FastHttpSession.request)
    HttpSession.get_redirect_target = redirect_target
    FastRequest.redirect = redirect

    def restore() -> None:
        for kind, name, method in before:
            setattr(kind, name, method)
        HttpSession.get_redirect_target = own_target

    return restore


def _host(url: str, target: str) -> str:
    """Where a redirect leads; what is no URL leads nowhere that is allowed."""
    try:
        return urlsplit(urljoin(url, target)).netloc
    except ValueError:
        return target[:80] or "?"


def _stay(url: str, hosts: Iterable[str]) -> None:
    host = urlsplit(str(url)).netloc if "://" in str(url) else ""
    if host and host not in hosts:
        raise UsageError(
            f"the locustfile asks for {host}, but the load goes to {', '.join(sorted(hosts))}; "
            "use a path, or run against that host"
        )
