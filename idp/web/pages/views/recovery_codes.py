"""The page of fresh recovery codes: it stands until the person says that they are kept, for this browser alone, and for a while."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from idp.kernel.digests import base64url, digest
from idp.kernel.encoding import decode_kept
from idp.kernel.refusals import Unavailable
from idp.kernel.sealing import DoesNotOpen

if TYPE_CHECKING:
    from idp.web.pages.desk import Desk

_KEPT_FOR: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class FreshCodes:
    """Codes that were just made, whose they are, and when (seconds since 1970)."""

    codes: list[str]
    name: str
    made_at: float

    def values(self) -> dict[str, Any]:
        """Return what their page shows."""
        return {"codes": self.codes, "name": self.name, "made_at": datetime.fromtimestamp(self.made_at, UTC)}


class UnkeptCodes:
    """Codes whose owner has not said yet that they are kept: sealed, so that a reload, help and the way back show them again.

    `place` is the interaction or activation in which they were made. Whoever comes with another browser finds none.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def make(self, codes: tuple[str, ...], name: str) -> FreshCodes:
        """Return codes as they were made now."""
        return FreshCodes(list(codes), name, self._desk.rooms.clock.now().timestamp())

    def keep(self, place: str, browser: str, fresh: FreshCodes) -> bool:
        """Keep them for their page; return whether that could be done: else they are shown in the answer itself, once."""
        sealed = self._desk.rooms.keys.sealer.seal(json.dumps(asdict(fresh)).encode(), _sealed_for(place, browser))
        try:
            self._desk.rooms.ephemeral.put(_key(place), sealed, keep_for=_KEPT_FOR)
        except Unavailable:
            return False
        return True

    def find(self, place: str, browser: str) -> FreshCodes | None:
        """Return them, or None: there are none, no longer, or they are another browser's."""
        sealed = self._desk.rooms.ephemeral.find(_key(place))
        if sealed is None:
            return None
        try:
            return decode_kept(FreshCodes, self._desk.rooms.keys.sealer.open(sealed, _sealed_for(place, browser)))
        except (DoesNotOpen, ValueError):
            return None

    def forget(self, place: str) -> None:
        """Show them no more."""
        self._desk.rooms.ephemeral.forget(_key(place))


def _key(place: str) -> str:
    return "recovery-codes:" + base64url(digest(place))


def _sealed_for(place: str, browser: str) -> str:
    return "recovery-codes.unkept:" + base64url(digest(place + "/" + browser))
