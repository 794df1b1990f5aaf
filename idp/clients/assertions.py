"""Table `client_assertion`: each `jti` of a client assertion once for each client (RFC 7523 §3), taken before anything is issued."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from idp.kernel.digests import digest

if TYPE_CHECKING:
    from uuid import UUID

    from idp.storage.postgres import Database

_KEPT_BEYOND: Final = timedelta(minutes=5)

TAKE: Final = """
INSERT INTO client_assertion (client_id, jti_digest, expires_at)
VALUES (%(client_id)s, %(jti_digest)s, %(expires_at)s)
ON CONFLICT (client_id, jti_digest) DO NOTHING
RETURNING client_id
"""


class Assertions:
    """Takes the `jti` of verified assertions; one whose signature was bad never gets here, so it blocks nobody's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, client_id: UUID, jti: str, *, expires: float) -> bool:
        """Take `jti` until `expires` (seconds since 1970) and a margin; False when it was taken before."""
        until = datetime.fromtimestamp(expires, UTC) + _KEPT_BEYOND
        return self._database.step(TAKE, {"client_id": client_id, "jti_digest": digest(jti), "expires_at": until}) is not None
