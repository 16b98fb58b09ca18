"""Who may see and use the web UI: this machine's own pages on loopback; whoever has the token beyond it.

Locust's UI answers any origin and lets anybody stop the test. Here a page of another site can neither read nor post
(its Origin differs), a name that was rebound to this machine is refused (its Host is none of ours), and an address
beyond loopback asks for a token, which a cookie keeps after the first call.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlsplit

import flask

from targets.urls import is_loopback

COOKIE = "plimsoll_token"


def _is_this_machine(name: str) -> bool:
    try:
        return name == "localhost" or is_loopback(name)
    except ValueError:
        return False


def url(host: str, port: int, token: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def put_on(app: flask.Flask, host: str, token: str) -> None:
    """Every request of `app` passes here first. Beyond loopback `token` must not be empty."""

    def guard() -> Any:
        request = flask.request
        asked = urlsplit(f"//{request.host}").hostname or ""
        origin = request.headers.get("Origin")
        if origin and urlsplit(origin).netloc != request.host:
            return flask.make_response(f"this page belongs to {request.host} and is not for {origin[:100]}", 403)
        if is_loopback(host):
            return None if _is_this_machine(asked) else flask.make_response("ask for 127.0.0.1 or localhost", 403)
        given = request.args.get("token", "")
        if hmac.compare_digest(given.encode(), token.encode()):
            answer = flask.redirect("/")
            answer.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
            return answer
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
            return None
        return flask.make_response("open the address with ?token=…, as plimsoll run has printed it", 403)

    app.before_request(guard)
