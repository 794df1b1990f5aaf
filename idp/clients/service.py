"""Use cases of clients: find one (from memory), import declarations, disable, enable, give a new secret."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from idp.audit.store import record
from idp.clients import store
from idp.clients.declaration import Declaration, read_declaration
from idp.clients.model import (
    SECRET_METHODS,
    Change,
    Client,
    ClientAdded,
    ClientChanged,
    ClientDisabled,
    ClientEnabled,
    ClientLookedUp,
    ClientSecretRotated,
    ClientUnknown,
    DeclarationRefused,
    SecretNotUsed,
)
from idp.egress import Destinations, EgressRefused
from idp.kernel.digests import digest, new_bearer
from idp.kernel.ids import new_id
from idp.keys.stamps import Remembered, bump, hold

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from idp.audit.model import Origin
    from idp.clients.declaration import Metadata
    from idp.kernel.clock import Clock
    from idp.reference.model import Country
    from idp.storage.postgres import Database, Row, Transaction

SECRET_PREFIX: Final = "mcs_"  # noqa: S105 - what every secret begins with, so that a leaked one can be found


@dataclass(frozen=True, slots=True)
class _Directory:
    """Every client, as one load found them; each is parsed when it is first asked for."""

    rows: Mapping[str, Row]
    client_ids: Mapping[UUID, str]
    parsed: dict[str, Client]


class Clients:
    """The registered clients. Threads share it; each process has its own, at most a second behind a change."""

    def __init__(
        self, database: Database, clock: Clock, country: Country, scopes: Collection[str], destinations: Destinations | None = None
    ) -> None:
        """Read clients from `database` lazily.

        `country` knows the codes of agencies, `scopes` are those that people can be asked for. What clients have called must be
        among `destinations` (None: public servers alone).
        """
        self._country = country
        self._scopes = tuple(scopes)
        self._destinations = destinations or Destinations()
        self._database = database
        self._clock = clock
        self._remembered = Remembered(database, store.KIND, clock, self._load)

    # from memory --------------------------------------------------------------------------------------------------------------

    def find(self, client_id: str) -> Client | None:
        """Return the client of this `client_id`, disabled ones too, or None. No database while what is held is fresh.

        Raises:
            EngineAway: the database is away and nothing is held yet.
        """
        directory = self._remembered.get()
        client = directory.parsed.get(client_id)
        if client is None:
            row = directory.rows.get(client_id)
            if row is None:
                return None
            client = directory.parsed[client_id] = store.read_client(row)
        return client

    def get(self, client: UUID) -> Client:
        """Return the client of this id. One that is not held yet was registered within the last second, and is looked up.

        Raises:
            ClientUnknown: there is none.
            EngineAway: the database is away and nothing is held yet.
        """
        client_id = self._remembered.get().client_ids.get(client)
        if client_id is None:
            client_id = self._remembered.again().client_ids.get(client)
        found = None if client_id is None else self.find(client_id)
        if found is None:
            raise ClientUnknown(str(client))
        return found

    # for operators ------------------------------------------------------------------------------------------------------------

    def list_(self, origin: Origin) -> list[Client]:
        """Return every client as the database has it now, by its `client_id`; that an operator looks is on the record."""
        with self._database.transaction() as transaction:
            record(transaction, ClientLookedUp(origin, None), self._clock.now())
            return [store.read_client(row) for row in store.all_clients(transaction)]

    def look_up(self, client_id: str, origin: Origin) -> Client:
        """Return what `show` returns, on the record: an operator looks at this client.

        Raises:
            ClientUnknown: there is none of this `client_id`.
        """
        with self._database.transaction() as transaction:
            row = _get(transaction, client_id)
            record(transaction, ClientLookedUp(origin, client_id), self._clock.now(), {"client_id": row.id})
            return store.read_client(row)

    def show(self, client_id: str) -> Client:
        """Return one client as the database has it now.

        Raises:
            ClientUnknown: there is none of this `client_id`.
        """
        with self._database.transaction() as transaction:
            return store.read_client(_get(transaction, client_id))

    def import_(
        self, declarations: Sequence[Mapping[str, object]], *, jwks: Mapping[str, object] | None = None, origin: Origin
    ) -> list[Change]:
        """Register what is declared, all of it or nothing; importing the same again changes nothing.

        `jwks` are the keys of the one declaration that authenticates with private_key_jwt and brings none of its own; without
        them such a client keeps the keys it has. A client that needs a secret and declares none keeps the one it has, or gets
        one, told in its `Change` and never again.

        Raises:
            DeclarationRefused: a profile forbids something, an address would never be called, a scope or the code of an agency is
                not known, two declarations have one `client_id`, or a sector would change: at which position, where it is one.
        """
        ids: list[str] = []
        for position, given in enumerate(declarations):
            client_id = given.get("client_id")
            if client_id in ids:
                raise DeclarationRefused("client_id", f"{client_id} is declared twice", position)
            ids += [client_id] if isinstance(client_id, str) else []
        with self._database.transaction() as transaction:
            hold(transaction, store.KIND)
            present = store.lock_clients(transaction, ids)
            known = {client_id: row.metadata["jwks"] for client_id, row in present.items() if "jwks" in row.metadata}
            changes = []
            for position, given in enumerate(_with_keys(declarations, jwks, known)):
                try:
                    each = self._read(given)
                    changes.append(self._import_one(transaction, each, present.get(each.says.client_id), origin))
                except DeclarationRefused as refused:
                    raise DeclarationRefused(refused.field, refused.reason, position) from None
            if any(change.what != "unchanged" for change in changes):
                bump(transaction, store.KIND)
        self._remembered.expire()
        return changes

    def _read(self, given: Mapping[str, object]) -> Declaration:
        declaration = read_declaration(given, self._clock.now())
        self._require_destination("backchannel_logout_uri", declaration.says.backchannel_logout_uri)
        self._require_scopes(declaration.says)
        self._require_agency(declaration.says.agency_code)
        return declaration

    def disable(self, client_id: str, reason: str, *, origin: Origin, keep_grants: bool = False) -> None:
        """Disable a client: dead everywhere at once. Unless `keep_grants`, enabling it does not bring back what it was given.

        Raises:
            ClientUnknown: there is none of this `client_id`.
        """
        with self._database.transaction() as transaction:
            now, row = self._hold(transaction, client_id)
            store.disable_client(transaction, row.id, reason, end_grants=not keep_grants, now=now)
            record(transaction, ClientDisabled(origin, client_id, reason, not keep_grants), now, {"client_id": row.id})
            bump(transaction, store.KIND)
        self._remembered.expire()

    def enable(self, client_id: str, *, origin: Origin) -> None:
        """Enable a disabled client again; one that is enabled stays so, without an event.

        Raises:
            ClientUnknown: there is none of this `client_id`.
        """
        with self._database.transaction() as transaction:
            now, row = self._hold(transaction, client_id)
            if row.disabled_at is not None:
                store.enable_client(transaction, row.id, now)
                record(transaction, ClientEnabled(origin, client_id), now, {"client_id": row.id})
                bump(transaction, store.KIND)
        self._remembered.expire()

    def rotate_secret(self, client_id: str, *, origin: Origin) -> str:
        """Give a client a new secret and return it: it is shown once. The old one is dead within a second.

        Raises:
            ClientUnknown: there is none of this `client_id`.
            SecretNotUsed: it authenticates without a secret.
        """
        secret = new_bearer(SECRET_PREFIX)
        with self._database.transaction() as transaction:
            now, row = self._hold(transaction, client_id)
            if store.read_client(row).token_endpoint_auth_method not in SECRET_METHODS:
                raise SecretNotUsed(client_id)
            store.set_secret(transaction, row.id, digest(secret), now)
            record(transaction, ClientSecretRotated(origin, client_id), now, {"client_id": row.id})
            bump(transaction, store.KIND)
        self._remembered.expire()
        return secret

    # inside -------------------------------------------------------------------------------------------------------------------

    def _load(self) -> _Directory:
        with self._database.transaction() as transaction:
            rows = {row.client_id: row for row in store.all_clients(transaction)}
        return _Directory(rows, {row.id: client_id for client_id, row in rows.items()}, {})

    def _hold(self, transaction: Transaction, client_id: str) -> tuple[datetime, Row]:
        hold(transaction, store.KIND)
        row = _get(transaction, client_id)
        return self._clock.now(), row

    def _require_destination(self, name: str, address: str | None) -> None:
        """Of all addresses of a declaration this one alone is called by us; keys and sectors are not fetched (`fields.REFUSED`)."""
        if address is None:
            return
        try:
            self._destinations.require(address)
        except EgressRefused as refusal:
            raise DeclarationRefused(name, refusal.detail) from None

    def _require_scopes(self, says: Metadata) -> None:
        """Requests would be answered without a scope that is not offered; only who acts for itself has scopes of its own."""
        if "client_credentials" in says.grant_types:
            return
        for scope in sorted(says.scopes.difference(self._scopes)):
            near = get_close_matches(scope.lower(), self._scopes, n=1)
            known = f"{near[0]} is meant, perhaps" if near else f"one of {', '.join(self._scopes)} is"
            raise DeclarationRefused("scope", f"{scope} is not offered here; {known}")

    def _require_agency(self, code: str | None) -> None:
        if code is None:
            return
        verdict = self._country.agency_code.check(code, on=self._clock.now().astimezone(self._country.zone).date())
        if not verdict.policy_valid:
            reason = self._country.reasons.get(verdict.reason_code, verdict.reason_code)
            raise DeclarationRefused("agency_code", f"is no code of an agency in {self._country.code}: it {reason}")

    def _import_one(self, transaction: Transaction, declaration: Declaration, row: Row | None, origin: Origin) -> Change:
        says, now = declaration.says, self._clock.now()
        secret, new_secret = _secret_of(declaration, None if row is None else row.secret_digest)
        if row is None:
            client = new_id(now)
            store.add_client(transaction, client, declaration, secret_digest=secret, now=now)
            event = ClientAdded(origin, says.client_id, says.profile, says.method)
            record(transaction, event, now, {"client_id": client})
            others = store.others_in_sector(transaction, says.sector, client)
            return Change(says.client_id, "added", tuple(sorted(declaration.metadata)), new_secret, others)
        if row.sector != says.sector:
            reason = f"{says.client_id} is known in {row.sector}; another sector would give everybody another sub"
            raise DeclarationRefused("sector", reason)
        fields = _differences(row, declaration, secret)
        if not fields:
            return Change(says.client_id, "unchanged")
        store.change_client(transaction, row.id, declaration, secret_digest=secret, now=now)
        record(transaction, ClientChanged(origin, says.client_id, frozenset(fields)), now, {"client_id": row.id})
        return Change(says.client_id, "changed", fields, new_secret)


def _get(transaction: Transaction, client_id: str) -> Row:
    row = store.lock_clients(transaction, [client_id]).get(client_id)
    if row is None:
        raise ClientUnknown(client_id)
    return row


def _with_keys(
    declarations: Sequence[Mapping[str, object]], jwks: Mapping[str, object] | None, known: Mapping[str, object]
) -> list[Mapping[str, object]]:
    """Return the declarations, those that need keys and bring none with `jwks`, or with the keys they are `known` by."""
    lacking = [each for each in declarations if each.get("token_endpoint_auth_method") == "private_key_jwt" and "jwks" not in each]
    if jwks is not None and len(lacking) != 1:
        reason = f"--jwks gives keys to the one client that uses private_key_jwt without jwks; there are {len(lacking)}"
        raise DeclarationRefused("jwks", reason)
    completed = []
    for each in declarations:
        keys = (known.get(str(each.get("client_id"))) if jwks is None else jwks) if any(each is lack for lack in lacking) else None
        completed.append(each if keys is None else {**each, "jwks": keys})
    return completed


def _secret_of(declaration: Declaration, present: bytes | None) -> tuple[bytes | None, str | None]:
    """Return the digest to store, and the secret if one was made now."""
    if declaration.says.method not in SECRET_METHODS:
        return None, None
    if declaration.secret is not None:
        return digest(declaration.secret), None
    if present is not None:
        return present, None
    made = new_bearer(SECRET_PREFIX)
    return digest(made), made


def _differences(row: Row, declaration: Declaration, secret: bytes | None) -> tuple[str, ...]:
    old, new = row.metadata, declaration.metadata
    fields = {name for name in {*old, *new} if name not in old or name not in new or old[name] != new[name]}
    if row.secret_digest != secret:
        fields.add("client_secret")
    if row.expires_at != declaration.says.legacy_until:
        fields.add("legacy_until")
    return tuple(sorted(fields))
