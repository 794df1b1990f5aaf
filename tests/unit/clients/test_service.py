"""Importing, finding, disabling and rotating, on a real database: idempotent, audited, known to every process within a second."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from idp.audit.model import Origin
from idp.clients.model import ClientUnknown, DeclarationRefused, SecretNotUsed
from idp.clients.service import Clients
from idp.demo.engines import DatabaseUrls
from idp.egress import Destinations
from idp.kernel.clock import FixedClock
from idp.kernel.digests import digest
from idp.storage.breaker import EngineAway
from idp.storage.postgres import Database, Row

BY = Origin.operated("registrar")
SECOND = timedelta(seconds=1)


class Counted(Database):
    """A database that counts the hot statements it was asked."""

    steps = 0

    def step(self, statement: str, parameters: Mapping[str, object]) -> Row | None:
        self.steps += 1
        return super().step(statement, parameters)


def portal(client_id: str, **changed: Any) -> dict[str, Any]:
    declared: dict[str, Any] = {
        "client_id": client_id,
        "profile": "baseline",
        "client_name": "Cổng Dịch vụ công mẫu",
        "client_name#en": "Sample portal",
        "redirect_uris": ["https://portal.example/signed-in", "https://portal.example/other"],
        "scope": "openid profile",
        "token_endpoint_auth_method": "client_secret_basic",
    }
    return {name: value for name, value in (declared | changed).items() if value is not None}


def one(database: Database, statement: str) -> Any:
    with database.transaction() as transaction:
        row = transaction.one(statement)
    assert row is not None
    return row


def events(database: Database, client_id: str) -> list[dict[str, Any]]:
    with database.transaction() as transaction:
        rows = transaction.all("SELECT body FROM audit_event ORDER BY at, id")
    return [body for body in (json.loads(row.body) for row in rows) if body.get("client") == client_id]


def test_a_new_client_is_added_with_a_secret_that_is_shown_once_and_stored_as_a_digest(clients: Clients, database: Database) -> None:
    (change,) = clients.import_([portal("added")], origin=BY)
    assert change.what == "added"
    assert change.new_secret is not None
    assert change.new_secret.startswith("mcs_")
    assert len(change.new_secret) == 4 + 43
    assert change.new_secret not in repr(change)
    client = clients.find("added")
    assert client is not None
    assert client.secret_digest == digest(change.new_secret)
    assert client.is_secret(change.new_secret)
    assert repr(client.secret_digest) not in repr(client)
    assert change.new_secret not in one(database, "SELECT client::text AS whole FROM client WHERE client_id = 'added'").whole
    assert [event["kind"] for event in events(database, "added")] == ["clients.added"]


def test_importing_the_same_again_changes_nothing(clients: Clients, database: Database) -> None:
    clients.import_([portal("again")], origin=BY)
    stamp = "SELECT version FROM configuration_stamp WHERE kind = 'clients'"
    before = one(database, stamp).version
    (change,) = clients.import_([portal("again")], origin=BY)
    assert (change.what, change.fields, change.new_secret) == ("unchanged", (), None)
    assert one(database, stamp).version == before
    assert len(events(database, "again")) == 1


def test_a_change_names_its_fields_and_keeps_the_secret(clients: Clients, database: Database, clock: FixedClock) -> None:
    secret = clients.import_([portal("changed")], origin=BY)[0].new_secret
    clients.find("changed")
    clock.advance(SECOND)
    renamed = portal("changed", client_name="Cổng mới", contacts=["help@portal.example"], **{"client_name#en": None})
    (change,) = clients.import_([renamed], origin=BY)
    assert (change.what, change.fields, change.new_secret) == ("changed", ("client_name", "client_name#en", "contacts"), None)
    clock.advance(SECOND)
    client = clients.find("changed")
    assert client is not None
    assert client.name("en") == "Cổng mới"
    assert client.is_secret(secret or "")
    assert events(database, "changed")[-1] == {
        "kind": "clients.changed",
        "client": "changed",
        "fields": ["client_name", "client_name#en", "contacts"],
        "operator": "registrar",
        "request": "-",
    }


def test_a_declared_secret_is_used_and_a_new_one_replaces_it(clients: Clients, clock: FixedClock) -> None:
    first, second = "a" * 32, "b" * 32
    (change,) = clients.import_([portal("own-secret", client_secret=first)], origin=BY)
    assert change.new_secret is None
    assert "client_secret" not in change.fields
    assert clients.show("own-secret").is_secret(first)
    assert clients.import_([portal("own-secret", client_secret=first)], origin=BY)[0].what == "unchanged"
    (change,) = clients.import_([portal("own-secret", client_secret=second)], origin=BY)
    assert change.fields == ("client_secret",)
    client = clients.show("own-secret")
    assert client.is_secret(second)
    assert not client.is_secret(first)
    assert "client_secret" not in client.metadata


def test_a_client_that_stops_using_a_secret_has_none_and_gets_a_new_one_when_it_uses_one_again(clients: Clients) -> None:
    secret = clients.import_([portal("switching")], origin=BY)[0].new_secret or ""
    clients.import_([portal("switching", token_endpoint_auth_method="none")], origin=BY)
    client = clients.show("switching")
    assert client.secret_digest is None
    assert not client.is_confidential
    assert not client.is_secret(secret)
    (change,) = clients.import_([portal("switching")], origin=BY)
    assert change.new_secret not in {None, secret}


def test_no_secret_equals_an_empty_or_missing_one(clients: Clients) -> None:
    """CVE-2024-45160."""
    clients.import_([portal("no-secret", token_endpoint_auth_method="none")], origin=BY)
    for presented in ("", " ", "None", "\x00", "é", "\ud800"):
        assert not clients.show("no-secret").is_secret(presented)
    clients.import_([portal("with-secret")], origin=BY)
    for presented in ("", "é" * 47, "\ud800", "mcs_"):
        assert not clients.show("with-secret").is_secret(presented)


def test_keys_come_with_the_file_and_stay_when_the_declaration_is_read_again(clients: Clients, jwks: dict[str, Any]) -> None:
    declared = portal("with-keys", token_endpoint_auth_method="private_key_jwt")
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([declared], origin=BY)
    assert refusal.value.field == "jwks"
    assert clients.import_([declared], jwks=jwks, origin=BY)[0].new_secret is None
    assert clients.import_([declared], jwks=jwks, origin=BY)[0].what == "unchanged"
    assert clients.import_([declared], origin=BY)[0].what == "unchanged"
    keys = clients.show("with-keys").keys
    assert keys is not None
    assert keys.to_jwks() == jwks
    for several in ([declared, portal("with-keys-2", token_endpoint_auth_method="private_key_jwt")], [portal("plain")]):
        with pytest.raises(DeclarationRefused):
            clients.import_(several, jwks=jwks, origin=BY)


def test_an_import_is_all_or_nothing(clients: Clients, database: Database) -> None:
    with pytest.raises(DeclarationRefused):
        clients.import_([portal("good-one"), portal("bad-one", redirect_uris=["javascript:alert(1)"])], origin=BY)
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([portal("twice"), portal("twice")], origin=BY)
    assert refusal.value.field == "client_id"
    with pytest.raises(ClientUnknown):
        clients.show("good-one")
    assert events(database, "good-one") == []


def test_a_sector_never_changes(clients: Clients) -> None:
    """OIDC Core §8: another sector would give everybody another `sub`."""
    clients.import_([portal("sector")], origin=BY)
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([portal("sector", redirect_uris=["https://elsewhere.example/x"])], origin=BY)
    assert refusal.value.field == "sector"
    kept = portal("sector", redirect_uris=["https://elsewhere.example/x"], sector="portal.example")
    assert clients.import_([kept], origin=BY)[0].what == "changed"


def test_the_end_of_a_legacy_client_is_a_fact_that_liveness_joins(clients: Clients, database: Database) -> None:
    clients.import_([portal("old", profile="legacy", legacy_until="2027-01-31")], origin=BY)
    client = clients.show("old")
    assert client.expires_at == datetime(2027, 2, 1, tzinfo=UTC)
    assert not client.requires_pkce
    assert client.is_dead(datetime(2027, 2, 1, tzinfo=UTC))
    assert not client.is_dead(datetime(2027, 1, 31, tzinfo=UTC))
    assert one(database, "SELECT until FROM client_alive WHERE client_id = 'old'").until == datetime(2027, 2, 1, tzinfo=UTC)
    clients.import_([portal("old")], origin=BY)
    assert clients.show("old").expires_at is None
    assert clients.show("old").requires_pkce


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://portal.example:9443/bye", "only ports 443, 8443 are called"),
        ("https://127.0.0.1/bye", "a literal address is not called: use a host name"),
        ("https://portal.internal/bye", "the host has to be a public name"),
        ("http://127.0.0.1:8001/bye", "only https is called"),
    ],
)
def test_an_address_that_would_never_be_called_is_not_registered(clients: Clients, address: str, reason: str) -> None:
    """The portal team hears it at the import, not from a log a month later; nobody is looked up or called."""
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([portal("unreachable", backchannel_logout_uri=address)], origin=BY)
    assert (refusal.value.field, refusal.value.reason) == ("backchannel_logout_uri", reason)
    assert clients.find("unreachable") is None
    clients.import_([portal("reachable", backchannel_logout_uri="https://portal.example/bye")], origin=BY)


def test_a_loopback_origin_that_this_installation_calls_may_be_registered(database: Database, clock: FixedClock) -> None:
    """Demo and test: the sample portals."""
    clients = Clients(database, clock, Destinations.read(("http://localhost:8001",)))
    clients.import_([portal("neighbour", backchannel_logout_uri="http://localhost:8001/bye")], origin=BY)
    with pytest.raises(DeclarationRefused):
        clients.import_([portal("other-neighbour", backchannel_logout_uri="http://localhost:8002/bye")], origin=BY)


def test_everything_a_client_declared_is_parsed_once(clients: Clients) -> None:
    clients.import_([portal("parsed", default_max_age=60, may_introspect=True, agency_code="H55", agreement="01/2026")], origin=BY)
    client = clients.find("parsed")
    assert client is not None
    assert client is clients.find("parsed")
    assert client is clients.get(client.id)
    assert (client.name(), client.name("en"), client.name("fr")) == ("Cổng Dịch vụ công mẫu", "Sample portal", "Cổng Dịch vụ công mẫu")
    assert client.origin == "https://portal.example"
    assert (client.default_max_age, client.may_introspect, client.agency_code, client.agreement) == (60, True, "H55", "01/2026")


def test_a_redirect_address_is_compared_as_text(clients: Clients) -> None:
    """Exactly a registered one."""
    clients.import_(
        [portal("exact", redirect_uris=["https://portal.example/cb", "http://127.0.0.1/cb"], sector="portal.example")], origin=BY
    )
    client = clients.show("exact")
    assert client.is_redirect_uri("https://portal.example/cb")
    for bad in (
        "https://portal.example.evil.example/cb",
        "https://portal.example/cb2",
        "https://portal.example/cb/../x",
        "https://portal.example/cb/",
        "https://portal.example/cb?x=1",
        "https://portal.example/CB",
        "https://portal.example:443/cb",
        "HTTPS://portal.example/cb",
        "http://127.0.0.1:5/cb",
        "http://localhost/cb",
        "",
        "\ud800",
    ):
        assert not client.is_redirect_uri(bad)


def test_a_native_application_may_come_back_on_any_port(clients: Clients) -> None:
    native = portal("native", application_type="native", redirect_uris=["http://127.0.0.1/cb"], token_endpoint_auth_method="none")
    clients.import_([native], origin=BY)
    client = clients.show("native")
    assert client.is_redirect_uri("http://127.0.0.1:49152/cb")
    assert not client.is_redirect_uri("http://localhost:49152/cb")


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
    other = Clients(Database(database_urls.app), clock)
    assert other.find("just-registered") is None
    clients.import_([portal("just-registered")], origin=BY)
    made = clients.find("just-registered")
    assert made is not None
    assert other.get(made.id).client_id == "just-registered"


def test_another_process_sees_a_change_within_a_second_and_asks_nothing_in_between(
    clients: Clients, database_urls: DatabaseUrls, clock: FixedClock
) -> None:
    other = Counted(database_urls.app)
    there = Clients(other, clock)
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
        Clients(away, clock).find("held")


def test_the_same_import_by_several_operators_at_once_adds_a_client_once(database_urls: DatabaseUrls, clock: FixedClock) -> None:
    barrier, whats = threading.Barrier(4), list[str]()

    def run() -> None:
        database = Database(database_urls.app)
        barrier.wait()
        whats.extend(change.what for change in Clients(database, clock).import_([portal("raced"), portal("raced-2")], origin=BY))
        database.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(whats) == ["added"] * 2 + ["unchanged"] * 6


def test_every_client_is_listed_by_its_id(clients: Clients) -> None:
    clients.import_([portal("list-b"), portal("list-a")], origin=BY)
    listed = [client.client_id for client in clients.list_()]
    assert listed == sorted(listed)
    assert {"list-a", "list-b"} <= set(listed)
