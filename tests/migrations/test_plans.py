"""Every hot statement looks rows up by keys, in a database that is empty as in one that holds little (decision 0002).

A connection keeps the plan it made first. One that reads a whole index would be right for the first person and wrong for the
ten-thousandth, so each plan is looked at before anybody has told the planner how large the tables are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from idp.assurance import store as assurance
from idp.audit import reading as audit
from idp.demo.engines import DatabaseUrls
from idp.grants import store as grants
from idp.sessions import store as sessions
from idp.storage.postgres import Database
from idp.storage.prepared import Compiled
from tests.support.provider import Browser, Provider

ONE_ROW = frozenset({"deployment"})
"""Tables that can hold one row only."""


@pytest.fixture(scope="module")
def statements(op: Provider) -> Mapping[str, str]:
    """Whatever a journey from the sign-in to the revocation sends as a hot step, and what it does not happen to send."""
    seen: dict[str, str] = {}
    names = {text: name for module in (grants, sessions) for name, text in vars(module).items() if isinstance(text, str)}
    step = Database.step

    def recording(self: Database, statement: str, parameters: Mapping[str, object]) -> Any:
        seen[names.get(statement, " ".join(statement.split())[:60])] = statement
        return step(self, statement, parameters)

    person = op.person()
    portal = op.client(grant_types=["authorization_code", "refresh_token", "client_credentials"])
    browser = Browser(op)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "step", recording)
        code = portal.code_for(browser, person, scope="openid profile offline_access", acr_values="urn:motcua:acr:ial0.aal2")
        tokens = portal.redeem(code).json
        tokens = portal.refresh(tokens["refresh_token"]).json
        for _ in range(2):
            portal.userinfo(tokens["access_token"])
        for name in ("access_token", "refresh_token"):
            portal.introspect(tokens[name])
        portal.code_for(browser, person, scope="openid profile")
        portal.introspect(portal.call("/token", {"grant_type": "client_credentials"}).json["access_token"])
        portal.revoke(tokens["refresh_token"])
        browser.open("/")
    assert {"ISSUE_CODE", "ISSUE_CODE_AGAIN", "REDEEM_CODE", "REFRESH", "DISCLOSE", "READ_DISCLOSED", "REVOKE"} <= set(seen)
    assert {"INTROSPECT_ACCESS", "INTROSPECT_CLIENT_ACCESS", "INTROSPECT_REFRESH"} <= set(seen)
    return seen


def scans(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield every place of a plan that reads a table, or an index, from one end to the other."""
    kind = node["Node Type"]
    if kind == "Seq Scan" and node["Relation Name"] not in ONE_ROW:
        yield node["Relation Name"]
    elif "Index" in kind and "Index Cond" not in node:
        yield node["Index Name"]
    for below in node.get("Plans", ()):
        yield from scans(below)


def test_every_hot_statement_looks_up_by_keys(statements: Mapping[str, str], database_urls: DatabaseUrls) -> None:
    found = {}
    with psycopg.connect(database_urls.app, autocommit=True) as connection:
        for name, statement in statements.items():
            plan = connection.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + Compiled(statement).text).fetchone()
            assert plan is not None
            found[name] = list(scans(plan[0][0]["Plan"]))
    assert {name: where for name, where in found.items() if where} == {}


@pytest.mark.parametrize("statement", [assurance.FIND_UNDER_POLICY, audit.LATEST_OF_ACCOUNT, audit.PAGE_BEFORE, audit.PAGE_AFTER])
def test_what_upgrades_and_operators_ask_for_is_found_by_keys(statement: str, database_urls: DatabaseUrls) -> None:
    """However many people there are, and however long the record is."""
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + Compiled(statement).text).fetchone()
    assert plan is not None
    assert list(scans(plan[0][0]["Plan"])) == []


def test_a_plan_that_reads_a_whole_index_is_seen(database_urls: DatabaseUrls) -> None:
    """The control: without what the role is told, a consent is found by reading all of them."""
    with psycopg.connect(database_urls.app, autocommit=True) as connection:
        connection.execute("SET cpu_tuple_cost = 0.01")
        connection.execute("SET cpu_index_tuple_cost = 0.005")
        plan = connection.execute("EXPLAIN (FORMAT JSON) SELECT g.id FROM grant_alive g WHERE g.id = gen_random_uuid()").fetchone()
    assert plan is not None
    assert "consent_in_force" in set(scans(plan[0][0]["Plan"]))
