"""Telling a portal that a session ended: one logout token, one try, one outcome (OIDC Back-Channel Logout 1.0 §2.5 to §2.8).

Owns when it is tried again and when it is given up. Must not know how jobs are kept, nor HTTP beyond a status.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from idp.audit.model import Origin
from idp.clients.model import Client, ClientUnknown
from idp.egress import EgressRefused, NotReachable
from idp.jobs import Again
from idp.kernel.digests import random_bytes
from idp.oidc.tokens import logout_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from idp.clients.service import Clients
    from idp.egress import Egress
    from idp.kernel.clock import Clock
    from idp.keys.ring import KeyRing
    from idp.sessions.service import Sessions
    from idp.storage.postgres import Row

TRIED_FOR: Final = timedelta(hours=24)
AT_ONCE: Final = 2
"""Calls under way to one portal from one worker: one that hangs holds no more threads than these."""

_SHORTEST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 600.0
_PLACE_WITHIN: Final = 0.2
_DELIVERED: Final = frozenset({200, 204})
_REFUSED: Final = 400
_ORIGIN: Final = Origin.operated("worker")


@dataclass(frozen=True, slots=True)
class Told:
    """The portal has been told, now or before."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It has not; try again in `after`."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It never will be: it refused, cannot be told any more, or did not answer for a day."""


class LogoutDelivery:
    """Tells portals. Threads share it; each process has its own places at a portal."""

    def __init__(
        self, sessions: Sessions, clients: Clients, keys: KeyRing, egress: Egress, *, issuer: str, clock: Clock
    ) -> None:
        """Tell `clients` of ended `sessions` through `egress`, in the name of `issuer`."""
        self._sessions = sessions
        self._clients = clients
        self._keys = keys
        self._egress = egress
        self._issuer = issuer
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[UUID, threading.BoundedSemaphore] = {}

    def do(self, given: Mapping[str, Any]) -> None:
        """Do the job `sessions.TELL`: as `tell`, of the notice that was deferred.

        Raises:
            Again: not told yet.
        """
        outcome = self.tell(UUID(given["notice"]))
        if isinstance(outcome, TryAgain):
            raise Again(outcome.after)

    def tell(self, notice_id: UUID) -> Told | TryAgain | GivenUp:
        """Try once to tell a portal, with a logout token of its own, and record what came of it.

        Telling twice is possible (a worker may die between the answer and its record) and harms nobody.

        Raises:
            EngineAway: the database is away.
        """
        notice = self._sessions.notice(notice_id)
        if notice is None:
            return Told()
        try:
            client = self._clients.get(notice.client_id)
        except ClientUnknown:
            return self._give_up(notice, "client_gone")
        if client.backchannel_logout_uri is None:
            return self._give_up(notice, "no_address")
        with self._place(client.id) as has_place:
            if not has_place:
                return TryAgain(_spread(_SHORTEST_WAIT))
            return self._try(notice, client, client.backchannel_logout_uri)

    # inside --------------------------------------------------------------------------------------------------------------------

    def _try(self, notice: Row, client: Client, uri: str) -> Told | TryAgain | GivenUp:
        sent = logout_token(client, self._keys, issuer=self._issuer, now=self._clock.now(), sub=notice.sub, sid=notice.sid)
        try:
            status = self._egress.post_form(uri, {"logout_token": sent}).status
        except EgressRefused:
            return self._missed(notice, "not_allowed")
        except NotReachable as failure:
            if failure.reason == "busy" and not self._is_late(notice):  # nobody was called: no try, and nothing to record
                return TryAgain(_spread(max(failure.again_in, _wait(notice.attempts))))
            return self._missed(notice, "timeout" if failure.reason == "timeout" else "unreachable")
        if status in _DELIVERED:
            self._record(notice, "delivered", delivered=True)
            return Told()
        if status == _REFUSED:
            return self._give_up(notice, "refused")
        return self._missed(notice, f"http_{status}")

    def _missed(self, notice: Row, outcome: str) -> TryAgain | GivenUp:
        if self._is_late(notice):
            return self._give_up(notice, outcome)
        attempts = self._record(notice, outcome)
        return TryAgain(_spread(_wait(attempts)))

    def _give_up(self, notice: Row, outcome: str) -> GivenUp:
        self._record(notice, outcome, given_up=True)
        return GivenUp()

    def _record(self, notice: Row, outcome: str, *, delivered: bool = False, given_up: bool = False) -> int:
        return self._sessions.tried(notice, outcome, _ORIGIN, delivered=delivered, given_up=given_up)

    def _is_late(self, notice: Row) -> bool:
        return self._clock.now() - _made_at(notice.id) >= TRIED_FOR

    @contextmanager
    def _place(self, client_id: UUID) -> Iterator[bool]:
        with self._lock:
            places = self._places.setdefault(client_id, threading.BoundedSemaphore(AT_ONCE))
        has_place = places.acquire(timeout=_PLACE_WITHIN)
        try:
            yield has_place
        finally:
            if has_place:
                places.release()


def _made_at(notice_id: UUID) -> datetime:
    """Return when a notice was made: its id says so (RFC 9562 §5.7)."""
    return datetime.fromtimestamp((notice_id.int >> 80) / 1000, UTC)


def _wait(attempts: int) -> float:
    """Return the seconds before the next try: 1, 2, 4 … 600."""
    return float(min(_SHORTEST_WAIT * 2 ** max(min(attempts, 16) - 1, 0), _LONGEST_WAIT))


def _spread(seconds: float) -> timedelta:
    """Return about `seconds`, from three to five quarters of them, so that those who failed together do not return together."""
    return timedelta(seconds=seconds * (0.75 + random_bytes(1)[0] / 510))
