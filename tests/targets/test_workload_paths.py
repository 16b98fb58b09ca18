"""Endpoints of a log: ids are folded, names stay, and there is never more than a bounded number."""

from __future__ import annotations

import re
import time

import pytest

from targets.workload.paths import MANY, Endpoints, folded

SAFE = re.compile(r"[A-Z]+ /[\w/.~!$&'()*+,;=:@%{}-]*|[A-Z]* ?\([a-z ]+\)")


def endpoint(head: bytes) -> str:
    return Endpoints().of([head])[head]


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/users/4711/orders", "/users/{id}/orders"),
        ("/users/1/orders/2", "/users/{id}/orders/{id}"),
        ("/o/3f2a91bc-1111-2222-3333-444455556666", "/o/{id}"),
        ("/o/9e107d9d372bb6826bd81d3542a419d6/raw", "/o/{id}/raw"),
        ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id}"),
        ("/o/user-1234", "/o/{id}"),
        ("/o/2026-11-21", "/o/{id}"),
        ("/o/kim@example.com", "/o/{id}"),
        ("/search/%EC%98%88%EC%95%BD", "/search/{id}"),
        ("/img/123.png", "/img/{id}.png"),
        ("/js/app.3f2a91bc.js", "/js/{id}.js"),
        ("/o/" + "x" * 70, "/o/{id}"),
        ("http://host:8000/a/7", "/a/{id}"),
        ("/a#top", "/a"),
    ],
)
def test_values_are_folded(path, shape):
    assert endpoint(f"GET {path}".encode()) == f"GET {shape}"


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/templates/generate", "/v2/models", "/gpt-4/x", "/api/2.0/x", "/deadbeef/facade", "/oauth2/token",
     "/a/b/", "//a", "/.env", "/index.html", "/s3/bucket", "/it's/(fine)"],
)  # fmt: skip
def test_names_stay_as_they_are(path):
    assert endpoint(f"GET {path}".encode()) == f"GET {path}"


@pytest.mark.parametrize("head", [b"", b"-", rb"\x16\x03\x01", b"get /a", b"GET", b"EVIL /a", b"\x00 /a"])
def test_what_is_no_request_line_is_one_endpoint(head):
    assert endpoint(head) in ("(malformed request)", "GET (other)")


def test_nothing_of_a_hostile_path_gets_through():
    for path in (b"/\x1b[31m", b"/{{secret}}", b"/a{b}", b"/${env:HOME}", b"/a\\x1b", b"/" + b"a/" * 500, b"/\xff\xfe"):
        found = endpoint(b"GET " + path)
        assert SAFE.fullmatch(found), found
        assert "{{" not in found
        assert len(found) < 1_000


def test_a_position_with_many_values_is_a_parameter_and_its_neighbours_are_not():
    seen = {f"GET /users/{chr(97 + k // 26)}{chr(97 + k % 26)}/posts": (5, 5) for k in range(300)}
    seen |= {"GET /health": (9, 9), "GET /users": (9, 9), "POST /users": (2, 2)}
    names = folded(seen)
    assert {names[f"GET /users/{value}/posts"] for value in ("aa", "bc", "kk")} == {f"GET /users/{MANY}/posts"}
    assert [names[name] for name in ("GET /health", "GET /users", "POST /users")] == [
        "GET /health", "GET /users", "POST /users",
    ]  # fmt: skip


def test_a_scanner_does_not_hide_the_service():
    seen = {"GET /api/v1/search": (90_000, 89_000), "GET /health": (20, 20)}
    seen |= {f"GET /wp-{k:x}.php": (1, 0) for k in range(0x100, 0x300)}
    names = folded(seen)
    assert names["GET /api/v1/search"] == "GET /api/v1/search"
    assert names["GET /health"] == "GET /health"
    assert {name for old, name in names.items() if "wp-" in old} == {"GET (not found)"}


def test_few_unknown_paths_stay_in_sight():
    seen = {"GET /api": (100, 100), "GET /.env": (3, 0)}
    assert folded(seen) == {name: name for name in seen}


def test_folding_again_changes_nothing():
    seen = {f"GET /u/{k:x}g/p": (1, 1) for k in range(500)}
    once = set(folded(seen).values())
    assert set(folded(dict.fromkeys(once, (500, 500))).values()) == once


def test_a_long_hostile_path_costs_little():
    heads = [
        b"GET /" + b"a1-" * 300_000,
        b"GET /" + b"/1" * 300_000,
        b"GET /" + b"1-" * 300_000,
        b"GET /" + b"%" * 500_000,
    ]
    began = time.perf_counter()
    Endpoints().of(heads)
    assert time.perf_counter() - began < 2
