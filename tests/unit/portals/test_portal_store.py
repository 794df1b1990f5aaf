"""What a portal remembers, and what it forgets: journeys once, sessions by `sid`, logout tokens once."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from clients.portal.store import LogoutReplayed, SessionAlreadyEnded, Store, Tokens

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def tokens(spendable: str = "refresh-1") -> Tokens:
    return Tokens("id-token-1", "access-1", NOW + timedelta(minutes=5), spendable, "openid profile")


def open_session(
    store: Store, browser: str, *, sub: str = "sub-1", sid: str | None = "sid-1", instead_of: str | None = None
) -> str:
    return store.open_session(
        browser=browser,
        instead_of=instead_of,
        sub=sub,
        sid=sid,
        tokens=tokens(),
        claims={"name": "Trần Thị Hồng Nhung"},
        now=NOW,
        until=NOW + timedelta(hours=1),
    )


def logout(store: Store, jti: str, *, sid: str | None = None, sub: str | None = None) -> int:
    return store.end_by_provider(jti=jti, sid=sid, sub=sub, until=NOW + timedelta(minutes=10), now=LATER)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "var" / "portal.sqlite3")


def test_the_file_is_readable_by_the_portal_alone(tmp_path: Path) -> None:
    Store(tmp_path / "portal.sqlite3")
    assert stat.S_IMODE((tmp_path / "portal.sqlite3").stat().st_mode) == 0o600


def test_a_journey_is_taken_once(store: Store) -> None:
    """OIDC Core §3.1.2.7: an answer is followed once."""
    store.begin_journey("state-1", browser="b", purpose="sign-in", kept={"nonce": "n"}, now=NOW)
    assert store.take_journey("state-1", browser="b", purpose="sign-in", now=LATER) == {"nonce": "n"}
    assert store.take_journey("state-1", browser="b", purpose="sign-in", now=LATER) is None


def test_a_journey_belongs_to_its_browser_and_survives_strangers(store: Store) -> None:
    """RFC 9700 §4.7: a state that somebody else began is worth nothing here, and trying does not spoil it."""
    store.begin_journey("state-1", browser="b", purpose="sign-in", kept={"nonce": "n"}, now=NOW)
    assert store.take_journey("state-1", browser="stranger", purpose="sign-in", now=LATER) is None
    assert store.take_journey("state-1", browser="b", purpose="sign-out", now=LATER) is None
    assert store.take_journey("state-1", browser="b", purpose="sign-in", now=LATER) == {"nonce": "n"}


def test_a_journey_is_forgotten_after_a_quarter_of_an_hour(store: Store) -> None:
    store.begin_journey("state-1", browser="b", purpose="sign-in", kept={}, now=NOW)
    assert store.take_journey("state-1", browser="b", purpose="sign-in", now=NOW + timedelta(minutes=16)) is None


def test_of_many_answers_with_one_state_one_is_followed(store: Store) -> None:
    store.begin_journey("state-1", browser="b", purpose="sign-in", kept={"nonce": "n"}, now=NOW)
    barrier = Barrier(4)

    def take() -> object:
        barrier.wait()
        return store.take_journey("state-1", browser="b", purpose="sign-in", now=LATER)

    with ThreadPoolExecutor(4) as pool:
        taken = [pending.result() for pending in [pool.submit(take) for _ in range(4)]]
    assert sum(kept is not None for kept in taken) == 1


def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    open_session(Store(tmp_path / "portal.sqlite3"), "b")
    found = Store(tmp_path / "portal.sqlite3").find_session("b", now=LATER)
    assert found is not None
    assert found.claims == {"name": "Trần Thị Hồng Nhung"}
    assert found.tokens == tokens()
    assert found.ended_at is None


def test_a_new_sign_in_replaces_the_session_of_the_former_cookie(store: Store) -> None:
    """Session fixation: the cookie value from before the sign-in opens nothing afterwards."""
    open_session(store, "before")
    open_session(store, "after", instead_of="before")
    assert store.find_session("before", now=LATER) is None
    assert store.find_session("after", now=LATER) is not None


def test_a_session_has_an_end_of_its_own(store: Store) -> None:
    open_session(store, "b")
    found = store.find_session("b", now=NOW + timedelta(hours=2))
    assert found is not None
    assert (found.ended_at, found.ended_by, found.tokens) == (NOW + timedelta(hours=1), "expiry", None)


def test_a_logout_by_sid_ends_that_session_alone_and_forgets_its_tokens(store: Store) -> None:
    """Back-Channel Logout §2.7: another session of the same person, in another browser, stays."""
    open_session(store, "phone", sid="sid-1")
    open_session(store, "office", sid="sid-2")
    assert logout(store, "jti-1", sid="sid-1", sub="sub-1") == 1
    phone, office = store.find_session("phone", now=LATER), store.find_session("office", now=LATER)
    assert phone is not None
    assert office is not None
    assert (phone.ended_by, phone.ended_at, phone.tokens, phone.claims) == ("provider", LATER, None, {})
    assert office.tokens is not None


def test_a_logout_by_sid_alone_is_enough(store: Store) -> None:
    open_session(store, "b")
    assert logout(store, "jti-1", sid="sid-1") == 1


def test_a_sid_of_somebody_else_ends_nothing(store: Store) -> None:
    open_session(store, "b", sub="sub-1", sid="sid-1")
    assert logout(store, "jti-1", sid="sid-1", sub="sub-2") == 0
    found = store.find_session("b", now=LATER)
    assert found is not None
    assert found.tokens is not None


def test_a_logout_by_sub_ends_every_session_of_that_person(store: Store) -> None:
    open_session(store, "phone", sid="sid-1")
    open_session(store, "office", sid="sid-2")
    open_session(store, "other", sub="sub-2", sid="sid-3")
    assert logout(store, "jti-1", sub="sub-1") == 2
    other = store.find_session("other", now=LATER)
    assert other is not None
    assert other.tokens is not None


def test_a_logout_token_is_heard_once(store: Store) -> None:
    """Back-Channel Logout §2.6: the `jti` was not seen before."""
    logout(store, "jti-1", sid="sid-1")
    open_session(store, "b", sid="sid-2")
    with pytest.raises(LogoutReplayed):
        logout(store, "jti-1", sid="sid-2")
    found = store.find_session("b", now=LATER)
    assert found is not None
    assert found.tokens is not None


def test_a_logout_that_overtakes_the_sign_in_wins(store: Store) -> None:
    logout(store, "jti-1", sid="sid-1")
    with pytest.raises(SessionAlreadyEnded):
        open_session(store, "b", sid="sid-1")
    assert store.find_session("b", now=LATER) is None


def test_a_session_ended_twice_keeps_the_first_end(store: Store) -> None:
    session_id = open_session(store, "b")
    store.end_session(session_id, by="person", now=NOW)
    assert logout(store, "jti-1", sid="sid-1") == 0
    found = store.find_session("b", now=LATER)
    assert found is not None
    assert (found.ended_by, found.ended_at) == ("person", NOW)


def test_one_request_at_a_time_refreshes(store: Store) -> None:
    """RFC 9700 §4.14.2: a refresh token is spent once; its second use ends everything."""
    session_id = open_session(store, "b")
    assert store.take_refresh_turn(session_id, now=NOW)
    assert not store.take_refresh_turn(session_id, now=NOW + timedelta(seconds=29))
    assert store.take_refresh_turn(session_id, now=NOW + timedelta(seconds=31))
    store.give_back_refresh_turn(session_id)
    assert store.take_refresh_turn(session_id, now=NOW + timedelta(seconds=32))


def test_what_was_refreshed_meanwhile_does_not_revive_an_ended_session(store: Store) -> None:
    session_id = open_session(store, "b")
    assert store.take_refresh_turn(session_id, now=NOW)
    logout(store, "jti-1", sid="sid-1")
    store.keep_refreshed(session_id, tokens("refresh-2"), {"name": "Trần Thị Hồng Nhung"})
    found = store.find_session("b", now=LATER)
    assert found is not None
    assert (found.tokens, found.claims) == (None, {})
    assert not store.take_refresh_turn(session_id, now=LATER)


def test_neither_cookie_nor_state_can_be_read_from_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "portal.sqlite3")
    open_session(store, "cookie-value-that-nobody-may-read")
    store.begin_journey(
        "state-that-nobody-may-read", browser="cookie-value-that-nobody-may-read", purpose="sign-in", kept={}, now=NOW
    )
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"refresh-1" in written  # the control: what is not digested is found
    assert b"nobody-may-read" not in written
