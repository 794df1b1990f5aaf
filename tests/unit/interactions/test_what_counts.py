"""What the dispatcher is given: what a session and its interaction prove, what could still be proved, what beginning anew undoes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from idp.assurance.levels import LevelClass
from idp.grants.model import Consent, Standing
from idp.interactions.model import AddFactor, Asked, Enrol, Issue, LogIn, Possible, Proved, next_step
from idp.interactions.service import Interaction, proved_in

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
ACCOUNT, CONSENT, ID = UUID(int=1), Consent(UUID(int=2), 1, frozenset({"openid"}), frozenset({"name"})), UUID(int=3)
IT = Interaction("it", "browser", "portal", {}, NOW.timestamp())


def standing(consent: Consent | None = CONSENT, ial: int | None = 2) -> Standing:
    return Standing(ID, 1, ACCOUNT, ID, {"password": NOW}, NOW + timedelta(hours=1), NOW, "vi", ial, consent, "anna", None)


@pytest.mark.parametrize("held", [{"password", "otp"}, {"password", "rc"}, {"password", "otp", "rc"}])
def test_whoever_has_a_second_factor_cannot_set_up_another_instead_of_proving_it(held: set[str]) -> None:
    """Law 3. What a stranger with the password could set up must not count for its owner."""
    assert Possible.of(frozenset(held)) == Possible(frozenset(held), frozenset())
    proved = Proved(signed_in=True, proofs={"password": NOW}, ial=2)
    step = next_step(Asked(LevelClass(0, 2), NOW), proved, Possible.of(frozenset(held)))
    assert step == AddFactor(frozenset(held - {"password"}))


def test_whoever_has_none_may_set_one_up() -> None:
    proved = Proved(signed_in=True, proofs={"password": NOW}, ial=2)
    assert next_step(Asked(LevelClass(0, 2), NOW), proved, Possible.of(frozenset({"password"}))) == Enrol(frozenset({"otp"}))


def test_beginning_anew_as_somebody_else_undoes_what_was_proved_before() -> None:
    asked = Asked(LevelClass(0, 1), NOW - timedelta(minutes=5))
    before = Proved(signed_in=True, proofs={"password": NOW - timedelta(minutes=1)}, ial=0)
    after = Proved(signed_in=True, proofs={"password": NOW + timedelta(minutes=1)}, ial=0)
    assert isinstance(next_step(asked, before, Possible()), Issue)
    assert next_step(asked.anew(NOW), before, Possible()) == LogIn()
    assert isinstance(next_step(asked.anew(NOW), after, Possible()), Issue)


def test_without_a_session_nothing_is_proved() -> None:
    assert proved_in(None, None) == proved_in(None, IT) == Proved()


def test_a_session_proves_what_stands_in_it() -> None:
    assert proved_in(standing(), None) == Proved(
        signed_in=True, proofs={"password": NOW}, ial=2, sub="anna", scopes=frozenset({"openid"}), claims=frozenset({"name"})
    )
    assert proved_in(standing(consent=None, ial=None), None) == Proved(signed_in=True, proofs={"password": NOW}, sub="anna")


def test_an_account_is_chosen_in_the_interaction_and_no_other_is() -> None:
    def selected(**settled: object) -> bool:
        return proved_in(standing(), Interaction("it", "browser", "portal", {}, 0.0, **settled)).selected  # type: ignore[arg-type]  # by name, as the case has it

    assert not selected()
    assert selected(selected=str(ACCOUNT))
    assert not selected(selected=str(UUID(int=9)))
    assert selected(select_any=True)


def test_consent_that_was_given_here_and_withdrawn_meanwhile_is_none() -> None:
    agreed = Interaction("it", "browser", "portal", {}, 0.0, consented=str(ACCOUNT))
    assert proved_in(standing(), agreed).consented
    assert not proved_in(standing(consent=None), agreed).consented
    assert not proved_in(standing(), IT).consented
    assert not proved_in(standing(), replace(agreed, consented=str(UUID(int=9)))).consented
