"""Guesses and volumes: reserved before the costly check, refused when used up.

`Guesses` are security facts and live in PostgreSQL; `Volumes` protect capacity and live in Redis, with a strict limit inside the
process when Redis is away. Neither knows what is being checked.
"""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from idp.audit import store as audit
from idp.kernel.refusals import Unavailable
from idp.throttle import store
from idp.throttle.model import (
    LIMITS,
    UNLIMITED,
    VOLUMES,
    AuthenticatorDisabled,
    GuessesExhausted,
    GuessesReset,
    GuessKind,
    Lane,
    TooManyGuesses,
    TooMuchVolume,
    VolumeKind,
    VolumeLimit,
    VolumesReset,
    limit_of,
    networks_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from idp.audit.model import Origin
    from idp.kernel.clock import Clock
    from idp.kernel.sealing import Sealer
    from idp.storage.ephemeral import Ephemeral
    from idp.storage.postgres import Database, Transaction

_HALF: Final = 16
_STRICTER_BY: Final = 4
_MOST_REMEMBERED: Final = 10_000
_KNOWN_DEVICE: Final = "_known_device"


class Guesses:
    """The allowance of guesses: for each account, for its known devices, and for identifiers that name no account."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        """Count in `database`; identifiers are stored as blind indexes of `sealer`."""
        self._database = database
        self._sealer = sealer
        self._clock = clock

    def reserve(self, kind: GuessKind, lanes: Sequence[Lane], origin: Origin) -> Lane:
        """Take one guess of `kind` before it is checked; return the lane whose allowance was charged.

        `lanes` stand in the order in which they are tried: the first with allowance left is charged. (A known
        device's own lane first, then the account's: so an exhausted device is like an unknown one.)

        Raises:
            TooManyGuesses: no lane has allowance left; `retry_after` says when the last of them has.
            AuthenticatorDisabled: nor will it ever have: too many failures in a row.
        """
        refusal: TooManyGuesses | None = None
        for lane in lanes:
            refusal = self._try(kind, lane, origin)
            if refusal is None:
                return lane
        if refusal is None:
            message = "a guess is made at somebody"
            raise ValueError(message)
        raise refusal

    def _try(self, kind: GuessKind, lane: Lane, origin: Origin) -> TooManyGuesses | None:
        limit, now = limit_of(kind, lane), self._clock.now()
        event = GuessesExhausted(origin, guesses_of=kind.value, from_known_device=lane.device_id is not None)
        row = self._database.step(
            store.RESERVE,
            audit.bodies(now, exhausted=event)
            | self._key(kind, lane)
            | {
                "account_id": lane.account_id,
                "short": limit.short,
                "short_ends": now + limit.short_for,
                "long": limit.long,
                "long_ends": now + limit.long_for,
                "pause_ends": now + limit.pause_for,
                "longer_pause_ends": now + 2 * limit.pause_for,
                "consecutive": limit.consecutive,
            },
        )
        if row is not None and row.is_reserved:
            return None
        if row is not None and row.is_disabled:
            return AuthenticatorDisabled(kind.value, retry_after=limit.long_for)
        again_at: datetime | None = row.again_at if row is not None else None
        return TooManyGuesses(kind.value, retry_after=again_at - now if again_at is not None else limit.short_for)

    def forgive_in(self, transaction: Transaction, kind: GuessKind, lane: Lane) -> None:
        """Tell that the guess charged to `lane` was right: consecutive failures and the short window begin anew.

        The daily count of one-time passwords loses only this guess: whoever else guesses today goes on being counted.
        """
        forgiven = self._key(kind, lane) | {"clears_long": limit_of(kind, lane).success_clears_long}
        transaction.run(store.FORGIVE, forgiven)

    def refund(self, kind: GuessKind, lane: Lane) -> None:
        """Give back the guess charged to `lane`, because nothing was checked: there was no place at the hash."""
        self._database.step(store.REFUND, self._key(kind, lane))

    def reset(self, account_id: UUID, *, reason: str, origin: Origin) -> int:
        """Give an account its guesses back, of every kind and from every device; return how many counters there were."""
        with self._database.transaction() as transaction:
            return self.reset_in(transaction, account_id, reason=reason, origin=origin)

    def reset_in(self, transaction: Transaction, account_id: UUID, *, reason: str, origin: Origin) -> int:
        """Do what `reset` does within a transaction: for whoever binds an account's authenticators anew."""
        first = _half("account", str(account_id))
        kinds = [kind.value for kind in GuessKind] + [GuessKind.PASSWORD.value + _KNOWN_DEVICE]
        rows = transaction.run(
            store.RESET, {"kinds": kinds, "first": first, "last": first + b"\xff" * _HALF}
        )
        event = GuessesReset(origin, reason=reason)
        audit.record(transaction, event, self._clock.now(), {"account_id": account_id})
        return rows

    def purge(self, *, at_most: int = 5000) -> int:
        """Remove up to `at_most` counters that refuse nobody any more; return how many there were."""
        for_ever = [kind.value for kind, limit in LIMITS.items() if limit.consecutive != UNLIMITED]
        for_ever.append(GuessKind.PASSWORD.value + _KNOWN_DEVICE)
        with self._database.transaction() as transaction:
            return transaction.run(
                store.PURGE, {"now": self._clock.now(), "counted_for_ever": for_ever, "at_most": at_most}
            )

    def _key(self, kind: GuessKind, lane: Lane) -> dict[str, object]:
        """Return the row's key. An account's id is no secret and outlives every key, so no rotation gives fresh guesses."""
        if lane.account_id is None:
            return {"kind": kind.value, "lane": self._sealer.index("guesses", lane.identifier or "")}
        account = _half("account", str(lane.account_id))
        if lane.device_id is None:
            return {"kind": kind.value, "lane": account + bytes(_HALF)}
        counted_as = kind.value + _KNOWN_DEVICE if kind is GuessKind.PASSWORD else kind.value
        return {"kind": counted_as, "lane": account + _half("device", str(lane.device_id))}


def _half(kind: str, text: str) -> bytes:
    return hashlib.sha256(f"{kind}:{text}".encode()).digest()[:_HALF]


class Volumes:
    """How much one address or browser may ask for. Protects capacity, so it may forget; it never lets everything through."""

    def __init__(self, ephemeral: Ephemeral, clock: Clock, *, factor: int = 1) -> None:
        """Count in `ephemeral`; `factor` multiplies every limit (a thousand in demo and test mode, law 11)."""
        self._ephemeral = ephemeral
        self._factor = factor
        self._clock = clock
        self._own = _OwnCounts(clock)

    def reserve(self, kind: VolumeKind, whose: str, *more: str) -> None:
        """Count one request of `kind` from an address or browser (and of a client, where `more` names it).

        Raises:
            TooMuchVolume: the limit is passed.
        """
        for key, limit, allowed in self._counted(kind, whose, more):
            try:
                count, milliseconds = self._ephemeral.count(key, window=limit.window)
                left = timedelta(milliseconds=milliseconds)
            except Unavailable:
                count, left = self._own.count(key, limit.window)
                allowed = _stricter(allowed)  # noqa: PLW2901 - what this process counted alone is judged by less, this count only
            if count > allowed:
                if kind is VolumeKind.OPEN:  # nothing was opened, so nothing will be given back
                    self.release(kind, whose, *more)
                raise TooMuchVolume(kind.value, retry_after=left)

    def release(self, kind: VolumeKind, whose: str, *more: str) -> None:
        """Give back what was counted: it has ended."""
        for key, _, _ in self._counted(kind, whose, more):
            try:
                self._ephemeral.uncount(key)
            except Unavailable:
                self._own.uncount(key)

    def reset(self) -> dict[VolumeKind, int]:
        """Forget every count by address and browser; return how many there were, by kind."""
        self._own.forget()
        forgotten = {kind: self._ephemeral.forget_matching(f"volume:{kind.value}:") for kind in VolumeKind}
        return {kind: count for kind, count in forgotten.items() if count}

    def reset_in(self, transaction: Transaction, *, reason: str, origin: Origin) -> dict[VolumeKind, int]:
        """Do what `reset` does and record it; the open transaction shows that the record can be written before anything is forgotten."""
        forgotten = self.reset()
        kinds = frozenset(kind.value for kind in forgotten)
        event = VolumesReset(origin, kinds=kinds, counters=sum(forgotten.values()), reason=reason)
        audit.record(transaction, event, self._clock.now())
        return forgotten

    def _counted(self, kind: VolumeKind, whose: str, more: Sequence[str]) -> list[tuple[str, VolumeLimit, int]]:
        """Return the counters that one request adds to: key, limit, and how many it allows."""
        names = ((whose, 1),) if kind is VolumeKind.OPEN else networks_of(whose)
        counted = []
        for limit in VOLUMES[kind]:
            for name, times in names:
                key = ":".join(("volume", kind.value, str(int(limit.window.total_seconds())), name, *more))
                counted.append((key, limit, limit.count * times * self._factor))
        return counted


def _stricter(allowed: int) -> int:
    """Return what a process allows by itself, while it does not know what the others count."""
    return max(1, allowed // _STRICTER_BY)


class _OwnCounts:
    """Counts of this process alone, for as long as Redis is away. Bounded: when full, what it has not seen is refused."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, datetime]] = {}

    def count(self, key: str, window: timedelta) -> tuple[int, timedelta]:
        now = self._clock.now()
        with self._lock:
            count, until = self._counts.get(key, (0, now))
            if until <= now:
                count, until = 0, now + window
            if key not in self._counts and len(self._counts) >= _MOST_REMEMBERED:
                self._counts = {each: kept for each, kept in self._counts.items() if kept[1] > now}
                if len(self._counts) >= _MOST_REMEMBERED:
                    return UNLIMITED, window
            self._counts[key] = (count + 1, until)
        return count + 1, until - now

    def uncount(self, key: str) -> None:
        with self._lock:
            count, until = self._counts.get(key, (0, self._clock.now()))
            if count > 0:
                self._counts[key] = (count - 1, until)

    def forget(self) -> None:
        with self._lock:
            self._counts.clear()
