"""Declarations of clients, and what the database holds of them."""

from __future__ import annotations

import json
from typing import Any

from idp.audit.model import Origin
from idp.storage.postgres import Database

BY = Origin.operated("registrar")


def portal(client_id: str, **changed: Any) -> dict[str, Any]:
    """Return a declaration as a portal team writes it; `changed` are to its fields, None leaves one out."""
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
    """Return the one row that a statement finds."""
    with database.transaction() as transaction:
        row = transaction.one(statement)
    assert row is not None
    return row


def events(database: Database, client_id: str) -> list[dict[str, Any]]:
    """Return the bodies of what is recorded of a client, in their order."""
    with database.transaction() as transaction:
        rows = transaction.all("SELECT body FROM audit_event ORDER BY at, id")
    return [body for body in (json.loads(row.body) for row in rows) if body.get("client") == client_id]
