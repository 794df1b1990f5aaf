"""Adding, finding, locking and closing accounts; the `sub` of a person (laws 8 and 9; Decree 69/2024 Art. 15)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from idp.accounts.declarations import canonical_email, canonical_phone
from idp.accounts.model import (
    AccountClosed,
    AccountState,
    DeclarationRefused,
    LockRefused,
    NoSuchAccount,
    NoSuchLock,
    NumberRefused,
    NumberTaken,
    masked_email,
    masked_number,
    masked_phone,
)
from idp.accounts.service import Accounts
from idp.audit.model import Origin
from idp.kernel.clock import FixedClock
from idp.kernel.sealing import Sealer, SealingKeys
from idp.reference.countries import get_country
from idp.reference.model import Sex
from idp.storage.postgres import Database
from tests.support.citizens import (
    AT_THE_COUNTER,
    IN_A_BROWSER,
    Rooms,
    activate,
    add_citizen,
    at_once,
    declaration,
    make_rooms,
)

if TYPE_CHECKING:
    from idp.demo.engines import DatabaseUrls

DAY = timedelta(days=1)


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


def is_alive(rooms: Rooms, account_id: UUID) -> bool:
    with rooms.database.transaction() as transaction:
        return transaction.one("SELECT id FROM account_alive WHERE id = %(id)s", {"id": account_id}) is not None


def not_before(rooms: Rooms, account_id: UUID) -> object:
    with rooms.database.transaction() as transaction:
        row = transaction.one("SELECT not_before FROM account WHERE id = %(id)s", {"id": account_id})
    assert row is not None
    return row.not_before


def events(owner_database: Database, account_id: UUID) -> list[str]:
    with owner_database.transaction() as transaction:
        rows = transaction.all("SELECT kind FROM audit_event WHERE account_id = %(id)s ORDER BY id", {"id": account_id})
    return [row.kind for row in rows]


def test_a_new_account_waits_for_its_person(rooms: Rooms, owner_database: Database) -> None:
    citizen = add_citizen(rooms)
    found = rooms.accounts.find_by_number(citizen.personal_number)
    assert found is not None
    assert (found.account_id, found.holder_id) == (citizen.account_id, citizen.holder_id)
    assert found.state is AccountState.PENDING
    assert not found.is_alive
    assert not is_alive(rooms, citizen.account_id)
    assert events(owner_database, citizen.account_id) == ["accounts.account_added"]


def test_a_child_born_today_is_entered_in_the_first_hour_of_the_day(database: Database, sealer: Sealer) -> None:
    """The day is that of the country: in UTC, it is still the evening before."""
    rooms = make_rooms(database, sealer, FixedClock(datetime(2026, 12, 31, 17, 30, tzinfo=UTC)))
    today, tomorrow = date(2027, 1, 1), date(2027, 1, 2)
    born = declaration()
    number = "001227" + born.personal_number[6:]
    rooms.accounts.add(replace(born, personal_number=number, birth_date=today, sex=Sex.MALE), AT_THE_COUNTER)
    with pytest.raises(NumberRefused, match="future"):
        rooms.accounts.add(replace(born, personal_number=number, birth_date=tomorrow, sex=Sex.MALE), AT_THE_COUNTER)


def test_what_was_sealed_opens_again(rooms: Rooms) -> None:
    declared = declaration()
    with rooms.database.transaction() as transaction:
        added = rooms.accounts.add_in(transaction, declared, AT_THE_COUNTER)
    person = rooms.accounts.person(added.holder_id)
    assert person.personal_number == declared.personal_number
    assert (person.phone, person.email, person.address) == (declared.phone, declared.email, declared.address)
    assert (person.full_name, person.birth_date, person.sex) == (declared.full_name, declared.birth_date, declared.sex)
    assert person.phone_verified_at is None


def test_a_personal_number_is_one_persons_for_ever(rooms: Rooms) -> None:
    """Law on Identification Art. 12: never repeated; a closed account keeps it too."""
    declared = declaration()
    account_id = rooms.accounts.add(declared, AT_THE_COUNTER)
    with pytest.raises(NumberTaken):
        rooms.accounts.add(replace(declared, full_name="Người Khác", phone=None, email=None), AT_THE_COUNTER)
    rooms.accounts.close(account_id, reason="test", origin=AT_THE_COUNTER)
    with pytest.raises(NumberTaken):
        rooms.accounts.add(declared, AT_THE_COUNTER)


def test_of_many_who_add_one_number_at_once_one_does(rooms: Rooms, database_urls: DatabaseUrls) -> None:
    declared = declaration()

    def add(_: int) -> UUID | None:
        try:
            return rooms.accounts.add(declared, AT_THE_COUNTER)
        except NumberTaken:
            return None

    assert sum(each is not None for each in at_once(8, add, threads=8)) == 1
    assert rooms.accounts.find_by_number(declared.personal_number) is not None


def test_a_number_is_still_one_persons_while_the_index_key_rotates(
    database: Database, rooms: Rooms, clock: FixedClock
) -> None:
    citizen = add_citizen(rooms)
    both = {2: bytes(range(32, 64)), 9: bytes(range(64, 96))}
    rotated = Sealer(SealingKeys(sealing={1: bytes(range(32))}, indexing=both, seal_with=1, index_with=9))
    later = Accounts(database, rotated, clock, get_country("VN"))
    assert later.find_by_number(citizen.personal_number) is not None
    declared = replace(declaration(), personal_number=citizen.personal_number)
    with pytest.raises((NumberTaken, NumberRefused)):
        later.add(declared, AT_THE_COUNTER)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("full_name", " ", "empty"),
        ("full_name", "Nguyễn\u202eVăn A", "control_character"),
        ("nationality", "VNM", "not_alpha_2"),
        ("locale", "vi-VN", "not_two_letters"),
        ("phone", "12", "impossible"),
        ("phone", "gọi cho tôi", "malformed"),
        ("email", "a b@thu.example", "malformed"),
        ("email", "a@thu.example\r\nBcc: b@thu.example", "malformed"),
        ("email", "gmáil@thư.example", "malformed"),
        ("address", "x" * 501, "too_long"),
        ("address", "12 Sao Mai\x07", "control_character"),
    ],
)
def test_a_declared_fact_without_a_form_is_refused(rooms: Rooms, field: str, value: str, reason: str) -> None:
    declared = declaration()
    with pytest.raises(DeclarationRefused) as refusal:
        rooms.accounts.add(replace(declared, **{field: value}), AT_THE_COUNTER)  # type: ignore[arg-type]  # one of the text fields
    assert (refusal.value.field, refusal.value.reason) == (field, reason)
    assert rooms.accounts.find_by_number(declared.personal_number) is None


def test_a_number_that_contradicts_the_declaration_is_refused(rooms: Rooms) -> None:
    declared = declaration()
    other_sex = Sex.FEMALE if declared.sex is Sex.MALE else Sex.MALE
    for wrong in (
        replace(declared, sex=other_sex),
        replace(declared, birth_date=date(declared.birth_date.year - 1, 1, 1)),
        replace(declared, personal_number="12345"),
    ):
        with pytest.raises(NumberRefused):
            rooms.accounts.add(wrong, AT_THE_COUNTER)


def test_phones_and_mail_have_one_form() -> None:
    country = get_country("VN")
    for written in ("0912 345 678", "+84 912 345 678", "0912.345.678"):
        assert canonical_phone(written, country) == "+84912345678"
    assert canonical_email("Hoa.Le@THU.example") == "Hoa.Le@thu.example"


def test_masks_show_what_its_owner_recognises_and_no_more() -> None:
    assert masked_number("001099999901") == "•••••••••901"
    assert masked_phone("+84912345678") == "+84••••••678"
    assert masked_email("hoa.le@thu.example") == "h•••••@thu.example"
    assert masked_email("a@thu.example") == "a••@thu.example"


def test_several_locks_overlap_and_the_account_lives_when_none_is_left(rooms: Rooms, clock: FixedClock) -> None:
    """Domain 10: an account may be held for several reasons; lifting one leaves the others."""
    citizen = activate(rooms, add_citizen(rooms))
    assert is_alive(rooms, citizen.account_id)
    first = rooms.accounts.lock(citizen.account_id, reason="own request", legal_basis="Art. 15.1", origin=IN_A_BROWSER)
    clock.advance(DAY)
    second = rooms.accounts.lock(citizen.account_id, reason="card revoked", legal_basis="Art. 34.1", origin=AT_THE_COUNTER)
    assert not is_alive(rooms, citizen.account_id)
    assert rooms.accounts.unlock(citizen.account_id, first, origin=AT_THE_COUNTER) == 1
    assert not is_alive(rooms, citizen.account_id)
    with pytest.raises(NoSuchLock):
        rooms.accounts.unlock(citizen.account_id, first, origin=AT_THE_COUNTER)
    assert rooms.accounts.unlock(citizen.account_id, second, origin=AT_THE_COUNTER) == 0
    assert is_alive(rooms, citizen.account_id)
    shown = rooms.accounts.show(citizen.account_id)
    assert [lock.placed_by for lock in shown.locks] == ["the holder", "officer.one"]
    assert not shown.is_locked


def test_all_locks_are_lifted_at_once(rooms: Rooms) -> None:
    citizen = activate(rooms, add_citizen(rooms))
    for reason in ("one", "two", "three"):
        rooms.accounts.lock(citizen.account_id, reason=reason, legal_basis="Art. 15", origin=AT_THE_COUNTER)
    assert rooms.accounts.unlock(citizen.account_id, origin=AT_THE_COUNTER) == 0
    assert is_alive(rooms, citizen.account_id)
    with pytest.raises(NoSuchLock):
        rooms.accounts.unlock(citizen.account_id, origin=AT_THE_COUNTER)


def test_what_a_lock_killed_stays_dead_after_it(rooms: Rooms, clock: FixedClock) -> None:
    """Law 2: nothing that was locked becomes usable again; `not_before` has moved past every earlier session and grant."""
    citizen = activate(rooms, add_citizen(rooms))
    clock.advance(DAY)
    rooms.accounts.lock(citizen.account_id, reason="theft", legal_basis="Art. 15", origin=IN_A_BROWSER)
    assert not_before(rooms, citizen.account_id) == clock.now()
    clock.advance(DAY)
    rooms.accounts.unlock(citizen.account_id, origin=AT_THE_COUNTER)
    assert not_before(rooms, citizen.account_id) == clock.now()


def test_a_lock_ends_by_itself_and_others_hold_on(rooms: Rooms, clock: FixedClock, owner_database: Database) -> None:
    citizen = activate(rooms, add_citizen(rooms))
    rooms.accounts.lock(
        citizen.account_id, reason="trip", legal_basis="Art. 15", until=clock.now() + DAY, origin=IN_A_BROWSER
    )
    rooms.accounts.lock(
        citizen.account_id, reason="card ended", legal_basis="Art. 15", until=clock.now() + 2 * DAY, origin=AT_THE_COUNTER
    )
    clock.advance(DAY - timedelta(microseconds=1))
    assert rooms.accounts.lift_expired_locks() == 0
    clock.advance(timedelta(microseconds=1))
    assert not is_alive(rooms, citizen.account_id)
    assert rooms.accounts.lift_expired_locks() == 1
    assert not is_alive(rooms, citizen.account_id)
    clock.advance(DAY)
    assert rooms.accounts.lift_expired_locks() == 1
    assert is_alive(rooms, citizen.account_id)
    assert events(owner_database, citizen.account_id).count("accounts.account_unlocked") == 2


def test_the_lock_of_a_closed_account_is_in_nobody_s_way(rooms: Rooms, clock: FixedClock) -> None:
    closed, open_ = (activate(rooms, add_citizen(rooms)) for _ in range(2))
    for days, citizen in enumerate((closed, open_), start=1):
        rooms.accounts.lock(
            citizen.account_id, reason="trip", legal_basis="Art. 15", until=clock.now() + days * DAY, origin=IN_A_BROWSER
        )
    rooms.accounts.close(closed.account_id, reason="test", origin=AT_THE_COUNTER)
    clock.advance(2 * DAY)
    assert rooms.accounts.lift_expired_locks(at_most=1) == 1
    assert is_alive(rooms, open_.account_id)


def test_the_worker_role_may_lift_locks_that_ended(
    rooms: Rooms, database_urls: DatabaseUrls, sealer: Sealer, clock: FixedClock
) -> None:
    """Design §3: jobs log in with a role of their own, which has exactly the rights they need."""
    citizen = activate(rooms, add_citizen(rooms))
    rooms.accounts.lock(
        citizen.account_id, reason="trip", legal_basis="Art. 15", until=clock.now() + DAY, origin=IN_A_BROWSER
    )
    clock.advance(DAY)
    worker = Database(database_urls.worker)
    assert Accounts(worker, sealer, clock, get_country("VN")).lift_expired_locks() >= 1
    worker.close()
    assert is_alive(rooms, citizen.account_id)


def test_a_lock_says_why_and_on_what_basis(rooms: Rooms, clock: FixedClock) -> None:
    citizen = add_citizen(rooms)
    for reason, basis, until in (("", "Art. 15", None), ("theft", " ", None), ("theft", "Art. 15", clock.now())):
        with pytest.raises(LockRefused):
            rooms.accounts.lock(citizen.account_id, reason=reason, legal_basis=basis, until=until, origin=IN_A_BROWSER)
    with pytest.raises(NoSuchAccount):
        rooms.accounts.lock(uuid4(), reason="theft", legal_basis="Art. 15", origin=IN_A_BROWSER)


def test_a_closed_account_never_lives_again(rooms: Rooms, clock: FixedClock, owner_database: Database) -> None:
    citizen = activate(rooms, add_citizen(rooms))
    clock.advance(DAY)
    rooms.accounts.close(citizen.account_id, reason="own request", origin=IN_A_BROWSER)
    assert not is_alive(rooms, citizen.account_id)
    for act in (
        lambda: rooms.accounts.close(citizen.account_id, reason="again", origin=IN_A_BROWSER),
        lambda: rooms.accounts.unlock(citizen.account_id, origin=AT_THE_COUNTER),
        lambda: rooms.accounts.lock(citizen.account_id, reason="r", legal_basis="b", origin=AT_THE_COUNTER),
    ):
        with pytest.raises(AccountClosed):
            act()
    assert events(owner_database, citizen.account_id)[-1] == "accounts.account_closed"


def test_an_operator_sees_masks(rooms: Rooms) -> None:
    citizen = add_citizen(rooms)
    shown = rooms.accounts.show(citizen.account_id)
    assert citizen.personal_number not in repr(shown)
    assert shown.masked_number.endswith(citizen.personal_number[-3:])
    with pytest.raises(NoSuchAccount):
        rooms.accounts.show(uuid4())


def test_a_former_number_finds_nobody(rooms: Rooms, owner_database: Database, clock: FixedClock) -> None:
    citizen = add_citizen(rooms)
    with owner_database.transaction() as transaction:
        transaction.run(
            "UPDATE person_number SET replaced_at = %(now)s WHERE holder_id = %(id)s",
            {"now": clock.now(), "id": citizen.holder_id},
        )
    assert rooms.accounts.find_by_number(citizen.personal_number) is None


def test_a_sub_is_random_stable_and_different_in_each_sector(rooms: Rooms) -> None:
    """OIDC Core §8.1: not derived from anything, not joinable."""
    one, two = add_citizen(rooms), add_citizen(rooms)
    subs = [rooms.accounts.subject(holder, sector) for holder in (one.holder_id, two.holder_id) for sector in ("a", "b")]
    assert len(set(subs)) == 4
    assert all(len(sub) == 43 for sub in subs)
    assert rooms.accounts.subject(one.holder_id, "a") == subs[0]


def test_of_many_first_visits_at_once_all_get_the_same_sub(rooms: Rooms, database: Database) -> None:
    citizen = add_citizen(rooms)
    subs = at_once(20, lambda _: rooms.accounts.subject(citizen.holder_id, "portal.example"), database)
    assert len(set(subs)) == 1


def test_locks_and_unlocks_at_once_do_not_wait_for_each_other_for_ever(rooms: Rooms) -> None:
    """They hold the account's row first, all of them."""
    citizen = activate(rooms, add_citizen(rooms))
    operator = Origin.operated("operator")

    def act(n: int) -> None:
        if n % 2:
            rooms.accounts.lock(citizen.account_id, reason="r", legal_basis="b", origin=operator)
        else:
            try:
                rooms.accounts.unlock(citizen.account_id, origin=operator)
            except NoSuchLock:
                return

    at_once(24, act, threads=8)
    if rooms.accounts.show(citizen.account_id).is_locked:
        rooms.accounts.unlock(citizen.account_id, origin=operator)
    assert is_alive(rooms, citizen.account_id)
