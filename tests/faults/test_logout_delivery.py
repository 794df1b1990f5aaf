"""One try to tell a portal, whatever the portal does (OIDC Back-Channel Logout 1.0 §2.5 to §2.8)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from idp.audit.model import Origin
from idp.demo.engines import DatabaseUrls
from idp.egress import Egress, Limits
from idp.jobs import Again
from idp.jose import Expected, verify
from idp.kernel.clock import FixedClock
from idp.oidc.logout import GivenUp, LogoutDelivery, Told, TryAgain
from idp.sessions.model import Notice
from idp.storage.postgres import Database
from tests.support.ended_sessions import ISSUER, House
from tests.support.portal_sink import PortalSink

NOTICES = "SELECT id FROM logout_notice WHERE session_id = %(session_id)s ORDER BY id"


@pytest.fixture(scope="module")
def worker_database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.worker)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def sink() -> Iterator[PortalSink]:
    with PortalSink() as running:
        yield running


@pytest.fixture
def house(database: Database, clock: FixedClock) -> House:
    made = House.over(database, clock)
    made.make_keys()
    return made


@pytest.fixture
def delivery(worker_database: Database, clock: FixedClock, sink: PortalSink) -> LogoutDelivery:
    """As the role of the worker."""
    egress = Egress(allow=(sink.origin,), limits=Limits(connect=0.3, total=0.3))
    return House.over(worker_database, clock).delivery(egress)


def end_one(house: House, sink: PortalSink, name: str, *modes: str) -> tuple[UUID, UUID]:
    """End a session that reached one portal; return the ids of the session and of the notice."""
    sink.modes[name] = list(modes)
    house.add_portals({name: sink.url(name)})
    session_id = house.begin_session(house.add_account(), [name])
    assert house.end(session_id) == 1
    with house.database.transaction() as transaction:
        return session_id, transaction.all(NOTICES, {"session_id": session_id})[0].id


def outcome(house: House, session_id: UUID) -> tuple[str, int, str | None]:
    notice: Notice = house.sessions.notices(session_id)[0]
    return notice.state, notice.attempts, notice.last_outcome


def read(house: House, sent: str, name: str) -> dict[str, Any]:
    expected = Expected(frozenset({"ES256"}), ISSUER, f"{name}.portal", house.clock.now(), frozenset({"logout+jwt"}))
    return dict(verify(sent, house.keys.verifying(), expected))


@pytest.mark.parametrize("status", ["ok", "204"])
def test_a_portal_that_answers_200_or_204_is_told(house: House, delivery: LogoutDelivery, sink: PortalSink, status: str) -> None:
    session_id, notice_id = end_one(house, sink, f"told-{status}", status)
    assert delivery.tell(notice_id) == Told()
    assert outcome(house, session_id) == ("told", 1, "delivered")
    assert list(sink.received[f"told-{status}"][0].form) == ["logout_token"]


def test_telling_again_what_was_told_calls_nobody(house: House, delivery: LogoutDelivery, sink: PortalSink) -> None:
    """Jobs are done at least once."""
    _, notice_id = end_one(house, sink, "twice", "ok")
    assert [delivery.tell(notice_id), delivery.tell(notice_id)] == [Told(), Told()]
    assert len(sink.received["twice"]) == 1


def test_each_try_carries_a_fresh_logout_token(house: House, delivery: LogoutDelivery, sink: PortalSink, clock: FixedClock) -> None:
    """§2.4: `jti` of its own, short life; `sub` and `sid` of the portal; no nonce."""
    session_id, notice_id = end_one(house, sink, "fresh", "500", "ok")
    assert isinstance(delivery.tell(notice_id), TryAgain)
    clock.advance(timedelta(minutes=3))
    assert delivery.tell(notice_id) == Told()
    assert outcome(house, session_id) == ("told", 2, "delivered")
    first, second = (received.form["logout_token"][0] for received in sink.received["fresh"])
    claims = read(house, second, "fresh")
    assert claims["sid"] == f"fresh {session_id}"
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert claims["exp"] - claims["iat"] == 120
    assert "nonce" not in claims
    assert first != second


@pytest.mark.parametrize(
    ("mode", "recorded"), [("500", "http_500"), ("503", "http_503"), ("redirect", "http_302"), ("404", "http_404"), ("hang", "timeout")]
)
def test_a_portal_that_fails_is_tried_again(
    house: House, delivery: LogoutDelivery, sink: PortalSink, mode: str, recorded: str
) -> None:
    session_id, notice_id = end_one(house, sink, f"fails-{mode}", mode)
    answered = delivery.tell(notice_id)
    assert isinstance(answered, TryAgain)
    assert timedelta(seconds=0.75) <= answered.after <= timedelta(seconds=1.25)
    assert outcome(house, session_id) == ("trying", 1, recorded)
    assert "elsewhere" not in sink.received


def test_a_portal_that_answers_without_end_is_told_by_its_status(house: House, delivery: LogoutDelivery, sink: PortalSink) -> None:
    session_id, notice_id = end_one(house, sink, "huge", "huge")
    assert delivery.tell(notice_id) == Told()
    assert outcome(house, session_id) == ("told", 1, "delivered")


def test_a_portal_that_refuses_is_not_asked_again(house: House, delivery: LogoutDelivery, sink: PortalSink) -> None:
    """§2.8: 400 says that the request was not understood or the logout failed; another try says the same."""
    session_id, notice_id = end_one(house, sink, "refuses", "400")
    assert delivery.tell(notice_id) == GivenUp()
    assert delivery.tell(notice_id) == Told()
    assert outcome(house, session_id) == ("given_up", 1, "refused")
    assert len(sink.received["refuses"]) == 1


def test_a_portal_that_is_not_there_is_unreachable(house: House, delivery: LogoutDelivery) -> None:
    house.add_portals({"absent": "http://127.0.0.1:18619/absent"})
    session_id = house.begin_session(house.add_account(), ["absent"])
    house.end(session_id)
    with house.database.transaction() as transaction:
        notice_id = transaction.all(NOTICES, {"session_id": session_id})[0].id
    absent = House.over(house.database, house.clock).delivery(Egress(allow=("http://127.0.0.1:18619",)))
    assert isinstance(absent.tell(notice_id), TryAgain)
    assert outcome(house, session_id) == ("trying", 1, "unreachable")
    assert isinstance(delivery.tell(notice_id), TryAgain)
    assert outcome(house, session_id) == ("trying", 2, "not_allowed")


def test_tries_come_ever_later_up_to_ten_minutes_and_end_after_a_day(house: House, sink: PortalSink, clock: FixedClock) -> None:
    """Retry 1 s to 10 min for 24 h. Each try through breakers of its own, so that every one is made."""
    session_id, notice_id = end_one(house, sink, "never", "500")
    waited: list[float] = []
    while True:
        egress = Egress(allow=(sink.origin,))
        answered = house.delivery(egress).tell(notice_id)
        if not isinstance(answered, TryAgain):
            break
        waited.append(answered.after.total_seconds())
        clock.advance(answered.after)
    assert answered == GivenUp()
    for index, longest in enumerate((1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600)):
        assert 0.75 * longest <= waited[index] <= 1.25 * longest
    assert 86400 <= sum(waited) <= 86400 + 750
    assert outcome(house, session_id) == ("given_up", len(waited) + 1, "http_500")


def test_while_the_breaker_is_open_nobody_is_called_and_no_try_is_counted(
    house: House, delivery: LogoutDelivery, sink: PortalSink
) -> None:
    session_id, notice_id = end_one(house, sink, "open", "hang")
    for _ in range(3):
        assert isinstance(delivery.tell(notice_id), TryAgain)
    answered = delivery.tell(notice_id)
    assert isinstance(answered, TryAgain)
    assert answered.after >= timedelta(seconds=1)
    assert outcome(house, session_id) == ("trying", 3, "timeout")
    assert len(sink.received["open"]) == 3


def test_a_portal_that_hangs_holds_two_threads_at_most(house: House, worker_database: Database, sink: PortalSink) -> None:
    """Concurrency cap for each portal."""
    sink.modes["crowd"] = ["hang"]
    house.add_portals({"crowd": sink.url("crowd")})
    account_id = house.add_account()
    notices = []
    for _ in range(6):
        session_id = house.begin_session(account_id, ["crowd"])
        house.end(session_id)
        with house.database.transaction() as transaction:
            notices.append(transaction.all(NOTICES, {"session_id": session_id})[0].id)
    crowded = House.over(worker_database, house.clock).delivery(
        Egress(allow=(sink.origin,), limits=Limits(connect=1.0, total=1.0))
    )
    barrier = threading.Barrier(6)

    def tell(notice_id: UUID) -> object:
        barrier.wait()
        try:
            return crowded.tell(notice_id)
        finally:
            worker_database._drop()  # the connection that this thread keeps

    with ThreadPoolExecutor(6) as threads:
        assert all(isinstance(each, TryAgain) for each in threads.map(tell, notices))
    assert len(sink.received["crowd"]) == 2


def test_a_portal_that_registers_no_address_any_more_is_given_up(house: House, delivery: LogoutDelivery, sink: PortalSink) -> None:
    session_id, notice_id = end_one(house, sink, "moved", "ok")
    declared = {**house.clients.show("moved.portal").metadata}
    del declared["backchannel_logout_uri"]
    house.clients.import_([declared], origin=Origin.operated("test"))
    assert delivery.tell(notice_id) == GivenUp()
    assert outcome(house, session_id) == ("given_up", 1, "no_address")


def test_the_job_asks_for_itself_again(house: House, delivery: LogoutDelivery, sink: PortalSink) -> None:
    _, notice_id = end_one(house, sink, "job", "500", "ok")
    with pytest.raises(Again) as caught:
        delivery.do({"notice": str(notice_id)})
    assert caught.value.after <= timedelta(seconds=1.25)
    delivery.do({"notice": str(notice_id)})
