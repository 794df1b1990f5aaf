"""Password hashes: argon2id behind a door that lets few in.

Owns parameters, places at the hash, and the hash of nobody's password. Must not know accounts or where hashes are stored.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from idp.authenticators.model import MAX_PASSWORD_BYTES, HashSlotsBusy, normalise_password
from idp.kernel.digests import base64url, random_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_SALT_BYTES: Final = 16
_RETRY_AFTER: Final = 3


@dataclass(frozen=True, slots=True)
class HashParameters:
    """argon2id: passes, KiB of memory, lanes. The defaults are a row of ASVS's table (11.4.2)."""

    time_cost: int = 2
    memory_cost: int = 19456
    parallelism: int = 1


class HashSlots:
    """Places at the hash in this process. Web threads that neither hash nor wait are left to everybody else."""

    def __init__(
        self,
        running: int = 1,
        *,
        places: int | None = None,
        kept_for_known_devices: int = 1,
        wait_for: timedelta = timedelta(seconds=1),
    ) -> None:
        """Let `running` hash at once, and `places` hash or wait for `wait_for` (None: one more than hash at once).

        The last `kept_for_known_devices` places are not for strangers. (Of four threads two, one of them for known devices.)
        """
        self._places = running + 1 if places is None else places
        self._kept = kept_for_known_devices
        self._wait_for = wait_for.total_seconds()
        self._lock = threading.Lock()
        self._inside = 0
        self._running = threading.BoundedSemaphore(running)

    @contextmanager
    def take(self, *, known_device: bool) -> Iterator[None]:
        """Hold a place while hashing.

        Raises:
            HashSlotsBusy: at once when all places of this lane are taken, or after the wait.
        """
        with self._lock:
            if self._inside >= self._places - (0 if known_device else self._kept):
                raise HashSlotsBusy("no place", retry_after=_RETRY_AFTER)
            self._inside += 1
        try:
            if not self._running.acquire(timeout=self._wait_for):
                raise HashSlotsBusy("waited in vain", retry_after=_RETRY_AFTER)
            try:
                yield
            finally:
                self._running.release()
        finally:
            with self._lock:
                self._inside -= 1


class Hasher:
    """Makes and checks argon2id hashes with its own salts."""

    def __init__(self, parameters: HashParameters) -> None:
        """Hash with `parameters`; hashes of other parameters are checked too, as long as they are argon2id."""
        self._argon2 = argon2.PasswordHasher(
            time_cost=parameters.time_cost, memory_cost=parameters.memory_cost, parallelism=parameters.parallelism
        )
        self.nobodys = self.hash(base64url(random_bytes(32)))
        """The hash of a password that nobody knows, with the same parameters: checking it takes as long as any other."""

    def hash(self, password: str) -> str:
        """Return the hash of `password`, with parameters and salt in it."""
        return self._argon2.hash(normalise_password(password), salt=random_bytes(_SALT_BYTES))

    def check(self, stored: str, password: str) -> bool:
        """Tell whether `stored` is the hash of `password`. One too long to be set matches nothing, in the same time."""
        raw = normalise_password(password[: MAX_PASSWORD_BYTES + 1])
        fits = len(raw) <= MAX_PASSWORD_BYTES
        try:
            return self._argon2.verify(stored, raw if fits else b"") and fits
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, stored: str) -> bool:
        """Tell whether `stored` was made with other parameters."""
        return self._argon2.check_needs_rehash(stored)
