"""Signing keys: published before they sign, verifying as long as anything they signed lives, revoked at once."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta

import pytest

from idp.audit.model import Origin
from idp.demo.engines import DatabaseUrls
from idp.jose import Expected, PublicKeys, Unacceptable, verify
from idp.kernel.clock import FixedClock, SystemClock
from idp.keys import KeyEncryption, KeyKeeper, KeyRing
from idp.keys.model import KeysDoNotOpen, NoSuchKey
from idp.keys.purge import purge
from idp.keys.stamps import NotMigrated
from idp.storage.breaker import EngineAway
from idp.storage.postgres import Database
from tests.support.counted import Counted

BY = Origin.operated("test")
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MARGIN = timedelta(minutes=1)


def published_kids(ring: KeyRing) -> list[str]:
    return [key["kid"] for key in json.loads(ring.published().body)["keys"]]


def statement(ring: KeyRing, now: datetime, alg: str = "ES256") -> str:
    return ring.signer(alg).sign({"iss": "https://id.example", "exp": int(now.timestamp()) + 600})


def verifies(compact: str, keys: PublicKeys, now: datetime) -> bool:
    try:
        verify(compact, keys, Expected(frozenset({"ES256", "RS256"}), "https://id.example", None, now, frozenset({"JWT"})))
    except Unacceptable:
        return False
    return True


def events(database: Database) -> list[str]:
    with database.transaction() as transaction:
        return [row.kind for row in transaction.all("SELECT kind FROM audit_event ORDER BY id")]


def test_without_keys_the_ring_says_what_to_do(fresh: Database, encryption: KeyEncryption, clock: FixedClock) -> None:
    ring = KeyRing(fresh, encryption, clock)
    for asked in (lambda: ring.signer("ES256"), ring.verifying, ring.check, lambda: ring.sealer.index("a", "b")):
        with pytest.raises(NoSuchKey):
            asked()
    assert json.loads(ring.published().body) == {"keys": []}


@pytest.mark.usefixtures("rsa")
def test_first_keys_are_made_once(keeper: KeyKeeper, ring: KeyRing, fresh: Database) -> None:
    assert keeper.make_first_keys(BY) == []
    assert sorted(key.alg for key in keeper.list_signing()) == ["ES256", "RS256"]
    assert sorted(key.purpose for key in keeper.list_sealing()) == ["index", "seal"]
    assert sorted(events(fresh)) == ["keys.sealing_key_made"] * 2 + ["keys.signing_key_made"] * 2
    ring.check()


def test_two_nodes_that_start_at_once_make_one_set_of_keys(fresh_urls: DatabaseUrls, encryption: KeyEncryption, clock: FixedClock) -> None:
    barrier, made = threading.Barrier(4), list[str]()

    def start() -> None:
        database = Database(fresh_urls.app)
        barrier.wait()
        made.extend(KeyKeeper(database, encryption, clock).make_first_keys(BY, ("ES256",)))
        database.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3


@pytest.mark.usefixtures("rsa")
def test_only_public_members_are_published_and_rsa_has_3072_bits(ring: KeyRing) -> None:
    published = ring.published()
    keys = json.loads(published.body)["keys"]
    assert {key["alg"]: sorted(key) for key in keys} == {
        "ES256": ["alg", "crv", "kid", "kty", "use", "x", "y"],
        "RS256": ["alg", "e", "kid", "kty", "n", "use"],
    }
    PublicKeys.from_jwks({"keys": keys}, smallest_rsa=3072)
    assert published.etag.startswith('"')
    assert ring.published() is published


def test_private_keys_and_sealing_keys_are_stored_wrapped(ring: KeyRing, fresh: Database) -> None:
    """Law 9: a dump alone yields no key."""
    ring.check()
    with fresh.transaction() as transaction:
        signing = transaction.all("SELECT private_wrapped, wrapped_with FROM signing_key")
        sealing = transaction.all("SELECT wrapped, wrapped_with FROM sealing_key")
    for row in signing:
        assert b'"d"' not in row.private_wrapped
        assert row.wrapped_with == "first"
    for row in sealing:
        assert len(row.wrapped) == 12 + 32 + 16


def test_a_new_key_is_published_at_once_signs_later_and_the_old_one_still_verifies(
    keeper: KeyKeeper, ring: KeyRing, clock: FixedClock
) -> None:
    """Published at least `publish_for` before it signs, verifying at least as long as the longest statement lives."""
    old = ring.signer("ES256").kid
    before = ring.published().etag
    made = keeper.rotate_signing("ES256", publish_for=HOUR, verify_for=2 * HOUR, origin=BY)
    clock.advance(SECOND)
    assert set(published_kids(ring)) >= {old, made.kid}
    assert ring.published().etag != before
    assert ring.signer("ES256").kid == old
    clock.advance(HOUR - 2 * SECOND)
    last = statement(ring, clock.now())
    assert ring.signer("ES256").kid == old
    clock.advance(SECOND)
    assert ring.signer("ES256").kid == made.kid
    assert verifies(last, ring.verifying(), clock.now())
    assert verifies(statement(ring, clock.now()), ring.verifying(), clock.now())
    clock.advance(2 * HOUR + MARGIN - SECOND)
    assert old in published_kids(ring)
    clock.advance(SECOND)
    assert old not in published_kids(ring)
    assert not verifies(last, ring.verifying(), clock.now() - 3 * HOUR)


def test_rotating_while_a_successor_is_staged_lines_up_another_behind_it(keeper: KeyKeeper, ring: KeyRing, clock: FixedClock) -> None:
    first = keeper.rotate_signing("ES256", publish_for=HOUR, verify_for=HOUR, origin=BY)
    second = keeper.rotate_signing("ES256", publish_for=HOUR, verify_for=HOUR, origin=BY)
    third = keeper.rotate_signing("ES256", publish_for=SECOND, verify_for=HOUR, origin=BY)
    assert first.signs_from < second.signs_from < third.signs_from
    clock.advance(HOUR + SECOND)
    assert ring.signer("ES256").kid == third.kid
    open_ended = [key for key in keeper.list_signing() if key.alg == "ES256" and key.signs_until is None]
    assert [key.kid for key in open_ended] == [third.kid]


def test_rotating_at_once_lets_the_staged_key_sign_now_and_the_old_one_verify(
    keeper: KeyKeeper, ring: KeyRing, fresh: Database, clock: FixedClock
) -> None:
    """Portals may have the staged key already: none is made, and those behind it keep their turn."""
    old = ring.signer("ES256").kid
    first = keeper.rotate_signing("ES256", publish_for=HOUR, verify_for=HOUR, origin=BY)
    behind = keeper.rotate_signing("ES256", publish_for=2 * HOUR, verify_for=HOUR, origin=BY)
    before = statement(ring, clock.now())
    advanced = keeper.rotate_signing("ES256", publish_for=timedelta(0), verify_for=HOUR, origin=BY)
    assert (advanced.kid, advanced.signs_from) == (first.kid, clock.now())
    clock.advance(SECOND)
    assert ring.signer("ES256").kid == first.kid
    assert verifies(before, ring.verifying(), clock.now())
    assert events(fresh).count("keys.signing_keys_rotated") == 3
    clock.advance(2 * HOUR)
    assert ring.signer("ES256").kid == behind.kid
    assert old not in published_kids(ring)


@pytest.mark.usefixtures("rsa")
def test_an_algorithm_without_a_key_is_not_rotated(keeper: KeyKeeper, fresh: Database) -> None:
    with fresh.transaction() as transaction:
        transaction.run("UPDATE signing_key SET signs_until = signs_from, verifies_until = signs_from WHERE alg = 'RS256'")
    with pytest.raises(NoSuchKey):
        keeper.rotate_signing("RS256", publish_for=HOUR, verify_for=HOUR, origin=BY)


def test_the_private_half_of_a_key_that_signs_no_more_is_destroyed_by_the_worker(
    keeper: KeyKeeper, ring: KeyRing, fresh: Database, fresh_owner: Database, clock: FixedClock
) -> None:
    old = ring.signer("ES256").kid
    keeper.rotate_signing("ES256", publish_for=SECOND, verify_for=HOUR, origin=BY)
    clock.advance(MARGIN + 2 * SECOND)
    assert purge(fresh_owner, clock) == 1
    with fresh.transaction() as transaction:
        erased = transaction.all("SELECT kid FROM signing_key WHERE private_wrapped = ''")
    assert [row.kid for row in erased] == [old]
    clock.advance(SECOND)
    assert old in published_kids(ring)


def test_a_revoked_key_neither_signs_nor_verifies_nor_is_published_and_a_new_one_signs_at_once(
    keeper: KeyKeeper, ring: KeyRing, fresh: Database, clock: FixedClock
) -> None:
    """In an emergency nothing waits."""
    disclosed = ring.signer("ES256").kid
    theirs = statement(ring, clock.now())
    successor = keeper.revoke_signing(disclosed, "found in a backup", origin=BY)
    clock.advance(SECOND)
    assert successor is not None
    assert ring.signer("ES256").kid == successor.kid
    assert disclosed not in published_kids(ring)
    assert not verifies(theirs, ring.verifying(), clock.now())
    assert verifies(statement(ring, clock.now()), ring.verifying(), clock.now())
    assert events(fresh).count("keys.signing_key_revoked") == 1
    assert events(fresh).count("keys.signing_key_made") == 2
    with pytest.raises(NoSuchKey):
        keeper.revoke_signing(disclosed, "again", origin=BY)
    with pytest.raises(NoSuchKey):
        keeper.revoke_signing("unknown", "none such", origin=BY)


def test_a_staged_key_takes_over_from_a_revoked_one(keeper: KeyKeeper, ring: KeyRing, clock: FixedClock) -> None:
    disclosed = ring.signer("ES256").kid
    staged = keeper.rotate_signing("ES256", publish_for=HOUR, verify_for=HOUR, origin=BY)
    successor = keeper.revoke_signing(disclosed, "disclosed", origin=BY)
    clock.advance(SECOND)
    assert successor is not None
    assert successor.kid == staged.kid == ring.signer("ES256").kid


def test_revoking_a_staged_key_leaves_no_gap(keeper: KeyKeeper, ring: KeyRing, clock: FixedClock) -> None:
    old = ring.signer("ES256").kid
    staged = keeper.rotate_signing("ES256", publish_for=HOUR, verify_for=HOUR, origin=BY)
    successor = keeper.revoke_signing(staged.kid, "made on a borrowed machine", origin=BY)
    clock.advance(SECOND)
    assert successor is not None
    assert ring.signer("ES256").kid == old
    clock.advance(HOUR)
    assert ring.signer("ES256").kid == successor.kid
    assert staged.kid not in published_kids(ring)


def test_revoking_a_verifying_key_needs_no_successor(keeper: KeyKeeper, ring: KeyRing, clock: FixedClock) -> None:
    old = ring.signer("ES256").kid
    made = keeper.rotate_signing("ES256", publish_for=SECOND, verify_for=HOUR, origin=BY)
    clock.advance(2 * SECOND)
    assert keeper.revoke_signing(old, "disclosed", origin=BY) is None
    clock.advance(SECOND)
    assert published_kids(ring).count(made.kid) == 1
    assert old not in published_kids(ring)


def test_a_process_that_looks_again_within_a_second_finds_the_change_and_asks_nothing_in_between(
    keeper: KeyKeeper, fresh_urls: DatabaseUrls, encryption: KeyEncryption, clock: FixedClock
) -> None:
    """Design §4: configuration is at most a second old, and no look-up costs the database anything while it is fresh."""
    counted = Counted(fresh_urls.app)
    ring = KeyRing(counted, encryption, clock)
    ring.check()
    before = counted.steps
    for _ in range(100):
        ring.signer("ES256")
        ring.published()
        ring.verifying()
        ring.sealer.index("person.number", "x")
    assert counted.steps == before
    clock.advance(SECOND)
    for _ in range(100):
        ring.signer("ES256")
    assert counted.steps == before + 1
    keeper.rotate_signing("ES256", publish_for=timedelta(0), verify_for=HOUR, origin=BY)
    stale = ring.signer("ES256").sign({"iss": "https://id.example", "exp": int(clock.now().timestamp()) + 600})
    clock.advance(SECOND)
    assert verifies(stale, ring.verifying(), clock.now())
    counted.close()


def test_another_key_encryption_key_opens_nothing_and_says_so(keeper: KeyKeeper, fresh: Database, clock: FixedClock) -> None:
    """A node with the wrong key file is not ready."""
    for wrong in (KeyEncryption({"first": bytes(range(1, 33))}), KeyEncryption({"second": bytes(range(32))})):
        with pytest.raises(KeysDoNotOpen):
            KeyRing(fresh, wrong, clock).check()


@pytest.mark.usefixtures("rsa")
def test_a_private_key_put_in_another_row_does_not_open(
    keeper: KeyKeeper, fresh: Database, encryption: KeyEncryption, clock: FixedClock
) -> None:
    with fresh.transaction() as transaction:
        transaction.run(
            "UPDATE signing_key a SET private_wrapped = b.private_wrapped FROM signing_key b WHERE a.alg = 'ES256' AND b.alg = 'RS256'"
        )
    with pytest.raises(KeysDoNotOpen):
        KeyRing(fresh, encryption, clock).check()


@pytest.mark.usefixtures("rsa")
def test_stored_keys_are_wrapped_anew_and_the_old_key_encryption_key_may_go(keeper: KeyKeeper, fresh: Database, clock: FixedClock) -> None:
    both = KeyEncryption({"second": bytes(range(32, 64)), "first": bytes(range(32))})
    assert KeyKeeper(fresh, both, clock).rewrap(origin=BY) == 4
    assert KeyKeeper(fresh, both, clock).rewrap(origin=BY) == 0
    KeyRing(fresh, KeyEncryption({"second": bytes(range(32, 64))}), clock).check()
    with pytest.raises(KeysDoNotOpen):
        KeyKeeper(fresh, KeyEncryption({"third": bytes(range(64, 96))}), clock).rewrap(origin=BY)


def test_with_the_database_gone_what_is_held_goes_on_serving(
    keeper: KeyKeeper, ring: KeyRing, fresh: Database, encryption: KeyEncryption, clock: FixedClock
) -> None:
    """Law 2 and design §4: JWKS is served from memory; a process that holds nothing says that the engine is away."""
    body = ring.published().body
    away = Database("host=/nonexistent dbname=none user=none")
    ring._remembered._database = away
    clock.advance(HOUR)
    assert ring.published().body == body
    assert ring.signer("ES256")
    with pytest.raises(EngineAway):
        KeyRing(away, encryption, clock).published()


def test_a_database_that_was_not_migrated_is_named_as_such(
    fresh: Database, fresh_owner: Database, encryption: KeyEncryption, clock: FixedClock
) -> None:
    with fresh_owner.transaction() as transaction:
        transaction.run("DELETE FROM configuration_stamp WHERE kind = 'keys'")
    with pytest.raises(NotMigrated):
        KeyRing(fresh, encryption, clock).published()


def test_rotation_under_load_never_gives_a_statement_that_another_process_cannot_verify(
    fresh_urls: DatabaseUrls, fresh: Database, encryption: KeyEncryption
) -> None:
    """Two processes, a rotation every few milliseconds; one that cached the published set a moment ago verifies everything."""
    clock = SystemClock()
    keeper = KeyKeeper(fresh, encryption, clock)
    keeper.make_first_keys(BY, ("ES256",))
    stop, failures, kids, count = threading.Event(), list[str](), set[str](), [0]

    def sign() -> None:
        ours, theirs = Database(fresh_urls.app), Database(fresh_urls.app)
        ring, relying = KeyRing(ours, encryption, clock), KeyRing(theirs, encryption, clock)
        while not stop.is_set():
            signer = ring.signer("ES256")
            kids.add(signer.kid)
            now = clock.now()
            count[0] += 1
            if not verifies(signer.sign({"iss": "https://id.example", "exp": int(now.timestamp()) + 60}), relying.verifying(), now):
                failures.append(signer.kid)
        ours.close()
        theirs.close()

    threads = [threading.Thread(target=sign) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(12):
            keeper.rotate_signing("ES256", publish_for=timedelta(seconds=2.2), verify_for=timedelta(seconds=60), origin=BY)
            stop.wait(0.4)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert count[0] > 10
    assert len(kids) > 2
