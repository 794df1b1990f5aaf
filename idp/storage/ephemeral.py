"""Redis or Valkey: what can be rebuilt or retried, and nothing whose loss would be a security fault (law 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from idp.storage.breaker import Breaker

if TYPE_CHECKING:
    from datetime import timedelta

_AWAY = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError)


class Ephemeral:
    """Short-lived values under keys of the caller's choosing."""

    def __init__(self, url: str) -> None:
        """Reach the engine at `url` (`redis://`, `rediss://`, `unix://`). Nothing is connected yet."""
        self.breaker = Breaker("redis")
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_connect_timeout=0.1, socket_timeout=0.2, retry=Retry(NoBackoff(), 1), health_check_interval=0
        )
        self._count = self._redis.register_script(_COUNT)
        self._uncount = self._redis.register_script(_UNCOUNT)
        self._replace = self._redis.register_script(_REPLACE)

    def put(self, key: str, value: bytes, *, keep_for: timedelta) -> None:
        """Store `value` for `keep_for`, whatever was there."""
        with self.breaker.guard(*_AWAY):
            self._redis.set(key, value, px=keep_for)

    def replace(self, key: str, value: bytes, *, instead_of: bytes, keep_for: timedelta) -> bool:
        """Store `value` for `keep_for` where `instead_of` is there, and tell whether it was."""
        with self.breaker.guard(*_AWAY):
            return bool(self._replace(keys=[key], args=[instead_of, value, int(keep_for.total_seconds() * 1000)]))

    def find(self, key: str) -> bytes | None:
        """Return what is stored under `key`, or None."""
        with self.breaker.guard(*_AWAY):
            return cast("bytes | None", self._redis.get(key))

    def forget(self, key: str) -> bool:
        """Remove `key`, and tell whether it was there: of several at once, one removes it."""
        with self.breaker.guard(*_AWAY):
            return bool(self._redis.delete(key))

    def count(self, key: str, *, window: timedelta) -> tuple[int, int]:
        """Count one more under `key` in a window that began with the first; return the count and the milliseconds left."""
        with self.breaker.guard(*_AWAY):
            counted: Any = self._count(keys=[key], args=[int(window.total_seconds() * 1000)])
            return int(counted[0]), int(counted[1])

    def uncount(self, key: str) -> None:
        """Count one less under `key`, if anything is counted there."""
        with self.breaker.guard(*_AWAY):
            self._uncount(keys=[key])

    def forget_matching(self, prefix: str) -> int:
        """Remove every key that begins with `prefix`; return how many there were. For operators, not for steps."""
        with self.breaker.guard(*_AWAY):
            keys = list(self._redis.scan_iter(match=prefix + "*", count=500))
            return self._redis.delete(*keys) if keys else 0

    def ping(self) -> None:
        """Ask whether the engine answers.

        Raises:
            EngineAway: it does not.
        """
        with self.breaker.guard(*_AWAY):
            self._redis.ping()

    def close(self) -> None:
        """Close every connection."""
        self._redis.close()

    def eviction_policy(self) -> str | None:
        """Return the engine's eviction policy, or None where it does not tell."""
        try:
            told = cast("dict[str, object]", self._redis.info("memory"))  # the configuration command is often closed
        except redis.RedisError:
            return None
        policy = told.get("maxmemory_policy")
        return None if policy is None else str(policy)


_COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""

_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

_UNCOUNT = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end
"""
