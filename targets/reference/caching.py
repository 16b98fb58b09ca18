"""Caches with a lifetime per kind of entry: in the process (cachetools), or in Redis when a URL is given."""

import contextlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from cachetools import TTLCache

from targets.reference.settings import refuse

MAX_ENTRIES = 10_000


def require_redis_client(service: str, url: str) -> None:
    """Redis needs a client that is no dependency of Plimsoll; say so in one sentence before the service starts."""
    if url and importlib.util.find_spec("redis") is None:
        refuse(
            f"{service}: --set redis={url} needs the redis package; install it (uv tool install '.[reference,stores]'; in a "
            "clone: make setup) or leave it out."
        )


class Caches:
    """`get` and `put` by kind and key. An in-process cache belongs to one worker; Redis is shared by all.

    `observe(kind, hit)` is called at every look-up. A Redis that cannot be reached is a miss, not an error.
    """

    def __init__(self, lifetimes_s: Mapping[str, float], observe: Callable[[str, bool], None], redis_url: str = ""):
        self._lifetimes_s = dict(lifetimes_s)
        self._observe = observe
        self._local: dict[str, TTLCache[str, Any]] = {
            kind: TTLCache(maxsize=MAX_ENTRIES, ttl=ttl_s) for kind, ttl_s in lifetimes_s.items()
        }
        self._redis: Any = None
        self._redis_error: type[Exception] = OSError
        if redis_url:
            import redis.asyncio

            self._redis = redis.asyncio.from_url(redis_url)
            self._redis_error = redis.RedisError

    async def get(self, kind: str, key: str) -> Any | None:
        if self._redis is None:
            value = self._local[kind].get(key)
        else:
            import orjson

            try:
                raw = await self._redis.get(f"{kind}:{key}")
            except self._redis_error:
                raw = None
            value = None if raw is None else orjson.loads(raw)
        self._observe(kind, value is not None)
        return value

    async def put(self, kind: str, key: str, value: Any) -> None:
        """`value` is made of what JSON can hold."""
        if self._redis is None:
            self._local[kind][key] = value
        else:
            import orjson

            with contextlib.suppress(self._redis_error):
                await self._redis.setex(f"{kind}:{key}", int(self._lifetimes_s[kind]), orjson.dumps(value))

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()
