"""Importing declarations, on a real database: idempotent, all or nothing, audited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from idp.clients.model import ClientUnknown, DeclarationRefused
from idp.clients.service import Clients
from idp.egress import Destinations
from idp.kernel.clock import FixedClock
from idp.kernel.digests import digest
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.reference.countries import get_country
from idp.storage.postgres import Database
from tests.support.registered import BY, events, one, portal

SECOND = timedelta(seconds=1)


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


def test_an_empty_set_of_keys_is_not_the_one_that_is_known(clients: Clients, jwks: dict[str, Any]) -> None:
    """Who replaces a disclosed key by nothing is told, and does not keep it."""
    declared = portal("emptied", token_endpoint_auth_method="private_key_jwt")
    clients.import_([declared], jwks=jwks, origin=BY)
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([declared], jwks={}, origin=BY)
    assert refusal.value.field == "jwks"


def test_whoever_registers_a_client_in_a_sector_of_others_is_told(clients: Clients) -> None:
    """OIDC Core §8.1: people have one sub in a sector, so what two portals hold could be joined."""
    clients.import_([portal("first-there", sector="shared.example")], origin=BY)
    (change,) = clients.import_([portal("second-there", sector="shared.example")], origin=BY)
    assert change.shares_sector_with == ("first-there",)
    (again,) = clients.import_([portal("second-there", sector="shared.example")], origin=BY)
    assert again.shares_sector_with == ()


def test_no_text_of_a_list_is_without_end(clients: Clients) -> None:
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([portal("endless", contacts=["a" * 2001])], origin=BY)
    assert (refusal.value.field, refusal.value.reason) == ("contacts", "holds a text of more than 2000 characters")


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
    clients = Clients(database, clock, get_country("VN"), CLAIMS_OF_SCOPE, Destinations.read(("http://localhost:8001",)))
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
    assert (client.default_max_age, client.may_introspect) == (60, True)


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ("openid profle", "profle is not offered here; profile is meant, perhaps"),
        ("openid admin", "admin is not offered here; one of openid, profile, email, phone, address, identity, offline_access is"),
        ("openid OPENID", "OPENID is not offered here; openid is meant, perhaps"),
    ],
)
def test_a_scope_that_nothing_would_ever_come_of_is_not_registered(clients: Clients, scope: str, reason: str) -> None:
    """Requests for it would be answered without it, which a portal team finds out in production."""
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([portal("mistyped", scope=scope)], origin=BY)
    assert (refusal.value.field, refusal.value.reason) == ("scope", reason)
    clients.import_([portal("spelt", scope="openid profile email phone address identity")], origin=BY)


def test_a_client_that_acts_for_itself_has_scopes_of_its_own(clients: Clients) -> None:
    """RFC 6749 §4.4: they are understood by the interfaces it calls, not here."""
    machine = {"grant_types": ["authorization_code", "client_credentials"], "scope": "openid profile read:files"}
    clients.import_([portal("caller", **machine)], origin=BY)
    assert clients.show("caller").scopes == {"openid", "profile", "read:files"}


@pytest.mark.parametrize("code", ["h55", "H55; DROP", "H99", "55", "000.00.00.H99"])
def test_a_code_that_names_no_agency_of_the_country_is_not_registered(clients: Clients, code: str) -> None:
    with pytest.raises(DeclarationRefused) as refusal:
        clients.import_([portal("agency", agency_code=code)], origin=BY)
    assert refusal.value.field == "agency_code"
    assert refusal.value.reason.startswith("is no code of an agency in VN: it ")
    for good in ("H55", "H55.242", "000.00.00.H55", "G22"):
        clients.import_([portal("agency", agency_code=good)], origin=BY)


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
