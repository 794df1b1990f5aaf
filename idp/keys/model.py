"""Nouns and rules of keys: the life of a signing key, the key-encryption keys, the events.

A signing key is **staged** (published, does not sign yet), **signing**, **verifying** (signs no more; what it signed is still
accepted) and **retired**. Its state is a pure function of its instants, so that every process changes over at the same time
without being told: no job has to run for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from idp.audit.model import Event
from idp.kernel.digests import random_bytes
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

State = Literal["staged", "signing", "verifying", "retired"]
Purpose = Literal["seal", "index"]

SIGNING_ALGS: Final = ("ES256", "RS256")
"""What ID tokens are signed with; a client chooses (ES256 unless it says otherwise)."""

KEY_BYTES: Final = 32
_NONCE: Final = 12


class KeysDoNotOpen(Refusal):
    """A stored key was wrapped under a key-encryption key that this process does not have, or was altered."""

    code = "keys.do_not_open"


class NoSuchKey(Refusal):
    """No key signs with this algorithm, or none has this id."""

    code = "keys.no_such_key"


class RegistryIncomplete(Refusal):
    """The registry of sealed columns and the database disagree; nothing was resealed."""

    code = "keys.registry_incomplete"


class UnsafeKeyEncryption(Refusal):
    """The key-encryption keys of the settings cannot be used."""

    code = "keys.unsafe_key_encryption"


class KeyEncryption:
    """The key-encryption keys: they wrap every other key, and live in the settings, never in the database."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Work with `keys`, id to 32 bytes; the first one wraps, all unwrap.

        Raises:
            UnsafeKeyEncryption: there is none, or one is not 32 bytes long, or plainly not random.
        """
        if not keys:
            raise UnsafeKeyEncryption("no key-encryption key is set")
        for key_id, key in keys.items():
            if not key_id or len(key) != KEY_BYTES or len(set(key)) < KEY_BYTES // 4:
                raise UnsafeKeyEncryption(f"key-encryption key {key_id!r} is not {KEY_BYTES} random bytes")
        self.wraps_with = next(iter(keys))
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    def wrap(self, plain: bytes, place: str) -> bytes:
        """Return `plain` wrapped for `place` under the first key (AES-256-GCM; the place and the key's id are associated)."""
        nonce = random_bytes(_NONCE)
        return nonce + self._ciphers[self.wraps_with].encrypt(nonce, plain, _associated(place, self.wraps_with))

    def unwrap(self, wrapped: bytes, wrapped_with: str, place: str) -> bytes:
        """Return what was wrapped for `place`.

        Raises:
            KeysDoNotOpen: it was wrapped for another place, or under a key this process does not have.
        """
        cipher = self._ciphers.get(wrapped_with)
        if cipher is None:
            raise KeysDoNotOpen(f"{place} is wrapped under key-encryption key {wrapped_with!r}, which is not set here")
        try:
            return cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _associated(place, wrapped_with))
        except (InvalidTag, ValueError):
            raise KeysDoNotOpen(f"{place} does not open under key-encryption key {wrapped_with!r}") from None

    def __repr__(self) -> str:
        return f"KeyEncryption({', '.join(self._ciphers)})"


def _associated(place: str, key_id: str) -> bytes:
    return f"{place}\n{key_id}".encode()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What is known of a signing key without unwrapping it."""

    kid: str
    alg: str
    public_jwk: Mapping[str, object]
    created_at: datetime
    signs_from: datetime
    signs_until: datetime | None
    verifies_until: datetime | None

    def state(self, now: datetime) -> State:
        """Return the state at `now`."""
        if self.verifies_until is not None and now >= self.verifies_until:
            return "retired"
        if self.signs_until is not None and now >= self.signs_until:
            return "verifying"
        return "signing" if now >= self.signs_from else "staged"

    def next_change(self, now: datetime) -> datetime | None:
        """Return the next instant after `now` at which the state changes, or None."""
        instants = (self.signs_from, self.signs_until, self.verifies_until)
        return min((each for each in instants if each is not None and each > now), default=None)


def find_signing(keys: Iterable[SigningKey], alg: str, now: datetime) -> SigningKey | None:
    """Return the key that signs with `alg` at `now`: of several, the one that began last."""
    able = [key for key in keys if key.alg == alg and key.state(now) == "signing"]
    return max(able, key=lambda key: (key.signs_from, key.kid), default=None)


def find_staged(keys: Iterable[SigningKey], alg: str, now: datetime) -> SigningKey | None:
    """Return the key that signs with `alg` next: of several that are staged at `now`, the one that begins first."""
    staged = [key for key in keys if key.alg == alg and key.state(now) == "staged"]
    return min(staged, key=lambda key: (key.signs_from, key.kid), default=None)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """What is known of a sealing or index key without unwrapping it."""

    id: int
    purpose: Purpose
    created_at: datetime
    active_at: datetime
    retired_at: datetime | None


def find_active(keys: Iterable[SealingKey], purpose: Purpose, now: datetime) -> SealingKey | None:
    """Return the key that new values get at `now`: of those in force, the one that became active last."""
    able = [key for key in keys if key.purpose == purpose and key.retired_at is None and key.active_at <= now]
    return max(able, key=lambda key: (key.active_at, key.id), default=None)


@dataclass(frozen=True, slots=True)
class Published:
    """The JWK set as it is served."""

    body: bytes
    etag: str
    """Strong, with its quotes (RFC 9110 §8.8.3)."""


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values, the column that identifies its row, and the place its values are sealed for."""

    table: str
    column: str
    key: str = "id"

    def place(self, row: object) -> str:
        """Return the place of the value in `row` (the value of the key column)."""
        return f"{self.table}.{self.column}:{row}"


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """A column of blind indexes. `source` is the sealed column of the same row it can be computed again from.

    One without a source (a recovery code is known to its owner alone) stays under its old key, which therefore is kept while
    any row that meets `while_` is left.
    """

    table: str
    column: str
    kind: str
    source: SealedColumn | None
    canonical: Callable[[str], str] = str
    """From the sealed text to the text that is indexed."""
    while_: str = "true"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a re-encryption has come."""

    table: str
    column: str
    done: int
    of: int


# events -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SigningKeyMade(Event):
    """A signing key was made; it is published from now on and signs later."""

    kind: ClassVar[str] = "keys.signing_key_made"
    kid: str
    alg: str
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class SigningKeysRotated(Event):
    """A signing key got a successor: until when the old one signs and verifies."""

    kind: ClassVar[str] = "keys.signing_keys_rotated"
    alg: str
    kid: str
    successor: str
    signs_until: datetime
    verifies_until: datetime


@dataclass(frozen=True, slots=True)
class SigningKeyRevoked(Event):
    """A signing key was taken out at once: what it signed is no longer accepted."""

    kind: ClassVar[str] = "keys.signing_key_revoked"
    kid: str
    alg: str
    reason: str
    successor: str | None


@dataclass(frozen=True, slots=True)
class SealingKeyMade(Event):
    """A sealing or index key was made; new values get it from `active_at` on."""

    kind: ClassVar[str] = "keys.sealing_key_made"
    key_id: int
    purpose: str
    active_at: datetime


@dataclass(frozen=True, slots=True)
class SealingKeyRetired(Event):
    """Nothing was left under a sealing or index key, and it was destroyed."""

    kind: ClassVar[str] = "keys.sealing_key_retired"
    key_id: int
    purpose: str


@dataclass(frozen=True, slots=True)
class ValuesResealed(Event):
    """Values of a column were brought under the current key."""

    kind: ClassVar[str] = "keys.values_resealed"
    table: str
    column: str
    count: int


@dataclass(frozen=True, slots=True)
class KeysRewrapped(Event):
    """Stored keys were wrapped anew under the first key-encryption key."""

    kind: ClassVar[str] = "keys.keys_rewrapped"
    wrapped_with: str
    count: int
