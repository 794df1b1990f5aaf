"""What becomes of a registered client: found, disabled, given another secret, known to every process within a second."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from idp.clients.model import ClientUnknown, SecretNotUsed
from idp.clients.service import Clients
from idp.demo.engines import DatabaseUrls
from idp.kernel.clock import FixedClock
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.reference.countries import get_country
from idp.storage.breaker import EngineAway
from idp.storage.postgres import Database
from tests.support.counted import Counted
from tests.support.registered import BY, events, one, portal

SECOND = timedelta(seconds=1)
COUNTRY = get_country("VN")


def test_a_disabled_client_is_dead_at_once_stays_findable_and_says_why(clients: Clients, database: Database, clock: FixedClock) -> None:
    """Law 8."""
    clients.import_([portal("disabled")], origin=BY)
    clients.find("disabled")
    clock.advance(SECOND)
    clients.disable("disabled", "secret in a public repository", origin=BY)
    with database.transaction() as transaction:
        assert transaction.one("SELECT id FROM client_alive WHERE client_id = 'disabled'") is None
    clock.advance(SECOND)
    client = clients.find("disabled")
    assert client is not None
    assert (client.is_dead(clock.now()), client.disabled_reason) == (True, "secret in a public repository")
    clients.enable("disabled", origin=BY)
    clients.enable("disabled", origin=BY)
    assert not clients.show("disabled").is_dead(clock.now())
    assert one(database, "SELECT not_before FROM client_alive WHERE client_id = 'disabled'").not_before == clock.now(), (
        "what was issued while it was being disabled stays dead"
    )
    assert [event["kind"] for event in events(database, "disabled")] == ["clients.added", "clients.disabled", "clients.enabled"]


def test_enabling_what_is_enabled_has_nobody_load_anything_again(clients: Clients, database: Database) -> None:
    clients.import_([portal("enabled")], origin=BY)
    stamp = "SELECT version FROM configuration_stamp WHERE kind = 'clients'"
    before = one(database, stamp).version
    clients.enable("enabled", origin=BY)
    assert one(database, stamp).version == before


def test_a_client_disabled_twice_forgets_from_the_first_time_on(clients: Clients, database: Database, clock: FixedClock) -> None:
    clients.import_([portal("twice")], origin=BY)
    clients.disable("twice", "incident", origin=BY)
    clock.advance(SECOND)
    clients.disable("twice", "still", origin=BY, keep_grants=True)
    clients.enable("twice", origin=BY)
    assert one(database, "SELECT not_before FROM client_alive WHERE client_id = 'twice'").not_before == clock.now()


def test_importing_a_disabled_client_again_does_not_enable_it(clients: Clients, clock: FixedClock) -> None:
    clients.import_([portal("stays-disabled")], origin=BY)
    clients.disable("stays-disabled", "incident", origin=BY)
    clients.import_([portal("stays-disabled", client_name="Khác")], origin=BY)
    assert clients.show("stays-disabled").is_dead(clock.now())


def test_grants_are_kept_only_when_that_is_said(clients: Clients, database: Database) -> None:
    clients.import_([portal("paused")], origin=BY)
    clients.disable("paused", "maintenance", origin=BY, keep_grants=True)
    clients.enable("paused", origin=BY)
    assert one(database, "SELECT not_before = '-infinity' AS untouched FROM client_alive WHERE client_id = 'paused'").untouched


def test_a_rotated_secret_replaces_the_old_one(clients: Clients, database: Database, clock: FixedClock, jwks: dict[str, Any]) -> None:
    old = clients.import_([portal("rotated")], origin=BY)[0].new_secret or ""
    clients.find("rotated")
    new = clients.rotate_secret("rotated", origin=BY)
    clock.advance(SECOND)
    client = clients.find("rotated")
    assert client is not None
    assert client.is_secret(new)
    assert not client.is_secret(old)
    recorded = json.dumps(events(database, "rotated"))
    assert "clients.secret_rotated" in recorded
    assert new not in recorded
    clients.import_([portal("keyed", token_endpoint_auth_method="private_key_jwt", jwks=jwks)], origin=BY)
    with pytest.raises(SecretNotUsed):
        clients.rotate_secret("keyed", origin=BY)


def test_what_nobody_registered_is_unknown(clients: Clients) -> None:
    for client_id in ("", "unknown", "x" * 10_000, "\x00", "\ud800"):
        assert clients.find(client_id) is None
    for act in (clients.show, lambda name: clients.disable(name, "x", origin=BY), lambda name: clients.rotate_secret(name, origin=BY)):
        with pytest.raises(ClientUnknown):
            act("unknown")


def test_a_client_that_another_process_has_just_registered_is_there_by_its_id(database_urls: DatabaseUrls, clients: Clients, clock: FixedClock) -> None:
    """A session has reached it already: whoever signs out before this process looked again is signed out all the same."""
    other = Clients(Database(database_urls.app), clock, COUNTRY, CLAIMS_OF_SCOPE)
    assert other.find("just-registered") is None
    clients.import_([portal("just-registered")], origin=BY)
    made = clients.find("just-registered")
    assert made is not None
    assert other.get(made.id).client_id == "just-registered"


def test_a_client_that_is_not_held_is_looked_up_even_while_another_thread_looks(
    database_urls: DatabaseUrls, clients: Clients, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was let go on with what is remembered would call a registered client unknown."""
    there = Clients(Database(database_urls.app), clock, COUNTRY, CLAIMS_OF_SCOPE)
    there.find("any")
    clients.import_([portal("in-between")], origin=BY)
    made = clients.find("in-between")
    assert made is not None
    looking, go_on = threading.Event(), threading.Event()
    load = there._remembered._look

    def slowly() -> Any:
        if threading.current_thread() is slow:
            looking.set()
            go_on.wait(10)
        return load()

    monkeypatch.setattr(there._remembered, "_look", slowly)
    clock.advance(SECOND)
    slow = threading.Thread(target=there.find, args=("any",))
    slow.start()
    assert looking.wait(10)
    found: list[str] = []
    asks = threading.Thread(target=lambda: found.append(there.get(made.id).client_id))
    asks.start()
    asks.join(0.2)
    go_on.set()
    slow.join()
    asks.join()
    assert found == ["in-between"]


def test_another_process_sees_a_change_within_a_second_and_asks_nothing_in_between(
    clients: Clients, database_urls: DatabaseUrls, clock: FixedClock
) -> None:
    other = Counted(database_urls.app)
    there = Clients(other, clock, COUNTRY, CLAIMS_OF_SCOPE)
    clients.import_([portal("seen")], origin=BY)
    assert there.find("seen") is not None
    before = other.steps
    clients.import_([portal("seen", client_name="Tên mới")], origin=BY)
    for _ in range(100):
        assert there.find("seen") is not None
    assert other.steps == before
    clock.advance(SECOND)
    client = there.find("seen")
    assert client is not None
    assert client.name() == "Tên mới"
    assert other.steps == before + 1
    other.close()


def test_with_the_database_gone_what_is_held_goes_on_serving(clients: Clients, clock: FixedClock) -> None:
    clients.import_([portal("held")], origin=BY)
    clients.find("held")
    away = Database("host=/nonexistent dbname=none user=none")
    clients._remembered._database = away
    clock.advance(timedelta(minutes=5))
    assert clients.find("held") is not None
    with pytest.raises(EngineAway):
        Clients(away, clock, COUNTRY, CLAIMS_OF_SCOPE).find("held")


def test_the_same_import_by_several_operators_at_once_adds_a_client_once(database_urls: DatabaseUrls, clock: FixedClock) -> None:
    barrier, whats = threading.Barrier(4), list[str]()

    def run() -> None:
        database = Database(database_urls.app)
        barrier.wait()
        whats.extend(change.what for change in Clients(database, clock, COUNTRY, CLAIMS_OF_SCOPE).import_([portal("raced"), portal("raced-2")], origin=BY))
        database.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(whats) == ["added"] * 2 + ["unchanged"] * 6


def test_every_client_is_listed_by_its_id(clients: Clients) -> None:
    clients.import_([portal("list-b"), portal("list-a")], origin=BY)
    listed = [client.client_id for client in clients.list_(BY)]
    assert listed == sorted(listed)
    assert {"list-a", "list-b"} <= set(listed)
