"""What carries which level under `vn-2026-1` (docs/assurance.md A1-A7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import pytest

from idp.accounts.model import PersonType
from idp.assurance.model import Assessment, Evidence, UnknownEvidenceKind, level_of
from idp.assurance.policy import load_policy

POLICY = load_policy("vn-2026-1")
NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
CARD_ENDS = datetime(2031, 5, 16, 17, 0, tzinfo=UTC)
ADULT = date(1985, 3, 4)


def evidence(kind: str, n: int = 1, *, checked_at: datetime = NOW, expires_at: datetime | None = None) -> Evidence:
    return Evidence(
        id=UUID(int=n),
        kind=kind,
        checked_by="register",
        how="synthetic",
        checked_at=checked_at,
        expires_at=expires_at,
        struck_at=None,
    )


LEVEL_1 = [evidence("register_match", 1, expires_at=CARD_ENDS), evidence("phone_owned", 2)]
LEVEL_2 = [
    *LEVEL_1,
    evidence("counter_identity_check", 3),
    evidence("card_chip_read", 4, expires_at=CARD_ENDS),
    evidence("biometric_match", 5),
]


def level(
    items: list[Evidence],
    *,
    person_type: PersonType = PersonType.CITIZEN,
    birth_date: date | None = ADULT,
    now: datetime = NOW,
) -> Assessment:
    return level_of(items, POLICY, person_type=person_type, birth_date=birth_date, now=now)


def test_nothing_checked_is_self_asserted() -> None:
    """A3: with no level reached the level is 0, and the policy is still named."""
    assert level([]) == Assessment(0, because=(), until=None, policy_version="vn-2026-1")


def test_a_register_match_and_an_own_phone_carry_level_1() -> None:
    """Decree 69/2024 Art. 10: personal number and declared data matched, own registered mobile number."""
    assert level(LEVEL_1) == Assessment(1, because=(UUID(int=1), UUID(int=2)), until=CARD_ENDS, policy_version="vn-2026-1")


@pytest.mark.parametrize("without", ["register_match", "phone_owned"])
def test_half_of_level_1_carries_nothing(without: str) -> None:
    """A3: every requirement."""
    assert level([item for item in LEVEL_1 if item.kind != without]).ial == 0


def test_a_counter_check_with_card_face_and_fingerprints_carries_level_2() -> None:
    """Decree 69/2024 Art. 10: in person, with the card, matched."""
    assessed = level(LEVEL_2)

    assert assessed.ial == 2
    assert assessed.because == tuple(UUID(int=n) for n in (1, 2, 3, 4, 5))


@pytest.mark.parametrize("without", ["counter_identity_check", "card_chip_read", "biometric_match"])
def test_level_2_with_one_check_missing_is_level_1(without: str) -> None:
    """A3: the highest level whose every requirement is met."""
    assert level([item for item in LEVEL_2 if item.kind != without]).ial == 1


def test_level_2_checks_without_a_register_match_carry_nothing() -> None:
    """A6: level 2 holds level 1."""
    assert level([item for item in LEVEL_2 if item.kind != "register_match"]).ial == 0


def test_struck_evidence_carries_nothing_even_where_the_strike_is_dated_ahead() -> None:
    """A2: another node's clock may be ahead of ours."""
    struck = [replace(item, struck_at=NOW + timedelta(seconds=2)) for item in LEVEL_1]

    assert level(struck) == Assessment(0, because=(), until=None, policy_version="vn-2026-1")


def test_a_level_ends_with_the_card_by_itself() -> None:
    """A4, A9: live until just before, dead at the instant."""
    just_before = CARD_ENDS - timedelta(microseconds=1)

    assert level(LEVEL_2, now=just_before).ial == 2
    assert level(LEVEL_2, now=CARD_ENDS).ial == 0


def test_evidence_checked_by_a_clock_ahead_begins_when_ours_gets_there() -> None:
    """A4: `until` is also the moment at which a level begins."""
    ahead = NOW + timedelta(seconds=1)
    items = [replace(item, checked_at=ahead) for item in LEVEL_1]

    assert level(items) == Assessment(0, because=(), until=ahead, policy_version="vn-2026-1")
    assert level(items, now=ahead).ial == 1


def test_of_two_that_would_do_the_one_that_lasts_is_named() -> None:
    """A3: so that `until` is when the answer changes, not when one of two supports goes."""
    brief = evidence("phone_owned", 8, expires_at=NOW + timedelta(days=1))
    lasting = evidence("phone_owned", 9, expires_at=NOW + timedelta(days=900))

    assessed = level([LEVEL_1[0], brief, lasting])

    assert assessed.because == (UUID(int=1), UUID(int=9))
    assert assessed.until == NOW + timedelta(days=900)


def test_a_small_child_has_level_1_on_request_and_never_level_2() -> None:
    """Decree 69/2024 Art. 7: below 6, level 1 only."""
    child = date(2021, 6, 2)
    phone = evidence("representative_phone_owned", 6)
    request = evidence("representative_request", 7)

    assert level([*LEVEL_2, phone], birth_date=child).ial == 0
    assert level([*LEVEL_2, phone, request], birth_date=child).ial == 1


def test_a_birthday_opens_level_2_at_midnight_where_the_person_lives() -> None:
    """A5: six years are full at 00:00 (+07:00) of 2 June 2027, which is 17:00 UTC the day before."""
    child = date(2021, 6, 2)
    items = [*LEVEL_2, evidence("representative_phone_owned", 6), evidence("representative_request", 7)]
    midnight = datetime(2027, 6, 1, 17, 0, tzinfo=UTC)

    assert level(items, birth_date=child).until == midnight
    assert level(items, birth_date=child, now=midnight - timedelta(microseconds=1)).ial == 1
    assert level(items, birth_date=child, now=midnight).ial == 2


def test_a_child_from_6_has_level_2_on_request_only() -> None:
    """Decree 69/2024 Art. 7: from 6 to below 14, level 2 on request."""
    child = date(2016, 6, 2)

    assert level(LEVEL_2, birth_date=child).ial == 1
    assert level([*LEVEL_2, evidence("representative_request", 7)], birth_date=child).ial == 2


def test_the_request_is_not_wanted_any_more_from_14() -> None:
    """A5: the level rises by itself at the birthday, and the answer before says when."""
    child = date(2013, 1, 1)

    assert level(LEVEL_2, birth_date=child).until == datetime(2026, 12, 31, 17, 0, tzinfo=UTC)
    assert level(LEVEL_2, birth_date=child, now=datetime(2026, 12, 31, 17, 0, tzinfo=UTC)).ial == 2


def test_who_was_born_on_29_february_completes_a_year_on_1_march() -> None:
    """A5: 2026 has no 29 February."""
    child = date(2012, 2, 29)

    assert level(LEVEL_2, birth_date=child, now=datetime(2026, 2, 28, 16, 59, tzinfo=UTC)).ial == 0
    items = [replace(item, checked_at=datetime(2025, 1, 1, tzinfo=UTC)) for item in LEVEL_2]
    assert level(items, birth_date=child, now=datetime(2026, 2, 28, 16, 59, tzinfo=UTC)).ial == 1
    assert level(items, birth_date=child, now=datetime(2026, 2, 28, 17, 0, tzinfo=UTC)).ial == 2


def test_a_foreigner_is_known_by_passport_and_residence_card() -> None:
    """Decree 69/2024 Art. 7: with a residence card; the level ends with it."""
    residence_ends = NOW + timedelta(days=365)
    items = [
        evidence("passport_match", 1, expires_at=CARD_ENDS),
        evidence("residence_card_match", 2, expires_at=residence_ends),
        evidence("phone_owned", 3),
    ]

    assert level(LEVEL_2, person_type=PersonType.FOREIGNER).ial == 0
    assert level(items, person_type=PersonType.FOREIGNER).ial == 1
    assert level(items, person_type=PersonType.FOREIGNER).until == residence_ends
    at_the_counter = [*items, evidence("counter_identity_check", 4), evidence("biometric_match", 5)]
    assert level(at_the_counter, person_type=PersonType.FOREIGNER).ial == 2
    assert level(at_the_counter, person_type=PersonType.FOREIGNER, birth_date=date(2022, 1, 1)).ial == 1


def test_a_holder_of_an_identity_certificate_has_level_1_at_most() -> None:
    """No clause opens level 2 to them."""
    assert level(LEVEL_2, person_type=PersonType.IDENTITY_CERTIFICATE).ial == 1


def test_without_a_birth_date_no_level_is_open() -> None:
    """A5: an age that is not known opens nothing."""
    assert level(LEVEL_2, birth_date=None) == Assessment(0, because=(), until=None, policy_version="vn-2026-1")


def test_a_birth_date_in_the_future_opens_nothing() -> None:
    """A5: nobody has reached an age before birth."""
    assert level(LEVEL_2, birth_date=date(2027, 1, 1)).ial == 0


def test_an_organization_is_no_type_of_person() -> None:
    """A7: there is no level to ask for."""
    with pytest.raises(ValueError, match="organization"):
        PersonType("organization")


def test_evidence_of_a_kind_the_policy_does_not_know_carries_nothing() -> None:
    """A8: recorded under another policy, it stays on record."""
    assert level([evidence("video_call", 1), *LEVEL_1]).because == (UUID(int=1), UUID(int=2))
    POLICY.require_kind("register_match")
    with pytest.raises(UnknownEvidenceKind) as refused:
        POLICY.require_kind("video_call")
    assert refused.value.code == "assurance.unknown_evidence_kind"


def test_an_instant_without_a_zone_is_refused_by_name() -> None:
    """A naive instant would fail later, in a comparison."""
    with pytest.raises(ValueError, match="expires_at has no zone"):
        evidence("phone_owned", expires_at=datetime(2027, 1, 1))  # noqa: DTZ001 - that is the fault


def test_instants_of_other_zones_are_the_same_instants() -> None:
    """A4: an instant is an instant."""
    elsewhere = timezone(timedelta(hours=-9))
    items = [replace(item, checked_at=item.checked_at.astimezone(elsewhere)) for item in LEVEL_1]

    assert level(items, now=NOW.astimezone(elsewhere)).ial == 1
