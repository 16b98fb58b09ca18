"""Access logs made up for tests and for measuring: kakao's two endpoints, ids, queries, a day's rise and fall."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from math import pi, sin

DAY_START_S = 1_795_186_800  # 2026-11-21 00:00 in Seoul
SEOUL_S = 9 * 3600
AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "python-httpx/0.28.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
)


def day_times(count: int, days: int, chance: random.Random) -> list[float]:
    """Times of `count` requests over whole days, most at 15 o'clock, fewest at 3, ascending."""
    weights = [0.55 - 0.45 * sin(2 * pi * (hour + 3) / 24) for hour in range(24)]
    hours = chance.choices(range(24), weights, k=count)
    return sorted(DAY_START_S + 86_400 * chance.randrange(days) + (h + chance.random()) * 3600 for h in hours)


def request(chance: random.Random) -> tuple[str, str, float]:
    """(method, path with query, seconds that it took)."""
    draw = chance.random()
    if draw < 0.3:
        return "POST", "/api/v1/templates/generate", chance.lognormvariate(0.2, 0.4)
    if draw < 0.9:
        return (
            "GET",
            f"/api/v1/policies/search?q=%EC%98%88%EC%95%BD+{chance.randrange(9_999)}&k=5",
            chance.lognormvariate(-3, 0.5),
        )
    if draw < 0.95:
        return "GET", f"/api/v1/templates/{chance.randrange(100_000)}", chance.lognormvariate(-4, 0.3)
    return "GET", "/health", 0.001


def nginx_lines(count: int, seed: int = 1, days: int = 1, with_time: bool = True) -> Iterator[str]:
    """nginx combined, with $request_time at the end."""
    chance = random.Random(seed)
    stamps: dict[int, str] = {}
    for at in day_times(count, days, chance):
        method, path, took_s = request(chance)
        status = chance.choices((200, 429, 500, 404), (970, 12, 8, 10))[0]
        second = int(at)
        if second not in stamps:
            stamps = {second: time.strftime("%d/%b/%Y:%H:%M:%S +0900", time.gmtime(second + SEOUL_S))}
        address = f"10.0.{chance.randrange(4)}.{chance.randrange(200)}"
        yield (
            f'{address} - - [{stamps[second]}] "{method} {path} HTTP/1.1" {status} {chance.randrange(9_000)} "-" '
            f'"{chance.choice(AGENTS)}"' + (f" {took_s:.3f}" if with_time else "")
        )
