"""A sign-out on one node is one everywhere, and nothing that the cache forgets brings a session back (ASVS 7.4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
import redis

from idp.kernel.clock import SystemClock
from tests.support.faults import Remote, World, furnish, known_to, own_engines
from tests.support.journeys import is_signed_in
from tests.support.load import wait_until
from tests.support.provider import Browser, make_provider
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("faults")


@dataclass
class Nodes:
    """Two nodes of one provider on one database and one Valkey, and what is around the first."""

    world: World
    first: Remote
    second: Remote

    @property
    def each(self) -> dict[str, Remote]:
        """Both, by name."""
        return {"where it was": self.first, "the other": self.second}

    def signed_in(self, at: Remote) -> dict[str, str]:
        """Sign the citizen in with a browser of its own at one node, and return its cookies."""
        browser = Browser(at)
        self.world.portal.code_for(browser, self.world.citizen)
        return dict(browser.cookies)

    def sign_out(self, at: Remote, cookies: Mapping[str, str]) -> None:
        """Sign a browser out at one node, as its person would."""
        browser = Browser(at, dict(cookies))
        browser.open("/logout")
        browser.submit(decision="sign-out")
        assert browser.at.startswith("/signed-out/"), browser.at
        assert "motcua-session" not in browser.cookies

    def opened_by(self, cookies: Mapping[str, str]) -> dict[str, bool]:
        """Tell for each node whether a browser with these cookies gets a code without a question."""
        asked = self.world.portal.ask(prompt="none")
        answers = {name: Browser(node, dict(cookies)).send("GET", asked).parameters for name, node in self.each.items()}
        assert all(("code" in answer) != (answer.get("error") == "login_required") for answer in answers.values()), answers
        return {name: "code" in answer for name, answer in answers.items()}

    def shown_to(self, cookies: Mapping[str, str]) -> dict[str, bool]:
        """Tell for each node whether a browser with these cookies is shown its person's own page."""
        return {name: is_signed_in(node, cookies["motcua-session"], cookies["motcua-browser"]) for name, node in self.each.items()}

    def begin_sign_ins(self) -> bool:
        """Tell whether a sign-in can begin on both: only with Valkey."""
        return all(Browser(node).open(self.world.portal.ask()).status == 200 for node in self.each.values())


EVERYWHERE = {"where it was": True, "the other": True}
NOWHERE = {"where it was": False, "the other": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with own_engines() as (engines, urls):
        one, two = Served(engines, urls, workers=1), Served(engines, urls, workers=1)
        two.wrapping, two.issuer, two.host = one.wrapping, one.issuer, one.host
        one.make_keys()
        one.start()
        two.start()
        world = furnish(one)
        made = make_provider(engines, urls, SystemClock(), issuer=one.issuer, wrapping_key=one.wrapping)
        second = Remote(**vars(made))
        second.served = two
        known_to(two, world.portal.client_id)
        try:
            yield Nodes(world, world.op, second)
        finally:
            one.stop()
            two.stop()
            world.op.close()
            second.close()


# what Valkey may do ----------------------------------------------------------------------------------------------------------------


@contextmanager
def goes_on(_: World) -> Iterator[None]:
    yield


@contextmanager
def is_emptied(world: World) -> Iterator[None]:
    operator = redis.Redis.from_url(world.engines.redis_url)
    assert operator.dbsize() > 0
    operator.flushall()
    operator.close()
    yield


@contextmanager
def is_restarted(world: World) -> Iterator[None]:
    world.engines.kill_valkey()
    world.engines.restart_valkey()
    yield


@contextmanager
def is_away(world: World) -> Iterator[None]:
    world.engines.kill_valkey()
    try:
        yield
    finally:
        world.engines.restart_valkey()


@pytest.mark.parametrize("valkey", [goes_on, is_emptied, is_restarted, is_away], ids=lambda each: each.__name__)
@pytest.mark.parametrize("signed_out_at", ["where it was", "the other"])
def test_a_cookie_of_before_the_sign_out_opens_nothing_on_any_node(
    nodes: Nodes, valkey: Callable[[World], AbstractContextManager[None]], signed_out_at: str
) -> None:
    """Replayed at once, and after Valkey lost all it knew; a session that nobody ended is the control throughout."""
    copied, other = nodes.signed_in(nodes.first), nodes.signed_in(nodes.second)
    assert (nodes.opened_by(copied), nodes.shown_to(copied)) == (EVERYWHERE, EVERYWHERE)

    nodes.sign_out(nodes.each[signed_out_at], copied)
    assert (nodes.opened_by(copied), nodes.shown_to(copied)) == (NOWHERE, NOWHERE)

    with valkey(nodes.world):
        for _ in range(3):
            assert (nodes.opened_by(copied), nodes.shown_to(copied)) == (NOWHERE, NOWHERE)
            assert (nodes.opened_by(other), nodes.shown_to(other)) == (EVERYWHERE, EVERYWHERE)
    wait_until(nodes.begin_sign_ins, within=10)
    assert (nodes.opened_by(copied), nodes.shown_to(copied)) == (NOWHERE, NOWHERE)

    again = nodes.signed_in(nodes.second)
    mixed = again | {"motcua-session": copied["motcua-session"]}
    assert (nodes.opened_by(mixed), nodes.shown_to(mixed)) == (NOWHERE, NOWHERE)
    assert nodes.opened_by(again) == EVERYWHERE
