"""Sealed values and blind indexes (law 9): a database dump alone yields no credential, number, channel or document.

Owns the two formats. Where the keys come from, and when they rotate, is the business of `idp.keys`.
A sealed value is `key id (2 bytes) || nonce (12) || AES-256-GCM`; its associated data names the place it was sealed for, so that
a value moved to another row or column does not open. An index is `key id (2 bytes) || HMAC-SHA256`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from idp.kernel.digests import keyed
from idp.kernel.refusals import Refusal

_KEY_ID: Final = 2
_NONCE: Final = 12


class DoesNotOpen(Refusal):
    """A sealed value is damaged, was moved from its place, or was sealed under a key this process cannot get."""

    code = "kernel.does_not_open"


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """The keys in force: every known one by id, and which id new values get. Keys are 32 bytes."""

    sealing: Mapping[int, bytes]
    indexing: Mapping[int, bytes]
    seal_with: int
    index_with: int


class Sealer:
    """Seals and opens values, and computes blind indexes."""

    def __init__(self, keys: SealingKeys, reload: Callable[[], SealingKeys] | None = None) -> None:
        """Work with `keys`; `reload` is asked once when a value names a key not known yet (another node rotated)."""
        self._reload = reload
        self._take(keys)

    def _take(self, keys: SealingKeys) -> None:
        # The ciphers first: another thread must never find a key in force whose cipher is not there yet.
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.sealing.items()}
        self._keys = keys

    def renew(self, keys: SealingKeys) -> None:
        """Work with `keys` from now on."""
        self._take(keys)

    def seal(self, plain: bytes, place: str) -> bytes:
        """Return `plain` sealed for `place` (`table.column:row`)."""
        key_id, nonce = self._keys.seal_with, os.urandom(_NONCE)
        return key_id.to_bytes(_KEY_ID, "big") + nonce + self._ciphers[key_id].encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return what was sealed for `place`.

        Raises:
            DoesNotOpen: it was not sealed for this place by a known key.
        """
        key_id = int.from_bytes(sealed[:_KEY_ID], "big")
        if key_id not in self._ciphers and self._reload is not None:
            self._take(self._reload())
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise DoesNotOpen(f"{place.partition(':')[0]} names unknown key {key_id}")
        try:
            return cipher.decrypt(sealed[_KEY_ID : _KEY_ID + _NONCE], sealed[_KEY_ID + _NONCE :], place.encode())
        except InvalidTag:
            raise DoesNotOpen(place.partition(":")[0]) from None

    def index(self, kind: str, value: str) -> bytes:
        """Return the blind index under which `value` is stored; `kind` keeps equal texts of different meaning apart."""
        return self._index(self._keys.index_with, kind, value)

    def indexes(self, kind: str, value: str) -> list[bytes]:
        """Return every index under which `value` may be found while an index key rotates, the current one first."""
        others = [key_id for key_id in self._keys.indexing if key_id != self._keys.index_with]
        return [self._index(key_id, kind, value) for key_id in [self._keys.index_with, *others]]

    def _index(self, key_id: int, kind: str, value: str) -> bytes:
        return key_id.to_bytes(_KEY_ID, "big") + keyed(self._keys.indexing[key_id], kind, value)
