"""Sessions that reached portals, so that ending them tells the portals; and the worker that does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from idp.audit.model import Origin
from idp.clients.service import Clients
from idp.egress import Destinations, Egress
from idp.jobs import Jobs
from idp.jobs.worker import Worker, build_worker
from idp.kernel.clock import Clock, SystemClock
from idp.kernel.ids import new_id
from idp.keys import KeyEncryption, KeyKeeper, KeyRing
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.oidc.logout import LogoutDelivery
from idp.reference.countries import get_country
from idp.sessions.model import SessionPolicy
from idp.sessions.service import TELL, Proof, Sessions
from idp.storage.postgres import Database

if TYPE_CHECKING:
    from idp.demo.engines import DatabaseUrls

ISSUER = "http://localhost:8000"
ENCRYPTION = {"first": bytes(range(32))}
AUDIENCE = "{}.portal"

_HOLDER = "INSERT INTO holder (id, kind, created_at) VALUES (%(id)s, 'person', %(now)s)"
_ACCOUNT = "INSERT INTO account (id, holder_id, state, locale, created_at) VALUES (%(id)s, %(holder_id)s, 'active', 'vi', %(now)s)"
_REACHED = """
INSERT INTO session_client (session_id, client_id, sid, sub, first_at)
VALUES (%(session_id)s, %(client_id)s, %(sid)s, 'sub of ' || %(sid)s, %(now)s)
"""


@dataclass
class House:
    """The rooms that tell portals, over one database."""

    database: Database
    clock: Clock
    clients: Clients
    sessions: Sessions
    keys: KeyRing

    @classmethod
    def over(cls, database: Database, clock: Clock) -> House:
        clients = Clients(database, clock, get_country("VN"), CLAIMS_OF_SCOPE)
        sessions = Sessions(
            database,
            clock,
            Jobs(),
            SessionPolicy(),
            wants_telling=lambda client: clients.get(client).backchannel_logout_uri is not None,
        )
        return cls(database, clock, clients, sessions, KeyRing(database, KeyEncryption(ENCRYPTION), clock))

    def delivery(self, egress: Egress) -> LogoutDelivery:
        return LogoutDelivery(self.sessions, self.clients, self.keys, egress, issuer=ISSUER, clock=self.clock)

    def make_keys(self) -> None:
        KeyKeeper(self.database, KeyEncryption(ENCRYPTION), self.clock).make_first_keys(Origin.operated("test"), ("ES256",))

    def add_portals(self, urls: dict[str, str]) -> None:
        """Register portals by name with their back-channel logout addresses, which are on loopback."""
        self.clients._destinations = Destinations.read(tuple({"/".join(url.split("/")[:3]) for url in urls.values()}))
        self.clients.import_(
            [
                {
                    "client_id": AUDIENCE.format(name),
                    "client_name": f"Cổng {name}",
                    "profile": "baseline",
                    "redirect_uris": ["http://localhost:8001/callback"],
                    "token_endpoint_auth_method": "none",
                    "backchannel_logout_uri": url,
                    "scope": "openid",
                }
                for name, url in urls.items()
            ],
            origin=Origin.operated("test"),
        )

    def add_account(self) -> UUID:
        now = self.clock.now()
        account_id, holder_id = new_id(now), new_id(now)
        with self.database.transaction() as transaction:
            transaction.run(_HOLDER, {"id": holder_id, "now": now})
            transaction.run(_ACCOUNT, {"id": account_id, "holder_id": holder_id, "now": now})
        return account_id

    def begin_session(self, account_id: UUID, portals: Sequence[str]) -> UUID:
        """Begin a session of an account and let it reach portals."""
        now = self.clock.now()
        proof = Proof(account_id, "password", None, None, "Mozilla/5.0")
        with self.database.transaction() as transaction:
            begun = self.sessions.prove_in(transaction, proof, None, Origin(request_id="test"))
            for name in portals:
                client = self.clients.show(AUDIENCE.format(name))
                sid = f"{name} {begun.id}"
                transaction.run(_REACHED, {"session_id": begun.id, "client_id": client.id, "sid": sid, "now": now})
        return begun.id

    def end(self, session_id: UUID) -> int:
        return self.sessions.end(session_id, "signed_out", Origin(request_id="test"), account_id=None)


def worker_of(urls: DatabaseUrls, *allow: str, **options: timedelta) -> tuple[Worker, Database]:
    """Return a worker as the role of the worker, and its database to close; `options` are those of `build_worker`."""
    database = Database(urls.worker)
    clock = SystemClock()
    house = House.over(database, clock)
    handlers = {TELL: house.delivery(Egress(allow=allow)).do}
    periodic = {"end_dead_sessions": (timedelta(seconds=1), house.sessions.end_dead)}
    return build_worker(urls.worker, clock, handlers=handlers, periodic=periodic, **options), database  # type: ignore[arg-type]  # spans


def start_worker_process(urls: DatabaseUrls, *allow: str, **options: timedelta) -> subprocess.Popen[bytes]:
    """Start a worker as a process of its own."""
    seconds = {name: span.total_seconds() for name, span in options.items()}
    given = json.dumps({"urls": [urls.owner, urls.app, urls.worker, urls.superuser], "allow": allow, "options": seconds})
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-m", "tests.support.ended_sessions", given], cwd=root)


def _main() -> None:
    from idp.demo.engines import DatabaseUrls

    given = json.loads(sys.argv[1])
    options = {name: timedelta(seconds=seconds) for name, seconds in given["options"].items()}
    worker, database = worker_of(DatabaseUrls(*given["urls"]), *given["allow"], **options)
    worker.run()
    database.close()


if __name__ == "__main__":
    _main()
