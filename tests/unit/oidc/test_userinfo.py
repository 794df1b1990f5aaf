"""Userinfo (OIDC Core §5.3): the scopes of the token, what was asked for by name, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from idp.kernel.sealing import Sealer
from idp.oidc.errors import BearerError
from idp.oidc.userinfo import disclosed

NOBODY = UUID(int=0)


@dataclass
class Row:
    scopes: list[str]
    claims: dict[str, list[str]] | None = None
    sub: str = "anna"
    holder_id: UUID = NOBODY
    ial: int = 2
    full_name: str = "Nguyễn Thị Hoa"
    birth_date: date = date(1990, 5, 1)
    sex: str = "female"
    nationality: str = "VN"
    locale: str = "vi"
    person_type: str = "citizen"
    updated_at: datetime = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
    email_sealed: bytes | None = None
    phone_sealed: bytes | None = None


def test_a_scope_discloses_its_claims_and_the_level_goes_with_it(sealer: Sealer) -> None:
    assert disclosed(Row(["openid"]), sealer, "Asia/Ho_Chi_Minh") == {"sub": "anna", "ial": 2}
    profile = disclosed(Row(["openid", "profile"]), sealer, "Asia/Ho_Chi_Minh")
    assert set(profile) == {"sub", "ial", "name", "birthdate", "gender", "locale", "zoneinfo", "updated_at"}
    assert profile["birthdate"] == "1990-05-01"


def test_a_claim_that_was_asked_for_by_name_is_disclosed_without_its_scope(sealer: Sealer) -> None:
    """OIDC Core §5.5: what is asked for in an ID token is not said here."""
    asked = {"userinfo": ["nationality"], "id_token": ["name"]}
    assert disclosed(Row(["openid"], asked), sealer, "Asia/Ho_Chi_Minh") == {"sub": "anna", "ial": 2, "nationality": "VN"}


def test_what_is_not_known_is_left_out(sealer: Sealer) -> None:
    """OIDC Core §5.3.2: neither null nor empty."""
    assert disclosed(Row(["openid", "email", "phone"]), sealer, "Asia/Ho_Chi_Minh") == {"sub": "anna", "ial": 2}


def test_a_token_that_is_not_good_or_not_for_this_discloses_nothing(sealer: Sealer) -> None:
    """RFC 6750 §3.1."""
    for row, error, status in ((None, "invalid_token", 401), (Row(["profile"]), "insufficient_scope", 403)):
        with pytest.raises(BearerError) as refusal:
            disclosed(row, sealer, "Asia/Ho_Chi_Minh")
        assert (refusal.value.error, refusal.value.status) == (error, status)
