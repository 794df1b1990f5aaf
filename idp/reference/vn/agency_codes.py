"""Codes of agencies and organizations of the state, in the two spellings that live side by side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from idp.reference.model import Verdict
from idp.reference.vn.tables import agencies

if TYPE_CHECKING:
    from datetime import date

_LONGEST: Final = 35
_CURRENT: Final = re.compile(r"(?P<top>[A-Z][0-9]{2})(?:\.[0-9]+)*")
_LEGACY: Final = re.compile(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.(?P<top>[A-Z][0-9]{2})")
_PROVINCIAL: Final = "H"


class AgencyCode:
    """`H55.242` (Decision 20/2020/QD-TTg) or `000.00.00.H55` (QCVN 102:2016).

    One letter and two digits name the body of the first level; H is a province, whose code must be on file.
    Codes of ministries are not on file, so any of them is taken.
    """

    def normalise(self, text: str) -> str:
        """Return `text` without outer spaces, in upper case."""
        return text.strip().upper()

    def check(self, text: str, *, on: date) -> Verdict:  # noqa: ARG002 - both spellings stand in procedure codes of any age
        """Return the verdict: `ok` for the current spelling, `ok_legacy` for the older one."""
        reason = _spelling(text)
        if reason is not None:
            return Verdict.accepted(reason) if reason.startswith("ok") else Verdict.malformed(reason)
        is_only_case = text.isascii() and _spelling(text.upper()) is not None
        return Verdict.malformed("case" if is_only_case else "pattern")


def _spelling(text: str) -> str | None:
    """Return the reason code for a text that has one of the two spellings, None for any other text."""
    if len(text) > _LONGEST:
        return None
    found = _CURRENT.fullmatch(text)
    reason = "ok"
    if found is None:
        found = _LEGACY.fullmatch(text)
        reason = "ok_legacy"
    if found is None:
        return None
    is_unknown = found["top"].startswith(_PROVINCIAL) and found["top"] not in agencies()
    return "unknown_province" if is_unknown else reason
