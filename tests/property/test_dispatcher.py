"""What comes next is decided in one place; these are the promises it keeps for every request, session and person (law 3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from idp.assurance.levels import LevelClass
from idp.interactions.model import (
    AddFactor,
    AskConsent,
    Asked,
    Enrol,
    ExplainLevel,
    Issue,
    LogIn,
    Possible,
    Proved,
    Refuse,
    SelectAccount,
    aal_of,
    needs_more_factors,
    next_step,
)

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
METHODS = ("password", "otp", "rc")
SCOPES = ("openid", "profile", "email", "offline_access")

moments = st.integers(min_value=-3600, max_value=3600).map(lambda seconds: NOW + timedelta(seconds=seconds))
classes = st.builds(LevelClass, st.integers(0, 2), st.integers(1, 4))
prompts = st.one_of(st.just(frozenset({"none"})), st.frozensets(st.sampled_from(["login", "consent", "select_account"])))
ASKED = st.builds(
    Asked,
    minimum=classes,
    begun_at=st.just(NOW),
    classes=st.lists(classes, max_size=3).map(tuple),
    essential=st.booleans(),
    prompts=prompts,
    max_age=st.one_of(st.none(), st.integers(0, 7200).map(lambda seconds: timedelta(seconds=seconds))),
    scopes=st.frozensets(st.sampled_from(SCOPES)),
    claims=st.frozensets(st.sampled_from(["name", "email"])),
    sub=st.one_of(st.none(), st.sampled_from(["anna", "binh"])),
)
PROVED = st.builds(
    Proved,
    signed_in=st.booleans(),
    proofs=st.dictionaries(st.sampled_from(METHODS), moments),
    ial=st.integers(0, 2),
    sub=st.one_of(st.none(), st.sampled_from(["anna", "binh"])),
    scopes=st.frozensets(st.sampled_from(SCOPES)),
    claims=st.frozensets(st.sampled_from(["name", "email"])),
    selected=st.booleans(),
    consented=st.booleans(),
)
POSSIBLE = st.builds(Possible, st.frozensets(st.sampled_from(METHODS)), st.frozensets(st.sampled_from(["otp"])))


@given(asked=ASKED, proved=PROVED, possible=POSSIBLE)
def test_prompt_none_never_shows_a_page(asked: Asked, proved: Proved, possible: Possible) -> None:
    """OIDC Core §3.1.2.1: with `prompt=none` the answer is immediate, either way."""
    silent = replace(asked, prompts=frozenset({"none"}))
    assert isinstance(next_step(silent, proved, possible), Issue | Refuse)


@given(asked=ASKED, proved=PROVED, possible=POSSIBLE)
def test_nothing_is_issued_without_every_proof_that_was_required(asked: Asked, proved: Proved, possible: Possible) -> None:
    """Law 3: missing or failing input never passes a step."""
    step = next_step(asked, proved, possible)
    if not isinstance(step, Issue):
        return
    fresh = {method: at for method, at in proved.proofs.items() if at >= asked.counts_from}
    assert proved.signed_in
    assert "password" in fresh
    assert asked.minimum.is_met_by(step.ial, step.aal)
    assert asked.sub is None or asked.sub == proved.sub
    assert asked.scopes <= proved.scopes
    assert asked.claims <= proved.claims
    assert "select_account" not in asked.prompts or proved.selected
    assert "consent" not in asked.prompts or proved.consented
    if asked.essential and asked.classes:
        assert any(wanted.is_met_by(step.ial, step.aal) for wanted in asked.classes)


@given(asked=ASKED, proved=PROVED, possible=POSSIBLE)
def test_a_level_is_never_overstated(asked: Asked, proved: Proved, possible: Possible) -> None:
    """Law 4: a token never says more than was proved, at registration or at this sign-in."""
    step = next_step(asked, proved, possible)
    if not isinstance(step, Issue):
        return
    fresh = {method: at for method, at in proved.proofs.items() if at >= asked.counts_from}
    assert step.ial == proved.ial
    assert step.aal == aal_of(frozenset(fresh))
    assert step.aal <= len({"knowledge" if method == "password" else "possession" for method in fresh})
    said = LevelClass.find(step.acr)
    assert said is not None
    assert said.is_met_by(step.ial, step.aal)
    assert step.auth_time == min(fresh.values())


@given(asked=ASKED, proved=PROVED, possible=POSSIBLE, weaker=st.lists(classes, max_size=3))
def test_a_registered_minimum_cannot_be_lowered_from_the_browser(
    asked: Asked, proved: Proved, possible: Possible, weaker: list[LevelClass]
) -> None:
    """Whatever `acr_values`, `claims` or `prompt` say, the minimum holds."""
    changed = replace(asked, classes=tuple(weaker), essential=False)
    step = next_step(changed, proved, possible)
    if isinstance(step, Issue):
        assert asked.minimum.is_met_by(step.ial, step.aal)


@given(asked=ASKED, proved=PROVED, possible=POSSIBLE)
def test_a_page_only_asks_for_what_leads_further(asked: Asked, proved: Proved, possible: Possible) -> None:
    """No needless prompt: a factor is asked for only if it was not proved, and adds to the level."""
    step = next_step(asked, proved, possible)
    fresh = frozenset(method for method, at in proved.proofs.items() if at >= asked.counts_from)
    match step:
        case AddFactor(methods):
            assert methods <= possible.methods - fresh
            assert all(aal_of(fresh | {method}) > aal_of(fresh) for method in methods)
        case Enrol(methods):
            assert methods <= possible.enrollable
            assert not possible.methods - fresh or aal_of(fresh | possible.methods) == aal_of(fresh)
        case AskConsent(scopes, claims):
            assert scopes <= asked.scopes
            assert claims <= asked.claims
        case ExplainLevel(needed):
            assert not needed.is_met_by(proved.ial, aal_of(fresh))
        case LogIn() | SelectAccount() | Refuse() | Issue():
            pass


@given(asked=ASKED, proved=PROVED, possible=POSSIBLE)
def test_answering_every_page_truthfully_ends(asked: Asked, proved: Proved, possible: Possible) -> None:
    """A person who can do what is asked is never sent in circles."""
    asked = replace(asked, begun_at=NOW)
    for turn in range(8):
        step = next_step(asked, proved, possible)
        now = NOW + timedelta(hours=1, seconds=turn + 1)
        match step:
            case Issue() | Refuse() | ExplainLevel():
                return
            case LogIn():
                proved = replace(proved, signed_in=True, proofs={**proved.proofs, "password": now}, sub=asked.sub or proved.sub)
            case SelectAccount():
                proved = replace(proved, selected=True)
            case AddFactor(methods) | Enrol(methods):
                proved = replace(proved, proofs={**proved.proofs, min(methods): now})
            case AskConsent(scopes, claims):
                proved = replace(proved, scopes=proved.scopes | scopes, claims=proved.claims | claims, consented=True)
    message = f"still asked for {step}"
    raise AssertionError(message)


@given(asked=ASKED, proved=PROVED, possible=POSSIBLE)
def test_what_could_be_proved_is_only_asked_of_the_database_when_it_matters(
    asked: Asked, proved: Proved, possible: Possible
) -> None:
    """The fast path leaves `Possible` empty: that has to change nothing when no higher level is wanted."""
    if not needs_more_factors(asked, proved):
        assert next_step(asked, proved, possible) == next_step(asked, proved, Possible())
