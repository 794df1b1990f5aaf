"""The two scales, and the classes in which they are asked for and told.

`ial` says what was proved about the person at registration (0 to 2), `aal` what was proved at this sign-in (1 to 4, Decree
69/2024 Art. 20.1). A class `urn:motcua:acr:ial2.aal2` is met when both its levels are met; the scales are never merged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_CLASS: Final = re.compile(r"urn:motcua:acr:ial([0-2])\.aal([1-4])")

_ALIASES: Final = {"LoA1": (0, 1), "LoA2": (1, 2), "LoA3": (2, 2)}
"""What portals of before 2025 ask for; answered in their own word when it is met."""


@dataclass(frozen=True, slots=True, order=True)
class LevelClass:
    """A class of assurance: at least this `ial` and at least this `aal`."""

    ial: int
    aal: int
    alias: str = ""

    @classmethod
    def find(cls, text: str) -> LevelClass | None:
        """Return the class that `text` names, or None: an unknown class is no error (OIDC Core §3.1.2.1, `acr_values`)."""
        if text in _ALIASES:
            ial, aal = _ALIASES[text]
            return cls(ial, aal, alias=text)
        match = _CLASS.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    @property
    def acr(self) -> str:
        """The value of the `acr` claim."""
        return self.alias or f"urn:motcua:acr:ial{self.ial}.aal{self.aal}"

    def is_met_by(self, ial: int, aal: int) -> bool:
        """Whether both levels reach this class."""
        return ial >= self.ial and aal >= self.aal


OFFERED: Final = tuple(LevelClass(ial, aal) for ial in (0, 1, 2) for aal in (1, 2))
"""The classes that can be reached today, advertised as `acr_values_supported`."""
