"""The page of fresh recovery codes: it stands until the person says that they are kept, for this browser alone, and for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from idp.kernel.refusals import Unavailable
from idp.web.pages.kept import Kept

if TYPE_CHECKING:
    from idp.web.pages.desk import Desk


@dataclass(frozen=True, slots=True)
class FreshCodes:
    """Codes that were just made, whose they are, and when (seconds since 1970)."""

    codes: list[str]
    name: str
    made_at: float

    def values(self) -> dict[str, Any]:
        """Return what their page shows."""
        return {"codes": self.codes, "name": self.name, "made_at": datetime.fromtimestamp(self.made_at, UTC)}


class UnkeptCodes(Kept[FreshCodes]):
    """Codes whose owner has not said yet that they are kept: a reload, help and the way back show them again.

    They are named by the interaction or activation in which they were made.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, FreshCodes, "recovery-codes", "recovery-codes.unkept")
        self._clock = desk.rooms.clock

    def make(self, codes: tuple[str, ...], name: str) -> FreshCodes:
        """Return codes as they were made now."""
        return FreshCodes(list(codes), name, self._clock.now().timestamp())

    def could_keep(self, name: str, browser: str, fresh: FreshCodes) -> bool:
        """Keep them for their page; return whether that could be done: else they are shown in the answer itself, once."""
        try:
            self.keep(name, browser, fresh)
        except Unavailable:
            return False
        return True
