"""Half-finished interactions, in Redis: what was asked and what was settled, never a proof (law 2).

An interaction belongs to the browser that began it: its id alone, sent to somebody else, opens nothing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from idp.interactions.model import Proved
from idp.kernel.digests import base64url, digest, new_bearer, same
from idp.kernel.encoding import decode_kept
from idp.kernel.refusals import Refusal
from idp.throttle.model import TooMuchVolume, VolumeKind

if TYPE_CHECKING:
    from idp.grants.model import Standing
    from idp.kernel.clock import Clock
    from idp.storage.ephemeral import Ephemeral
    from idp.throttle.service import Volumes

KEPT_FOR: Final = timedelta(minutes=30)


class InteractionGone(Refusal):
    """The interaction ended, was forgotten, or is another browser's: the person starts again at the portal."""

    code = "interactions.gone"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One pending request of one browser.

    A field that comes to it has a default, and a safe one: a node that does not know the field yet drops it.
    """

    id: str
    browser: str
    """Digest of the browser's cookie."""
    client_id: str
    parameters: dict[str, str]
    """The authorization request as it was accepted."""
    begun: float
    selected: str = ""
    """The account that was chosen in it."""
    select_any: bool = False
    """Another account was asked for: whoever signs in next was chosen by that."""
    consented: str = ""
    """The account that was asked in it, and agreed."""
    enrolling: str = ""
    """An authenticator being set up: its id."""
    anew: float = 0.0
    """When the person asked to begin as somebody else: earlier proofs do not count from then on."""

    @property
    def begun_at(self) -> datetime:
        """When the request arrived."""
        return datetime.fromtimestamp(self.begun, UTC)

    @property
    def anew_at(self) -> datetime | None:
        """When it was begun anew as somebody else, if it was."""
        return datetime.fromtimestamp(self.anew, UTC) if self.anew else None


def proved_in(standing: Standing | None, it: Interaction | None) -> Proved:
    """Return what a browser's session has proved, with what was settled in the interaction."""
    if standing is None:
        return Proved()
    consent = standing.consent
    return Proved(
        signed_in=True,
        proofs=standing.proofs,
        ial=standing.ial or 0,
        sub=standing.sub,
        scopes=consent.scopes if consent else frozenset(),
        claims=consent.claims if consent else frozenset(),
        selected=it is not None and (it.select_any or it.selected == str(standing.account_id)),
        consented=it is not None and it.consented == str(standing.account_id) and consent is not None,
    )


class Interactions:
    """Begins, finds, changes and ends interactions."""

    def __init__(self, ephemeral: Ephemeral, clock: Clock, volumes: Volumes) -> None:
        self._ephemeral = ephemeral
        self._clock = clock
        self._volumes = volumes

    def begin(self, client_id: str, parameters: dict[str, str], browser: str, begun_at: datetime | None = None) -> Interaction:
        """Store a pending request of the browser whose cookie value is `browser`; empty where it is not known yet.

        Raises:
            TooMuchVolume: so many of this browser are pending already.
        """
        begun = (begun_at or self._clock.now()).timestamp()
        begun_with = Interaction(new_bearer(""), _browser_digest(browser), client_id, parameters, begun)
        if browser:
            self._volumes.reserve(VolumeKind.OPEN, begun_with.browser)
        self._save(begun_with)
        return begun_with

    def find(self, interaction_id: str, browser: str | None) -> Interaction:
        """Return the interaction, if it is this browser's.

        Raises:
            InteractionGone: there is none for this browser.
        """
        stored = self._ephemeral.find(_key(interaction_id))
        if stored is None or browser is None:
            raise InteractionGone
        found = _read(stored)
        if not same(found.browser.encode(), _browser_digest(browser).encode()):
            raise InteractionGone("another browser's")
        return found

    def bind(self, interaction_id: str, browser: str) -> Interaction:
        """Return the interaction; one that came by a cross-site POST becomes this browser's with its first GET.

        Raises:
            InteractionGone: there is none for this browser.
            TooMuchVolume: so many of this browser are pending already.
        """
        stored = self._ephemeral.find(_key(interaction_id))
        if stored is not None:
            found = _read(stored)
            if found.browser == _browser_digest(""):
                bound = replace(found, browser=_browser_digest(browser))
                self._volumes.reserve(VolumeKind.OPEN, bound.browser)
                if self._ephemeral.replace(_key(bound.id), _written(bound), instead_of=stored, keep_for=KEPT_FOR):
                    return bound
                self._volumes.release(VolumeKind.OPEN, bound.browser)
        return self.find(interaction_id, browser)

    def settle(self, interaction: Interaction, **changes: object) -> Interaction:
        """Store that something was settled, and return the interaction as it is now: what other pages settled meanwhile stays.

        Raises:
            InteractionGone: it was answered meanwhile; nothing brings it back.
        """
        key = _key(interaction.id)
        while (stored := self._ephemeral.find(key)) is not None:
            changed = replace(_read(stored), **changes)  # type: ignore[arg-type]  # fields are checked by the dataclass
            if self._ephemeral.replace(key, _written(changed), instead_of=stored, keep_for=KEPT_FOR):
                return changed
        raise InteractionGone("answered meanwhile")

    def end(self, interaction: Interaction) -> None:
        """Forget the interaction, before it is answered: of several pages sent at once, one answers (law 1).

        Raises:
            InteractionGone: it was answered already.
        """
        if not self._ephemeral.forget(_key(interaction.id)):
            raise InteractionGone("answered already")
        self._volumes.release(VolumeKind.OPEN, interaction.browser)

    def resume(self, interaction: Interaction) -> None:
        """Take back that it ended: nothing came of the answer."""
        self._save(interaction)
        with suppress(TooMuchVolume):  # it was one of those that are open, and is again
            self._volumes.reserve(VolumeKind.OPEN, interaction.browser)

    def _save(self, interaction: Interaction) -> None:
        self._ephemeral.put(_key(interaction.id), _written(interaction), keep_for=KEPT_FOR)


def _read(stored: bytes) -> Interaction:
    try:
        return decode_kept(Interaction, stored)
    except ValueError:
        raise InteractionGone("another version's") from None


def _written(interaction: Interaction) -> bytes:
    return json.dumps(asdict(interaction)).encode()


def _key(interaction_id: str) -> str:
    return "interaction:" + base64url(digest(interaction_id))


def _browser_digest(browser: str) -> str:
    return base64url(digest(browser))
