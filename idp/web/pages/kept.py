"""What pages keep between two requests of one browser: sealed, for a while, and opened for that browser alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from idp.kernel.digests import base64url, digest
from idp.kernel.encoding import decode_kept
from idp.kernel.sealing import DoesNotOpen

if TYPE_CHECKING:
    from idp.web.pages.desk import Desk

K = TypeVar("K", bound=Any)  # a dataclass, which no type says

_KEPT_FOR: Final = timedelta(minutes=30)


class Kept(Generic[K]):
    """Values of one kind (a dataclass), each under a name that nobody guesses."""

    def __init__(self, desk: Desk, kind: type[K], key: str, sealed_for: str) -> None:
        """Keep them under `key`, sealed for the place `sealed_for`."""
        self._desk = desk
        self._kind = kind
        self._key = key
        self._sealed_for = sealed_for

    def keep(self, name: str, browser: str, value: K) -> None:
        """Keep `value`, in the place of what was kept under `name`.

        Raises:
            Unavailable: Redis is away; nothing is kept.
        """
        sealed = self._desk.rooms.keys.sealer.seal(json.dumps(asdict(value)).encode(), self._place(name, browser))
        self._desk.rooms.ephemeral.put(self._named(name), sealed, keep_for=_KEPT_FOR)

    def find(self, name: str, browser: str) -> K | None:
        """Return what is kept under `name`, or None: nothing, nothing any more, another browser's, or another version's."""
        sealed = self._desk.rooms.ephemeral.find(self._named(name))
        if sealed is None:
            return None
        try:
            return decode_kept(self._kind, self._desk.rooms.keys.sealer.open(sealed, self._place(name, browser)))
        except (DoesNotOpen, ValueError):
            return None

    def forget(self, name: str) -> None:
        """Keep it no more."""
        self._desk.rooms.ephemeral.forget(self._named(name))

    def _named(self, name: str) -> str:
        return f"{self._key}:{base64url(digest(name))}"

    def _place(self, name: str, browser: str) -> str:
        return f"{self._sealed_for}:{base64url(digest(name + '/' + browser))}"
