"""Table `client`. Liveness is read by other rooms through the view `client_alive`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from idp.clients.declaration import read_metadata
from idp.clients.model import Client, Method, Profile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Literal
    from uuid import UUID

    from idp.clients.declaration import Declaration
    from idp.storage.postgres import Row, Transaction

KIND: Final = "clients"
"""The kind under which changes of clients are stamped."""

_COLUMNS: Final = """
    id, client_id, profile, sector, metadata, secret_digest, updated_at, nullif(expires_at, 'infinity') AS expires_at,
    disabled_at, disabled_reason"""

_ALL: Final = f"SELECT {_COLUMNS} FROM client ORDER BY client_id"

_LOCK: Final = f"SELECT {_COLUMNS} FROM client WHERE client_id = ANY(%(client_ids)s) ORDER BY id FOR NO KEY UPDATE"

_ADD: Final = """
    INSERT INTO client (id, client_id, profile, sector, metadata, secret_digest, created_at, updated_at, expires_at)
    VALUES (%(id)s, %(client_id)s, %(profile)s, %(sector)s, %(metadata)s::jsonb, %(secret_digest)s, %(now)s, %(now)s,
            coalesce(%(expires_at)s::timestamptz, 'infinity'))"""

_OTHERS_IN_SECTOR: Final = "SELECT client_id FROM client WHERE sector = %(sector)s AND id <> %(id)s ORDER BY client_id"

_CHANGE: Final = """
    UPDATE client
    SET profile = %(profile)s, metadata = %(metadata)s::jsonb, secret_digest = %(secret_digest)s, updated_at = %(now)s,
        expires_at = coalesce(%(expires_at)s::timestamptz, 'infinity')
    WHERE id = %(id)s"""

_REPLACE_DIGEST: Final = "UPDATE client SET secret_digest = %(secret_digest)s, updated_at = %(now)s WHERE id = %(id)s"

# The point from which it is disabled is that of the first time: what was issued while that was under way stays forgotten.
_DISABLE: Final = """
    UPDATE client
    SET disabled_at = coalesce(disabled_at, %(now)s), disabled_reason = %(reason)s, updated_at = %(now)s,
        not_before = CASE WHEN %(end_grants)s THEN %(now)s ELSE not_before END
    WHERE id = %(id)s"""

# What was issued while it was being disabled is forgotten with what came before.
_ENABLE: Final = """
    UPDATE client
    SET disabled_at = NULL, disabled_reason = NULL, updated_at = %(now)s,
        not_before = CASE WHEN not_before >= disabled_at THEN %(now)s ELSE not_before END
    WHERE id = %(id)s"""


def read_client(row: Row) -> Client:
    """Return a row as the client it stands for, everything parsed."""
    says = read_metadata(row.metadata)
    return Client(
        id=row.id,
        client_id=row.client_id,
        profile=cast("Profile", row.profile),
        names=says.names,
        application_type=cast('Literal["web", "native"]', says.application_type),
        redirect_uris=frozenset(says.redirect_uris),
        origin=says.addresses[0].origin if says.addresses else "",
        post_logout_redirect_uris=frozenset(says.post_logout_redirect_uris),
        backchannel_logout_uri=says.backchannel_logout_uri,
        token_endpoint_auth_method=cast("Method", says.method),
        token_endpoint_auth_signing_alg=says.assertion_alg,
        secret_digest=row.secret_digest,
        keys=says.keys,
        sector=row.sector,
        scopes=says.scopes,
        grant_types=says.grant_types,
        response_modes=says.response_modes,
        minimum=says.minimum,
        default_acr_values=says.default_acr_values,
        default_max_age=says.default_max_age,
        id_token_alg=says.id_token_alg,
        purposes=says.purposes,
        may_introspect=says.may_introspect,
        expires_at=row.expires_at,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        updated_at=row.updated_at,
        metadata=row.metadata,
    )


def all_clients(transaction: Transaction) -> list[Row]:
    """Return every client, by its `client_id`."""
    return transaction.all(_ALL)


def lock_clients(transaction: Transaction, client_ids: Sequence[str]) -> dict[str, Row]:
    """Lock and return the clients of these ids that there are."""
    return {row.client_id: row for row in transaction.all(_LOCK, {"client_ids": list(client_ids)})}


def others_in_sector(transaction: Transaction, sector: str, client: UUID) -> tuple[str, ...]:
    """Return the `client_id` of every other client of a sector."""
    return tuple(row.client_id for row in transaction.all(_OTHERS_IN_SECTOR, {"sector": sector, "id": client}))


def add_client(transaction: Transaction, client: UUID, declaration: Declaration, *, secret_digest: bytes | None, now: datetime) -> None:
    """Store a new client."""
    says = declaration.says
    transaction.run(
        _ADD,
        {"id": client, "client_id": says.client_id, "sector": says.sector, **_changing(declaration, secret_digest, now)},
    )


def change_client(transaction: Transaction, client: UUID, declaration: Declaration, *, secret_digest: bytes | None, now: datetime) -> None:
    """Replace what a client declares; its sector stays."""
    transaction.run(_CHANGE, {"id": client, **_changing(declaration, secret_digest, now)})


def set_secret(transaction: Transaction, client: UUID, secret_digest: bytes, now: datetime) -> None:
    """Replace the digest of a client's secret."""
    transaction.run(_REPLACE_DIGEST, {"id": client, "secret_digest": secret_digest, "now": now})


def disable_client(transaction: Transaction, client: UUID, reason: str, *, end_grants: bool, now: datetime) -> None:
    """Mark a client disabled; with `end_grants`, what was issued before never counts again."""
    transaction.run(_DISABLE, {"id": client, "reason": reason, "end_grants": end_grants, "now": now})


def enable_client(transaction: Transaction, client: UUID, now: datetime) -> None:
    """Take the mark away."""
    transaction.run(_ENABLE, {"id": client, "now": now})


def _changing(declaration: Declaration, secret_digest: bytes | None, now: datetime) -> Mapping[str, object]:
    return {
        "profile": declaration.says.profile,
        "metadata": json.dumps(dict(declaration.metadata), ensure_ascii=False, sort_keys=True),
        "secret_digest": secret_digest,
        "expires_at": declaration.says.legacy_until,
        "now": now,
    }
