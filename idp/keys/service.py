"""Use cases of keys: make the first ones, rotate, revoke, reseal what is sealed, and retire what nothing needs any more.

Every change is one transaction that holds the stamp of the keys, so that two operators never rotate at once, and that writes the
events and moves the stamp with the change.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from idp.audit.store import record
from idp.jose import new_private_key
from idp.kernel.digests import random_bytes
from idp.kernel.refusals import Unavailable
from idp.keys import store
from idp.keys.model import (
    KEY_BYTES,
    SIGNING_ALGS,
    KeysRewrapped,
    NoSuchKey,
    SealingKeyMade,
    SealingKeyRetired,
    SigningKey,
    SigningKeyMade,
    SigningKeyRevoked,
    SigningKeysRotated,
    find_active,
    find_signing,
    find_staged,
)
from idp.keys.resealing import Resealing
from idp.keys.ring import KeyRing, sealing_place, signing_place
from idp.keys.sealed import INDEXES, SEALED
from idp.keys.stamps import bump, hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from idp.audit.model import Origin
    from idp.jose import PrivateJwk
    from idp.kernel.clock import Clock
    from idp.keys.model import IndexColumn, KeyEncryption, Progress, Purpose, SealedColumn, SealingKey
    from idp.storage.postgres import Database, Transaction

__all__ = ["KNOWN_FOR", "KeyKeeper", "KeyRing", "NotActiveYet", "Resealed"]

KNOWN_FOR: Final = timedelta(seconds=5)
"""How long every process knows a new sealing or index key before one uses it; else a look-up by the new index would miss."""

_SETTLED_FOR: Final = timedelta(minutes=1)
"""An old key is destroyed no sooner than this after its successor became active: what was on its way has arrived."""

_MARGIN: Final = timedelta(minutes=1)
"""A process a second behind, and clocks two seconds apart, sign a little longer: verifying lasts this much longer too."""


class NotActiveYet(Unavailable):
    """A new sealing key becomes active in a moment; reseal after it."""

    code = "keys.not_active_yet"


@dataclass(frozen=True, slots=True)
class Resealed:
    """What a re-encryption did: how many values it moved, what is left (held by others, or without source), what it retired."""

    moved: int
    left: int
    retired: tuple[int, ...]


class KeyKeeper:
    """Makes, rotates and retires the keys of a deployment."""

    def __init__(
        self,
        database: Database,
        key_encryption: KeyEncryption,
        clock: Clock,
        *,
        sealed: Sequence[SealedColumn] = SEALED,
        indexes: Sequence[IndexColumn] = INDEXES,
    ) -> None:
        """Keep the keys in `database`; `sealed` and `indexes` name every column that holds what sealing keys protect."""
        self._database = database
        self._key_encryption = key_encryption
        self._clock = clock
        self._sealed = sealed
        self._indexes = indexes

    # making -------------------------------------------------------------------------------------------------------------------

    def make_first_keys(self, origin: Origin, algs: Sequence[str] = SIGNING_ALGS) -> list[str]:
        """Make what is missing: a signing key for each of `algs`, a sealing and an index key. In force at once; idempotent.

        Returns a line for each key made.
        """
        with self._database.transaction() as transaction:
            present = {key.alg for key in _signing(transaction) if key.signs_until is None}
        fresh = [new_private_key(alg) for alg in algs if alg not in present]  # takes a while: not inside the transaction
        made: list[str] = []
        with self._change() as (transaction, now):
            present = {key.alg for key in _signing(transaction) if key.signs_until is None}
            for private in fresh:
                if private.alg not in present:
                    self._add_signing(transaction, private, now=now, signs_from=now, origin=origin)
                    made.append(f"signing key {private.kid} ({private.alg})")
            held = _sealing(transaction)
            purposes: tuple[Purpose, ...] = ("seal", "index")
            for purpose in purposes:
                if not any(key.purpose == purpose and key.retired_at is None for key in held):
                    key_id = self._add_sealing(transaction, purpose, now=now, active_at=now, origin=origin)
                    made.append(f"{purpose} key {key_id}")
            if made:
                bump(transaction, store.KIND)
        return made

    # signing keys -------------------------------------------------------------------------------------------------------------

    def rotate_signing(self, alg: str, *, publish_for: timedelta, verify_for: timedelta, origin: Origin) -> SigningKey:
        """Give the key that signs with `alg` a successor, and return it.

        It is published now, and signs `publish_for` later (at least twice as long as the JWK set may be cached); the old key
        signs until then and verifies `verify_for` longer (at least as long as the longest statement lives). A successor that is
        still staged gets a successor of its own, after it; but where `publish_for` is nothing, it takes over at once itself,
        since portals may have it already, and is returned.

        Raises:
            NoSuchKey: there is no key for `alg` to succeed.
        """
        private = new_private_key(alg)
        with self._change() as (transaction, now):
            keys = [key for key in _signing(transaction) if key.alg == alg]
            last = next((key for key in keys if key.signs_until is None), None)
            if last is None:
                raise NoSuchKey(f"no key signs with {alg}: run idp keys make")
            current, staged = find_signing(keys, alg, now), find_staged(keys, alg, now)
            if current is not None and staged is not None and not publish_for:
                old, signs_from = current, now
                store.begin_signing(transaction, staged.kid, signs_from)
                successor = replace(staged, signs_from=signs_from)
            else:
                old, signs_from = last, max(now + publish_for, last.signs_from + timedelta(microseconds=1))
                successor = self._add_signing(transaction, private, now=now, signs_from=signs_from, origin=origin)
            verifies_until = signs_from + verify_for + _MARGIN
            store.end_signing(transaction, old.kid, signs_until=signs_from, verifies_until=verifies_until)
            record(transaction, SigningKeysRotated(origin, alg, old.kid, successor.kid, signs_from, verifies_until), now)
            bump(transaction, store.KIND)
        return successor

    def revoke_signing(self, kid: str, reason: str, *, origin: Origin) -> SigningKey | None:
        """Take out a disclosed signing key at once: within a second nobody signs with it, verifies with it or publishes it.

        Returns the key that signs in its place from now on (a staged one if there is, else a new one), or None where it was not
        needed any more. What it signed is refused from now on; sessions and grants are rows and do not depend on it.

        Raises:
            NoSuchKey: there is none of this `kid`, or it is retired.
        """
        with self._database.transaction() as transaction:
            alg = _get_signing(transaction, kid, self._clock.now()).alg
        private = new_private_key(alg)
        with self._change() as (transaction, now):
            revoked = _get_signing(transaction, kid, now)
            store.revoke_signing(transaction, kid, now)
            successor = self._succeed(transaction, revoked, private, now=now, origin=origin)
            event = SigningKeyRevoked(origin, kid, alg, reason, None if successor is None else successor.kid)
            record(transaction, event, now)
            bump(transaction, store.KIND)
        return successor

    def _succeed(
        self, transaction: Transaction, revoked: SigningKey, private: PrivateJwk, *, now: datetime, origin: Origin
    ) -> SigningKey | None:
        if revoked.state(now) == "verifying":
            return None
        signs_from = max(now, revoked.signs_from)
        later = [key for key in _signing(transaction) if key.signs_from > revoked.signs_from]
        staged = find_staged(later, revoked.alg, now)
        if staged is None:
            return self._add_signing(transaction, private, now=now, signs_from=signs_from, origin=origin)
        store.begin_signing(transaction, staged.kid, signs_from)
        return replace(staged, signs_from=signs_from)

    def list_signing(self) -> list[SigningKey]:
        """Return every signing key ever made, the oldest first."""
        with self._database.transaction() as transaction:
            return _signing(transaction)

    # sealing keys -------------------------------------------------------------------------------------------------------------

    def rotate_sealing(self, *, origin: Origin, known_for: timedelta = KNOWN_FOR) -> tuple[int, int]:
        """Make a new sealing key and a new index key, in force `known_for` from now; return their ids. `reseal` comes after."""
        with self._change() as (transaction, now):
            active_at = now + known_for
            seal = self._add_sealing(transaction, "seal", now=now, active_at=active_at, origin=origin)
            index = self._add_sealing(transaction, "index", now=now, active_at=active_at, origin=origin)
            bump(transaction, store.KIND)
        return seal, index

    def reseal(self, progress: Callable[[Progress], None], *, origin: Origin, batch: int = 500) -> Resealed:
        """Bring every sealed value and blind index under the keys in force, then destroy the old keys nothing is left under.

        Works in batches beside the running service, may be interrupted and run again. Old keys go at the earliest a minute after
        their successors came into force: run it once more then.

        Raises:
            NotActiveYet: a new key is not in force yet.
            RegistryIncomplete: the database has a sealed column or index that is not registered, or the other way round.
        """
        ring = KeyRing(self._database, self._key_encryption, self._clock)
        with self._database.transaction() as transaction:
            now = self._clock.now()
            waits = [key.active_at - now for key in _sealing(transaction) if key.retired_at is None and key.active_at > now]
        if waits:
            raise NotActiveYet("a new key is not in force yet", retry_after=int(max(waits).total_seconds()) + 1)
        resealing = Resealing(self._database, ring.sealer, ring.sealing_keys(), self._clock, batch=batch)
        resealing.require_complete(self._sealed, self._indexes)
        moved = resealing.run(self._sealed, self._indexes, progress, origin)
        return Resealed(moved, resealing.count_left(self._sealed, self._indexes), self._retire(resealing, origin))

    def _retire(self, resealing: Resealing, origin: Origin) -> tuple[int, ...]:
        with self._change() as (transaction, now):
            held = _sealing(transaction)
            retired = []
            for key in held:
                current = find_active(held, key.purpose, now)
                if key.retired_at is not None or current is None or key.id == current.id or key.active_at > current.active_at:
                    continue
                if current.active_at + _SETTLED_FOR > now or resealing.is_needed(transaction, key, self._sealed, self._indexes):
                    continue
                store.retire_sealing(transaction, key.id, now)
                record(transaction, SealingKeyRetired(origin, key.id, key.purpose), now)
                retired.append(key.id)
            if retired:
                bump(transaction, store.KIND)
        return tuple(retired)

    def list_sealing(self) -> list[SealingKey]:
        """Return every sealing and index key ever made."""
        with self._database.transaction() as transaction:
            return _sealing(transaction)

    # key-encryption keys ------------------------------------------------------------------------------------------------------

    def rewrap(self, *, origin: Origin) -> int:
        """Wrap every stored key anew under the first key-encryption key; return how many. The others may then leave the settings.

        Raises:
            KeysDoNotOpen: one was wrapped under a key that is not set here; nothing was changed.
        """
        encryption, count = self._key_encryption, 0
        with self._change() as (transaction, now):
            for row in store.all_signing(transaction):
                if row.private_wrapped and row.wrapped_with != encryption.wraps_with:
                    place = signing_place(row.kid)
                    plain = encryption.unwrap(row.private_wrapped, row.wrapped_with, place)
                    wrapped = encryption.wrap(plain, place)
                    store.wrap_signing(transaction, row.kid, wrapped=wrapped, wrapped_with=encryption.wraps_with)
                    count += 1
            for row in store.all_sealing(transaction):
                if row.wrapped and row.wrapped_with != encryption.wraps_with:
                    place = sealing_place(row.id, row.purpose)
                    wrapped = encryption.wrap(encryption.unwrap(row.wrapped, row.wrapped_with, place), place)
                    store.wrap_sealing(transaction, row.id, wrapped=wrapped, wrapped_with=encryption.wraps_with)
                    count += 1
            if count:
                record(transaction, KeysRewrapped(origin, encryption.wraps_with, count), now)
                bump(transaction, store.KIND)
        return count

    # inside -------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _change(self) -> Iterator[tuple[Transaction, datetime]]:
        with self._database.transaction() as transaction:
            hold(transaction, store.KIND)
            yield transaction, self._clock.now()  # after the wait, so that instants follow the order of changes

    def _add_signing(
        self, transaction: Transaction, private: PrivateJwk, *, now: datetime, signs_from: datetime, origin: Origin
    ) -> SigningKey:
        key = SigningKey(private.kid, private.alg, private.public, now, signs_from, None, None)
        wrapped = self._key_encryption.wrap(private.to_json(), signing_place(private.kid))
        store.add_signing(transaction, key, private_wrapped=wrapped, wrapped_with=self._key_encryption.wraps_with)
        record(transaction, SigningKeyMade(origin, private.kid, private.alg, signs_from), now)
        return key

    def _add_sealing(self, transaction: Transaction, purpose: Purpose, *, now: datetime, active_at: datetime, origin: Origin) -> int:
        key_id = store.add_sealing(transaction, purpose, now=now, active_at=active_at)
        wrapped = self._key_encryption.wrap(random_bytes(KEY_BYTES), sealing_place(key_id, purpose))
        store.wrap_sealing(transaction, key_id, wrapped=wrapped, wrapped_with=self._key_encryption.wraps_with)
        record(transaction, SealingKeyMade(origin, key_id, purpose, active_at), now)
        return key_id


def _signing(transaction: Transaction) -> list[SigningKey]:
    return [store.read_signing(row) for row in store.all_signing(transaction)]


def _sealing(transaction: Transaction) -> list[SealingKey]:
    return [store.read_sealing(row) for row in store.all_sealing(transaction)]


def _get_signing(transaction: Transaction, kid: str, now: datetime) -> SigningKey:
    for key in _signing(transaction):
        if key.kid == kid and key.state(now) != "retired":
            return key
    raise NoSuchKey(f"no signing key {kid!r} that is not retired")
