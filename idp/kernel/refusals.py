"""How a rule says no. A refusal is neither HTTP nor OAuth: `oidc` and `web` translate it at their own doors."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A rule of the house was not met, and nothing was changed."""

    code: ClassVar[str] = "refused"
    """Stable, language-neutral name, `room.reason`; pages and logs key on it."""

    def __init__(self, detail: str = "") -> None:
        """Refuse, with a `detail` for the log and the operator; never personal data or a secret."""
        super().__init__(detail or self.code)
        self.detail = detail


class Unavailable(Refusal):
    """An engine or a scarce slot is not there now; nothing is lost, and the caller may try again."""

    code = "unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 5) -> None:
        """Refuse for now; `retry_after` is whole seconds."""
        super().__init__(detail)
        self.retry_after = retry_after
