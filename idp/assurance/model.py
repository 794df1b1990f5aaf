"""Evidence, policy, and the identification level that follows from them: one pure function.

Owns the rules A1 to A7 of `docs/assurance.md`. Must not know where evidence is stored, who may add it, or which country a
policy is for. Nobody sets a level: people add or strike evidence, and the level is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, time, timezone
from typing import TYPE_CHECKING, Final

from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from uuid import UUID

    from idp.accounts.model import PersonType

SELF_ASSERTED: Final = 0
"""The level of somebody about whom nothing was checked."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class UnknownEvidenceKind(Refusal):
    """Evidence of a kind that the policy in force does not know was to be recorded."""

    code = "assurance.unknown_evidence_kind"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One checked fact about a person: what, who checked, how, when, until when.

    `expires_at` is when the fact ends by itself, that of the document it was read from (None: it does not).
    `struck_at` is when somebody took it out of force.

    Raises:
        ValueError: one of the instants has no zone.
    """

    id: UUID
    kind: str
    checked_by: str
    how: str
    checked_at: datetime
    expires_at: datetime | None
    struck_at: datetime | None

    def __post_init__(self) -> None:
        """Refuse instants without a zone here, where it says which one, not in a comparison later."""
        for name in ("checked_at", "expires_at", "struck_at"):
            instant = getattr(self, name)
            if instant is not None and instant.tzinfo is None:
                raise ValueError(f"{name} has no zone")

    def is_live(self, now: datetime) -> bool:
        """Say whether it carries anything at `now` (A2).

        Struck is dead whatever its instant says: another node's clock may be a second ahead, and a strike that
        waits for ours would leave a level standing that was taken away.
        """
        return self.struck_at is None and self.checked_at <= now < self.ends_at

    @property
    def ends_at(self) -> datetime:
        """When it ends by itself; the end of time for what does not."""
        return self.expires_at or _NEVER


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a level asks for: live evidence of one of these kinds, which are alternatives (A3)."""

    any_of: frozenset[str]

    def find_best(self, live: Iterable[Evidence]) -> Evidence | None:
        """Return the evidence that meets this and lasts longest, None when nothing does.

        Of two that last equally, the older check, then the smaller id: the same answer on every node.
        """
        fit = [item for item in live if item.kind in self.any_of]
        return min(fit, key=lambda item: (_NEVER - item.ends_at, item.checked_at, item.id), default=None)


@dataclass(frozen=True, slots=True)
class Level:
    """What one level asks of one type of person from the birthday `from_age` to the one `below_age` (None: for ever)."""

    ial: int
    person_type: PersonType
    from_age: int
    below_age: int | None
    requirements: tuple[Requirement, ...]
    clause: str

    def is_open_to(self, person_type: PersonType, birth_date: date, today: date) -> bool:
        """Say whether this is for such a person of that age (A5); `today` is the day in the policy's zone."""
        if person_type is not self.person_type or not _has_reached(birth_date, self.from_age, today):
            return False
        return self.below_age is None or not _has_reached(birth_date, self.below_age, today)

    def find_met(self, live: list[Evidence]) -> tuple[UUID, ...] | None:
        """Return the evidence that meets each requirement, in their order, None when one is not met (A3)."""
        found: dict[UUID, None] = {}
        for requirement in self.requirements:
            item = requirement.find_best(live)
            if item is None:
                return None
            found[item.id] = None
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Policy:
    """A versioned set of levels. Read from a file by `idp.assurance.policy`, which checks what is said here.

    `levels` of one person and level never overlap in age, and a higher level asks for all that the lower one asks.
    `kinds` is the evidence this policy knows, each with its meaning. `zone` is where birthdays begin.
    """

    version: str
    zone: timezone
    kinds: Mapping[str, str]
    levels: tuple[Level, ...]

    def levels_from_the_top(self) -> list[Level]:
        """Return the levels, the highest first."""
        return sorted(self.levels, key=lambda level: -level.ial)

    def require_kind(self, kind: str) -> None:
        """Let only evidence of a known kind be recorded (A8).

        Raises:
            UnknownEvidenceKind: this policy does not know it.
        """
        if kind not in self.kinds:
            raise UnknownEvidenceKind(f"policy {self.version} knows no evidence {kind!r}")

    def asks_for(self, kind: str, person_type: PersonType) -> bool:
        """Say whether a level of such persons, of whatever age, asks for evidence of this kind."""
        asked = (requirement for level in self.levels if level.person_type is person_type for requirement in level.requirements)
        return any(kind in requirement.any_of for requirement in asked)

    def birthdays(self, birth_date: date) -> Iterator[datetime]:
        """Yield the instants at which the age of this person opens or closes a level."""
        ages = {age for level in self.levels for age in (level.from_age, level.below_age) if age is not None}
        for age in ages:
            birthday = _birthday(birth_date, age)
            if birthday is not None:
                yield datetime.combine(birthday, time(), self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The identification level of a person, and why. Valid from when it was asked to just before `until` (A4).

    `because` names the evidence that carries it. At `until`, with the same evidence and policy, the level or what
    carries it is another; None: time alone changes nothing.
    """

    ial: int
    because: tuple[UUID, ...]
    until: datetime | None
    policy_version: str


def level_of(
    evidence: Iterable[Evidence],
    policy: Policy,
    *,
    person_type: PersonType,
    birth_date: date | None,
    now: datetime,
) -> Assessment:
    """Return the identification level that `evidence` carries at `now`, and why.

    The highest level of `policy` that is open to such a person and whose every requirement is met by live evidence
    (docs/assurance.md A1-A5). Struck and expired evidence carries nothing. Without a birth date no level is open.
    """
    items = list(evidence)
    if birth_date is None:
        return Assessment(SELF_ASSERTED, because=(), until=None, policy_version=policy.version)
    ial, because = answer = _carried(items, policy, person_type, birth_date, now)
    changes = (
        moment
        for moment in _moments_ahead(items, policy, birth_date, now)
        if _carried(items, policy, person_type, birth_date, moment) != answer
    )
    return Assessment(ial, because, until=next(changes, None), policy_version=policy.version)


def _carried(
    items: list[Evidence], policy: Policy, person_type: PersonType, birth_date: date, now: datetime
) -> tuple[int, tuple[UUID, ...]]:
    today = now.astimezone(policy.zone).date()
    live = [item for item in items if item.is_live(now)]
    for level in policy.levels_from_the_top():
        if level.is_open_to(person_type, birth_date, today):
            because = level.find_met(live)
            if because is not None:
                return level.ial, because
    return SELF_ASSERTED, ()


def _moments_ahead(items: list[Evidence], policy: Policy, birth_date: date, now: datetime) -> list[datetime]:
    """Return every instant after `now` at which anything that `_carried` reads can change, in order."""
    moments = {item.checked_at for item in items} | {item.expires_at for item in items if item.expires_at is not None}
    return sorted(moment for moment in moments.union(policy.birthdays(birth_date)) if moment > now)


def _has_reached(birth_date: date, age: int, today: date) -> bool:
    birthday = _birthday(birth_date, age)
    return birthday is not None and birthday <= today


def _birthday(birth_date: date, age: int) -> date | None:
    """Return the day on which `age` full years are lived; None beyond the calendar.

    Whoever was born on 29 February completes a year on 1 March where there is no such day.
    """
    year = birth_date.year + age
    if year > MAXYEAR:
        return None
    try:
        return birth_date.replace(year=year)
    except ValueError:
        return date(year, 3, 1)
