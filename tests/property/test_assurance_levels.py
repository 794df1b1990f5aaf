"""No sequence of checks, strikes and passing time yields a level that its evidence does not carry (docs/assurance.md A1-A5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from idp.accounts.model import PersonType
from idp.assurance.model import Assessment, Evidence, level_of
from idp.assurance.policy import load_policy

POLICY = load_policy("vn-2026-1")
START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = st.sampled_from(sorted(POLICY.kinds))
LEVEL_1_KINDS = {
    PersonType.CITIZEN: {"register_match"},
    PersonType.IDENTITY_CERTIFICATE: {"register_match"},
    PersonType.FOREIGNER: {"passport_match", "residence_card_match"},
}
LEVEL_2_KINDS = {"counter_identity_check", "biometric_match"}
PHONES = {"phone_owned", "representative_phone_owned"}

MOMENTS = st.integers(-5_000, 5_000).map(lambda days: START + timedelta(days=days))
BIRTH_DATES = st.one_of(st.dates(date(2009, 1, 1), date(2027, 1, 1)), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
PERSON_TYPES = st.sampled_from(PersonType)


@st.composite
def bodies_of_evidence(draw: st.DrawFn, *, may_be_struck: bool = True) -> list[Evidence]:
    """Return evidence of all kinds and states; often enough of it that levels are reached."""
    wanted = draw(st.lists(KINDS, max_size=8)) + draw(st.sampled_from([[], sorted(POLICY.kinds)]))
    struck = st.one_of(st.none(), st.none(), st.none(), MOMENTS) if may_be_struck else st.none()
    return [
        Evidence(
            id=UUID(int=n),
            kind=kind,
            checked_by="officer",
            how="synthetic",
            checked_at=draw(st.one_of(st.just(START - timedelta(days=6_000)), MOMENTS)),
            expires_at=draw(st.one_of(st.none(), MOMENTS)),
            struck_at=draw(struck),
        )
        for n, kind in enumerate(wanted)
    ]


def assess(items: list[Evidence], person_type: PersonType, birth_date: date, now: datetime) -> Assessment:
    return level_of(items, POLICY, person_type=person_type, birth_date=birth_date, now=now)


def require_carried(
    assessed: Assessment, items: list[Evidence], person_type: PersonType, birth_date: date, now: datetime
) -> None:
    """Check a level against its reasons by another way than the model's: by sets of kinds."""
    reasons = [item for item in items if item.id in assessed.because]
    assert len(reasons) == len(assessed.because)
    for item in reasons:
        assert item.struck_at is None
        assert item.checked_at <= now
        assert item.expires_at is None or now < item.expires_at
    kinds = {item.kind for item in reasons}
    if assessed.ial == 0:
        assert not reasons
    if assessed.ial >= 1:
        assert kinds >= LEVEL_1_KINDS[person_type]
        assert kinds & PHONES
    if assessed.ial == 2:
        assert kinds >= LEVEL_2_KINDS
        assert person_type is not PersonType.IDENTITY_CERTIFICATE
        assert (now + timedelta(hours=7)).date() >= date(birth_date.year + 6, birth_date.month, min(birth_date.day, 28))
    assert assessed.policy_version == "vn-2026-1"


@given(items=bodies_of_evidence(), person_type=PERSON_TYPES, birth_date=BIRTH_DATES, now=MOMENTS)
def test_a_level_rests_on_live_evidence_alone(
    items: list[Evidence], person_type: PersonType, birth_date: date, now: datetime
) -> None:
    """A2, A3: each reason is there, not struck, not expired, and of the kinds that the law asks for."""
    require_carried(assess(items, person_type, birth_date, now), items, person_type, birth_date, now)


@given(items=bodies_of_evidence(), more=bodies_of_evidence(), person_type=PERSON_TYPES, birth_date=BIRTH_DATES, now=MOMENTS)
def test_adding_evidence_never_lowers_and_striking_never_raises(
    items: list[Evidence], more: list[Evidence], person_type: PersonType, birth_date: date, now: datetime
) -> None:
    """A3: in both directions, whatever is added or struck."""
    added = [replace(item, id=UUID(int=1_000 + item.id.int)) for item in more]
    before = assess(items, person_type, birth_date, now)
    after = assess(items + added, person_type, birth_date, now)
    struck = [replace(item, struck_at=now) if item in added else item for item in items + added]

    assert before.ial <= after.ial
    assert assess(struck, person_type, birth_date, now) == before


@given(
    items=bodies_of_evidence(),
    person_type=PERSON_TYPES,
    birth_date=BIRTH_DATES,
    now=MOMENTS,
    part=st.floats(0, 1, exclude_max=True),
)
def test_until_is_the_moment_at_which_the_answer_changes(
    items: list[Evidence], person_type: PersonType, birth_date: date, now: datetime, part: float
) -> None:
    """A4: the same answer at every instant before it, another one at it."""
    assessed = assess(items, person_type, birth_date, now)

    if assessed.until is None:
        later = assess(items, person_type, birth_date, now + part * timedelta(days=60_000))
        assert later == assessed
        return
    assert assessed.until > now
    between = min(now + part * (assessed.until - now), assessed.until - timedelta(microseconds=1))
    assert assess(items, person_type, birth_date, between) == assessed
    then = assess(items, person_type, birth_date, assessed.until)
    assert (then.ial, then.because) != (assessed.ial, assessed.because)


@given(data=st.data(), person_type=PERSON_TYPES, birth_date=BIRTH_DATES, now=MOMENTS)
def test_the_order_of_evidence_does_not_matter(
    data: st.DataObject, person_type: PersonType, birth_date: date, now: datetime
) -> None:
    """A1: a database promises no order."""
    items = data.draw(bodies_of_evidence())
    shuffled = data.draw(st.permutations(items))

    assert assess(items, person_type, birth_date, now) == assess(shuffled, person_type, birth_date, now)


class LifeOfAnAccount(RuleBasedStateMachine):
    """Checks, strikes and time in any order, over one person's years."""

    recorded: Bundle[Any] = Bundle("recorded")

    def __init__(self) -> None:
        """Begin with a child about to turn six, of whom nothing was checked."""
        super().__init__()
        self.now = START
        self.birth_date = date(2020, 3, 1)
        self.items: dict[UUID, Evidence] = {}
        self.kept = self.level()

    def level(self) -> Assessment:
        """Return the level now."""
        return assess(list(self.items.values()), PersonType.CITIZEN, self.birth_date, self.now)

    @rule(target=recorded, kind=KINDS, lasts_for=st.one_of(st.none(), st.integers(0, 2_000)))
    def check(self, kind: str, lasts_for: int | None) -> UUID:
        """Somebody checks something: the level does not fall."""
        item = Evidence(
            id=UUID(int=len(self.items)),
            kind=kind,
            checked_by="officer",
            how="synthetic",
            checked_at=self.now,
            expires_at=None if lasts_for is None else self.now + timedelta(days=lasts_for),
            struck_at=None,
        )
        before = self.level().ial
        self.items[item.id] = item
        self.kept = self.level()
        assert self.kept.ial >= before
        return item.id

    @rule(item_id=consumes(recorded))
    def strike(self, item_id: UUID) -> None:
        """Somebody strikes it: the level does not rise, and what is struck is no reason any more."""
        before = self.level().ial
        self.items[item_id] = replace(self.items[item_id], struck_at=self.now)
        self.kept = self.level()
        assert self.kept.ial <= before
        assert item_id not in self.kept.because

    @rule(days=st.integers(1, 1_500))
    def pass_time(self, days: int) -> None:
        """Time passes; whoever kept the last answer computes anew only past its `until`."""
        self.now += timedelta(days=days)
        if self.kept.until is not None and self.kept.until <= self.now:
            self.kept = self.level()

    @invariant()
    def the_kept_answer_is_the_true_one(self) -> None:
        """A4: an answer kept until its `until` is never stale, and always carried."""
        assert self.kept == self.level()
        require_carried(self.kept, list(self.items.values()), PersonType.CITIZEN, self.birth_date, self.now)


LifeOfAnAccount.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLifeOfAnAccount = LifeOfAnAccount.TestCase
