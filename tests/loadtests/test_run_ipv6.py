"""A service on ::1, and a body that does not fit into the socket's buffer at once."""

import socket
from pathlib import Path

import pytest
from real_runs import checks, contract, rows, run
from servers import Asked, Line, Scripted, answer, head

from loadtests.arrivals import Process

BODY = "0123456789abcdef" * 2**18  # 4 MiB: many writes


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def counts_the_body(line: Line, asked: Asked) -> None:
    text = str(len(asked.body)).encode()
    line.send(head(Content_Length=len(text)) + text)


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")
def test_requests_go_over_ipv6_and_large_bodies_arrive_whole(tmp_path: Path) -> None:
    endpoints = [
        {"name": "small", "path": "/small"},
        {
            "name": "large",
            "path": "/large",
            "method": "POST",
            "body": BODY,
            "expect": {"contains": str(len(BODY))},
        },
    ]
    with Scripted({"/small": answer(), "/large": counts_the_body}, ipv6=True) as server:
        made = run(contract(server.url, endpoints), tmp_path, rate_rps=12.0, process=Process("constant"), seed=2)
        asked = list(server.asked)
    found = rows(made.directory)
    assert {row["endpoint"] for row in found} == {"small", "large"}
    assert {row["outcome"] for row in found} == {"ok"}
    assert {one.header["host"] for one in asked} == {server.url.removeprefix("http://")}
    assert all(row["bytes_out"] > len(BODY) for row in found if row["endpoint"] == "large")
    assert checks(made)["accounting"] == "ok"
