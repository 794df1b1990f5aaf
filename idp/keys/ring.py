"""The keys as this process holds them: unwrapped once, used without the database, at most a second behind a change."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from idp.jose import Expected, PrivateJwk, PublicKeys, Signer, Unacceptable, verify
from idp.jose.keys import SMALLEST_OWN_RSA
from idp.kernel.sealing import Sealer, SealingKeys
from idp.keys import store
from idp.keys.model import KeysDoNotOpen, NoSuchKey, Published, SealingKey, SigningKey, find_active, find_signing
from idp.keys.stamps import Remembered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.kernel.clock import Clock
    from idp.keys.model import KeyEncryption
    from idp.storage.postgres import Database


@dataclass(frozen=True, slots=True)
class _Held:
    """Every key that is not retired, as one load found them."""

    signing: tuple[SigningKey, ...]
    signers: Mapping[str, Signer] = field(repr=False)
    sealing: tuple[SealingKey, ...]
    plain: Mapping[int, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _View:
    """What follows from the held keys until the next instant at which one of them changes its state."""

    held: _Held
    until: datetime | None
    signing: Mapping[str, Signer]
    published: Published
    verifying: PublicKeys | None
    sealing: SealingKeys | None = field(repr=False)


class KeyRing:
    """The keys of this deployment. Threads share it; each process has its own."""

    def __init__(self, database: Database, key_encryption: KeyEncryption, clock: Clock) -> None:
        """Read keys from `database` lazily, unwrapping them with `key_encryption`."""
        self._database = database
        self._key_encryption = key_encryption
        self._clock = clock
        self._signers: dict[str, Signer] = {}
        self._remembered = Remembered(database, store.KIND, clock, self._load)
        self._view: _View | None = None
        self._sealer: _RingSealer | None = None

    @property
    def sealer(self) -> Sealer:
        """The sealer over the keys in force. It follows rotations by itself and may be kept.

        The keys are read at its first use, so that a process starts while the database is away. Its methods raise `NoSuchKey`
        when no sealing key was made yet, `KeysDoNotOpen` when they are wrapped under a key-encryption key that is not set here,
        and `EngineAway` when the database is away and no key is held yet.
        """
        if self._sealer is None:
            self._sealer = _RingSealer(self)
        return self._sealer

    def signer(self, alg: str) -> Signer:
        """Return the key that signs now with `alg`; no database while what is held is fresh.

        Raises:
            NoSuchKey: none does.
        """
        signer = self._now().signing.get(alg)
        if signer is None:
            raise NoSuchKey(f"no key signs with {alg}: run idp keys make")
        return signer

    def published(self) -> Published:
        """Return the JWK set of every staged, signing and verifying key as served; from memory while the database is away."""
        return self._now().published

    def verifying(self) -> PublicKeys:
        """Return our own public keys, for statements of our own that come back (`id_token_hint`).

        Raises:
            NoSuchKey: there are none.
        """
        verifying = self._now().verifying
        if verifying is None:
            raise NoSuchKey("no signing key was made yet")
        return verifying

    def sealing_keys(self, *, again: bool = False) -> SealingKeys:
        """Return the sealing keys in force; `again` looks into the database first."""
        sealing = self._now(again=again).sealing
        if sealing is None:
            raise NoSuchKey("no sealing key was made yet: run idp keys make")
        return sealing

    def check(self) -> None:
        """Prove that this process can use the keys: each that signs makes a statement which the published set verifies.

        Raises:
            KeysDoNotOpen: one cannot be unwrapped, or is not the key it should be.
            NoSuchKey: one is missing.
        """
        view = self._now(again=True)
        if not view.signing or view.sealing is None:
            raise NoSuchKey("no keys were made yet: run idp keys make")
        public = self.verifying()
        now = self._clock.now()
        for alg, signer in view.signing.items():
            expected = Expected(frozenset({alg}), "check", None, now, frozenset({"check"}))
            try:
                verify(signer.sign({"iss": "check", "exp": int(now.timestamp()) + 60}, "check"), public, expected)
            except Unacceptable:
                raise KeysDoNotOpen(f"the published set does not verify what signing key {signer.kid} signs") from None

    # inside --------------------------------------------------------------------------------------------------------------------

    def _now(self, *, again: bool = False) -> _View:
        now = self._clock.now()
        held = self._remembered.again() if again else self._remembered.get(now)
        view = self._view
        if view is None or view.held is not held:
            now = self._clock.now()  # what was loaded may be younger than the question
        if view is None or view.held is not held or (view.until is not None and now >= view.until):
            view = self._view = _look_at(held, now)
        return view

    def _load(self) -> _Held:
        with self._database.transaction() as transaction:
            signing, sealing = store.all_signing(transaction), store.all_sealing(transaction)
        now = self._clock.now()
        keys, signers = [], {}
        for row in signing:
            key = store.read_signing(row)
            state = key.state(now)
            if state == "retired":
                continue
            keys.append(key)
            if state != "verifying" and row.private_wrapped:
                signers[key.kid] = self._signer(key, row.private_wrapped, row.wrapped_with)
        self._signers = signers
        plain = {
            row.id: self._key_encryption.unwrap(row.wrapped, row.wrapped_with, sealing_place(row.id, row.purpose))
            for row in sealing
            if row.retired_at is None
        }
        return _Held(tuple(keys), signers, tuple(store.read_sealing(row) for row in sealing if row.retired_at is None), plain)

    def _signer(self, key: SigningKey, wrapped: bytes, wrapped_with: str) -> Signer:
        known = self._signers.get(key.kid)  # reading an RSA key costs 50 ms: once is enough
        if known is not None:
            return known
        private = PrivateJwk.from_json(self._key_encryption.unwrap(wrapped, wrapped_with, signing_place(key.kid)))
        if private.kid != key.kid or private.alg != key.alg:
            raise KeysDoNotOpen(f"signing key {key.kid} is not the key it should be")
        return Signer(private)


_NONE_YET = SealingKeys(sealing={}, indexing={}, seal_with=0, index_with=0)


class _RingSealer(Sealer):
    """A sealer that follows the ring: before each use it takes the keys in force, if they are others."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        super().__init__(_NONE_YET, reload=lambda: ring.sealing_keys(again=True))

    def _take(self, keys: SealingKeys) -> None:
        # In the same order as `Sealer`. The ciphers of retired keys stay as long as the process does: it may itself hold a value
        # that no table has.
        known: dict[int, AESGCM] = getattr(self, "_ciphers", {})
        self._ciphers = known | {key_id: AESGCM(key) for key_id, key in keys.sealing.items()}
        self._keys = keys

    def _follow(self) -> None:
        keys = self._ring.sealing_keys()
        if keys is not self._keys:
            self.renew(keys)

    def seal(self, plain: bytes, place: str) -> bytes:
        self._follow()
        return super().seal(plain, place)

    def open(self, sealed: bytes, place: str) -> bytes:
        self._follow()
        return super().open(sealed, place)

    def index(self, kind: str, value: str) -> bytes:
        self._follow()
        return super().index(kind, value)

    def indexes(self, kind: str, value: str) -> list[bytes]:
        self._follow()
        return super().indexes(kind, value)


def sealing_place(key_id: int, purpose: str) -> str:
    """Return the place for which a sealing key is wrapped."""
    return f"sealing_key.wrapped:{key_id}:{purpose}"


def signing_place(kid: str) -> str:
    """Return the place for which a private signing key is wrapped."""
    return f"signing_key.private_wrapped:{kid}"


def _look_at(held: _Held, now: datetime) -> _View:
    public = [key for key in held.signing if key.state(now) != "retired"]
    jwks = {"keys": [dict(key.public_jwk) for key in public]}
    body = json.dumps(jwks, sort_keys=True, separators=(",", ":")).encode()
    changes = [key.next_change(now) for key in public]
    changes += [key.active_at for key in held.sealing if key.active_at > now]
    signing = {alg: find_signing(public, alg, now) for alg in sorted({key.alg for key in public})}
    return _View(
        held=held,
        until=min((each for each in changes if each is not None), default=None),
        signing={alg: held.signers[key.kid] for alg, key in signing.items() if key is not None and key.kid in held.signers},
        published=Published(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'),
        verifying=PublicKeys.from_jwks(jwks, smallest_rsa=SMALLEST_OWN_RSA) if public else None,
        sealing=_sealing_keys(held, now),
    )


def _sealing_keys(held: _Held, now: datetime) -> SealingKeys | None:
    seal, index = find_active(held.sealing, "seal", now), find_active(held.sealing, "index", now)
    if seal is None or index is None:
        return None
    return SealingKeys(
        sealing={key.id: held.plain[key.id] for key in held.sealing if key.purpose == "seal"},
        indexing={key.id: held.plain[key.id] for key in held.sealing if key.purpose == "index"},
        seal_with=seal.id,
        index_with=index.id,
    )
