"""Sealing and index keys: rotated while people go on being found, and destroyed when nothing needs them (law 9)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from idp.audit.model import Origin
from idp.kernel.clock import FixedClock
from idp.kernel.ids import new_id
from idp.kernel.sealing import DoesNotOpen
from idp.keys import KeyEncryption, KeyKeeper, KeyRing
from idp.keys.model import Progress, RegistryIncomplete
from idp.keys.sealed import INDEXES, SEALED
from idp.keys.service import NotActiveYet
from idp.storage.postgres import Database

BY = Origin.operated("test")
SECOND = timedelta(seconds=1)
IN_FORCE = timedelta(seconds=6)
SETTLED = timedelta(minutes=1)


def add_people(database: Database, ring: KeyRing, clock: FixedClock, count: int) -> list[UUID]:
    """Store people with every sealed column there is."""
    sealer, now, people = ring.sealer, clock.now(), []
    with database.transaction() as transaction:
        for number in range(count):
            holder, account, row, totp = (new_id(now) for _ in range(4))
            people.append(holder)
            transaction.run("INSERT INTO holder (id, kind, created_at) VALUES (%(id)s, 'person', %(now)s)", {"id": holder, "now": now})
            transaction.run(
                "INSERT INTO person (holder_id, person_type, full_name, search_key, birth_date, sex, nationality, phone_sealed,"
                " phone_index, email_sealed, email_index, address_sealed, updated_at) VALUES (%(id)s, 'citizen', 'Trần Mẫu', 'TRAN MAU',"
                " '1990-01-01', 'female', 'VN', %(phone)s, %(phone_index)s, %(email)s, %(email_index)s, %(address)s, %(now)s)",
                {
                    "id": holder,
                    "now": now,
                    "phone": sealer.seal(f"+84999{number:06}".encode(), f"person.phone_sealed:{holder}"),
                    "phone_index": sealer.index("person.phone", f"+84999{number:06}"),
                    "email": sealer.seal(f"Mau{number}@People.example".encode(), f"person.email_sealed:{holder}"),
                    "email_index": sealer.index("person.email", f"mau{number}@people.example"),
                    "address": sealer.seal(b"Duong Mau", f"person.address_sealed:{holder}") if number % 2 else None,
                },
            )
            transaction.run(
                "INSERT INTO person_number (id, holder_id, number_sealed, number_index, since)"
                " VALUES (%(id)s, %(holder)s, %(sealed)s, %(index)s, %(now)s)",
                {
                    "id": row,
                    "holder": holder,
                    "now": now,
                    "sealed": sealer.seal(f"00109999{number:04}".encode(), f"person_number.number_sealed:{row}"),
                    "index": sealer.index("person.number", f"00109999{number:04}"),
                },
            )
            transaction.run(
                "INSERT INTO account (id, holder_id, state, locale, created_at) VALUES (%(id)s, %(holder)s, 'active', 'vi', %(now)s)",
                {"id": account, "holder": holder, "now": now},
            )
            transaction.run(
                "INSERT INTO password (account_id, hash_sealed, version, set_at) VALUES (%(id)s, %(sealed)s, 1, %(now)s)",
                {"id": account, "now": now, "sealed": sealer.seal(b"$argon2id$", f"password.hash_sealed:{account}")},
            )
            transaction.run(
                "INSERT INTO totp (id, account_id, secret_sealed, created_at) VALUES (%(id)s, %(account)s, %(sealed)s, %(now)s)",
                {"id": totp, "account": account, "now": now, "sealed": sealer.seal(b"SECRET", f"totp.secret_sealed:{totp}")},
            )
    return people


def add_recovery_code(database: Database, ring: KeyRing, clock: FixedClock, code: str) -> None:
    with database.transaction() as transaction:
        transaction.run(
            "INSERT INTO recovery_code (account_id, code_index, created_at) SELECT id, %(index)s, %(now)s FROM account LIMIT 1",
            {"index": ring.sealer.index("recovery_code", code), "now": clock.now()},
        )


def found_by_number(database: Database, ring: KeyRing, number: str) -> str | None:
    """Find a person as `accounts` does: by every index the number may be stored under; return the number as it opens."""
    with database.transaction() as transaction:
        row = transaction.one(
            "SELECT id, number_sealed FROM person_number WHERE number_index = ANY(%(indexes)s)",
            {"indexes": ring.sealer.indexes("person.number", number)},
        )
    return None if row is None else ring.sealer.open(row.number_sealed, f"person_number.number_sealed:{row.id}").decode()


def key_ids(database: Database) -> set[int]:
    """Return the ids of the keys that any sealed value or index is under."""
    found: set[int] = set()
    with database.transaction() as transaction:
        for column in (*SEALED, *INDEXES):
            rows = transaction.all(f"SELECT DISTINCT substring({column.column} FOR 2) AS key FROM {column.table}")
            found |= {int.from_bytes(row.key, "big") for row in rows if row.key is not None}
    return found


@pytest.fixture
def populated(fresh: Database, ring: KeyRing, clock: FixedClock) -> Database:
    add_people(fresh, ring, clock, 7)
    return fresh


def test_people_are_found_at_every_moment_of_a_rotation_and_nothing_is_left_under_the_old_keys(
    populated: Database, keeper: KeyKeeper, ring: KeyRing, clock: FixedClock
) -> None:
    """Log-ins 100 %."""
    assert key_ids(populated) == {1, 2}
    assert keeper.rotate_sealing(origin=BY) == (3, 4)
    moments: list[str | None] = [found_by_number(populated, ring, "001099990003")]
    clock.advance(IN_FORCE)
    moments.append(found_by_number(populated, ring, "001099990003"))
    seen: list[Progress] = []

    def progress(made: Progress) -> None:
        seen.append(made)
        moments.append(found_by_number(populated, ring, "001099990003"))

    resealed = keeper.reseal(progress, origin=BY, batch=3)
    moments.append(found_by_number(populated, ring, "001099990003"))
    assert set(moments) == {"001099990003"}
    assert key_ids(populated) == {3, 4}
    assert (resealed.moved, resealed.left, resealed.retired) == (7 * 5 + 3 + 7 * 3, 0, ())
    assert [(each.done, each.of) for each in seen if each.column == "number_sealed"] == [(3, 7), (6, 7), (7, 7)]


def test_old_keys_are_destroyed_a_minute_after_their_successors_came_into_force(
    populated: Database, keeper: KeyKeeper, ring: KeyRing, clock: FixedClock, encryption: KeyEncryption
) -> None:
    kept = ring.sealer.seal(b"in the memory of this process", "nowhere.kept_sealed:1")
    keeper.rotate_sealing(origin=BY)
    clock.advance(IN_FORCE)
    assert keeper.reseal(lambda _: None, origin=BY).retired == ()
    clock.advance(SETTLED)
    assert keeper.reseal(lambda _: None, origin=BY).retired == (1, 2)
    with populated.transaction() as transaction:
        rows = transaction.all("SELECT id, wrapped FROM sealing_key WHERE retired_at IS NOT NULL ORDER BY id")
    assert [(row.id, row.wrapped) for row in rows] == [(1, b""), (2, b"")]
    clock.advance(SECOND)
    assert found_by_number(populated, ring, "001099990001") == "001099990001"
    assert ring.sealer.open(kept, "nowhere.kept_sealed:1") == b"in the memory of this process"
    with pytest.raises(DoesNotOpen):
        KeyRing(populated, encryption, clock).sealer.open(kept, "nowhere.kept_sealed:1")
    assert keeper.reseal(lambda _: None, origin=BY).moved == 0


def test_the_indexes_of_resealed_values_are_those_the_accounts_room_computes(
    populated: Database, keeper: KeyKeeper, ring: KeyRing, clock: FixedClock
) -> None:
    keeper.rotate_sealing(origin=BY)
    clock.advance(IN_FORCE)
    keeper.reseal(lambda _: None, origin=BY)
    sealer = ring.sealer
    with populated.transaction() as transaction:
        for kind, column, value in (
            ("person.phone", "phone_index", "+84999000002"),
            ("person.email", "email_index", "mau2@people.example"),
        ):
            row = transaction.one(f"SELECT count(*) AS n FROM person WHERE {column} = %(index)s", {"index": sealer.index(kind, value)})
            assert row is not None
            assert row.n == 1


def test_an_unused_recovery_code_keeps_its_index_key_alive_and_a_used_one_does_not(
    populated: Database, keeper: KeyKeeper, ring: KeyRing, clock: FixedClock
) -> None:
    add_recovery_code(populated, ring, clock, "CODE")
    keeper.rotate_sealing(origin=BY)
    clock.advance(IN_FORCE + SETTLED)
    resealed = keeper.reseal(lambda _: None, origin=BY)
    assert (resealed.left, resealed.retired) == (1, (1,))
    with populated.transaction() as transaction:
        found = transaction.one(
            "SELECT account_id FROM recovery_code WHERE code_index = ANY(%(indexes)s)",
            {"indexes": ring.sealer.indexes("recovery_code", "CODE")},
        )
        assert found is not None
        transaction.run("UPDATE recovery_code SET used_at = %(now)s", {"now": clock.now()})
    assert keeper.reseal(lambda _: None, origin=BY).retired == (2,)


def test_a_sealed_column_that_is_not_registered_stops_the_rotation(
    populated: Database, fresh_owner: Database, keeper: KeyKeeper, encryption: KeyEncryption, clock: FixedClock
) -> None:
    with fresh_owner.transaction() as transaction:
        transaction.run("ALTER TABLE known_device ADD COLUMN note_sealed bytea")
        transaction.run("GRANT SELECT, UPDATE ON known_device TO idp_app")
    with pytest.raises(RegistryIncomplete, match=r"known_device\.note_sealed"):
        keeper.reseal(lambda _: None, origin=BY)


def test_a_registered_column_that_is_gone_stops_the_rotation(
    populated: Database, encryption: KeyEncryption, clock: FixedClock, keeper: KeyKeeper
) -> None:
    incomplete = KeyKeeper(populated, encryption, clock, sealed=SEALED[1:])
    with pytest.raises(RegistryIncomplete, match=r"person\.phone_sealed"):
        incomplete.reseal(lambda _: None, origin=BY)


def test_resealing_waits_for_a_key_that_is_not_in_force_yet(populated: Database, keeper: KeyKeeper, clock: FixedClock) -> None:
    keeper.rotate_sealing(origin=BY)
    with pytest.raises(NotActiveYet) as refusal:
        keeper.reseal(lambda _: None, origin=BY)
    assert refusal.value.retry_after == 6
    clock.advance(timedelta(seconds=refusal.value.retry_after))
    assert keeper.reseal(lambda _: None, origin=BY).left == 0


def test_an_interrupted_rotation_goes_on_where_it_stopped(populated: Database, keeper: KeyKeeper, ring: KeyRing, clock: FixedClock) -> None:
    keeper.rotate_sealing(origin=BY)
    clock.advance(IN_FORCE)

    class Interrupted(Exception):
        pass

    def interrupt(made: Progress) -> None:
        if made.column == "number_sealed":
            raise Interrupted

    with pytest.raises(Interrupted):
        keeper.reseal(interrupt, origin=BY, batch=2)
    assert key_ids(populated) == {1, 2, 3}
    assert found_by_number(populated, ring, "001099990000") == "001099990000"
    assert keeper.reseal(lambda _: None, origin=BY, batch=2).left == 0
    assert key_ids(populated) == {3, 4}


def test_a_row_that_somebody_holds_is_left_and_taken_the_next_time(
    populated: Database, fresh_owner: Database, keeper: KeyKeeper, clock: FixedClock
) -> None:
    keeper.rotate_sealing(origin=BY)
    clock.advance(IN_FORCE)
    with fresh_owner.transaction() as holding:
        holding.run("SELECT id FROM totp ORDER BY id LIMIT 1 FOR UPDATE")
        assert keeper.reseal(lambda _: None, origin=BY).left == 1
    assert keeper.reseal(lambda _: None, origin=BY).left == 0


def test_a_process_that_does_not_know_a_new_key_yet_opens_what_another_sealed_with_it(
    keeper: KeyKeeper, ring: KeyRing, fresh: Database, encryption: KeyEncryption, clock: FixedClock
) -> None:
    behind = KeyRing(fresh, encryption, clock)
    behind.check()
    keeper.rotate_sealing(origin=BY, known_for=timedelta(0))
    sealed = ring.sealer.seal(b"new", "totp.secret_sealed:1")
    assert sealed[:2] == (3).to_bytes(2, "big")
    assert behind.sealer.open(sealed, "totp.secret_sealed:1") == b"new"


def test_a_new_index_key_is_looked_up_before_it_is_used(
    keeper: KeyKeeper, ring: KeyRing, fresh: Database, encryption: KeyEncryption, clock: FixedClock
) -> None:
    """Every process knows a new key for some seconds before one writes with it, so that no look-up misses."""
    ring.check()
    keeper.rotate_sealing(origin=BY)
    clock.advance(SECOND)
    assert [index[:2] for index in ring.sealer.indexes("person.number", "1")] == [b"\x00\x02", b"\x00\x04"]
    clock.advance(timedelta(seconds=4))
    assert [index[:2] for index in ring.sealer.indexes("person.number", "1")] == [b"\x00\x04", b"\x00\x02"]
