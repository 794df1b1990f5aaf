"""Every address is meant, found and visited: pages, forms, endpoints, templates and files (laws 3 and 5; design §4, the door)."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from idp.oidc.discovery import PATHS
from tests.support.journeys import Journeys, rules_of
from tests.support.provider import Browser, Provider

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "idp" / "web" / "pages" / "templates"
PARTS = {"layout.html", "components.html", "mark.svg.html", "hero.svg.html"}
"""What pages are made of: extended, imported or included, never shown alone."""


STRANGER: dict[str, tuple[int, int, int, int]] = {
    # GET, HEAD, POST, OPTIONS: endpoints
    "/.well-known/openid-configuration": (200, 200, 405, 204),
    "/authorize": (400, 405, 400, 405),
    "/health/live": (200, 405, 405, 405),
    "/health/ready": (200, 405, 405, 405),
    "/introspect": (405, 405, 401, 405),
    "/jwks": (200, 200, 405, 204),
    "/revoke": (405, 405, 401, 405),
    "/token": (405, 405, 400, 204),
    "/userinfo": (401, 405, 401, 204),
    # pages
    "/": (200, 200, 405, 200),
    "/about": (200, 200, 405, 200),
    "/activate": (200, 200, 403, 200),
    "/activate/<name>/password": (400, 400, 400, 200),
    "/activate/<name>/second-factor": (400, 400, 400, 200),
    "/activate/<name>/recovery-codes": (400, 400, 403, 200),
    "/activated": (200, 200, 405, 200),
    "/consents/withdraw": (405, 405, 403, 200),
    "/help": (200, 200, 405, 200),
    "/i/<interaction_id>": (400, 400, 405, 200),
    "/i/<interaction_id>/account": (400, 400, 400, 200),
    "/i/<interaction_id>/consent": (400, 400, 400, 200),
    "/i/<interaction_id>/enrol": (400, 400, 400, 200),
    "/i/<interaction_id>/level": (400, 400, 400, 200),
    "/i/<interaction_id>/recovery-code": (400, 400, 400, 200),
    "/i/<interaction_id>/recovery-codes": (400, 400, 400, 200),
    "/i/<interaction_id>/sign-in": (400, 400, 400, 200),
    "/i/<interaction_id>/totp": (400, 400, 400, 200),
    "/logout": (200, 200, 303, 200),
    "/logout/confirm": (405, 405, 403, 200),
    "/privacy": (200, 200, 405, 200),
    "/sessions/end": (405, 405, 403, 200),
    "/sign-in": (303, 303, 405, 200),
    "/signed-out/<name>": (200, 200, 405, 200),
    "/static/<file>": (404, 404, 405, 200),
}
"""What a stranger is answered who brings nothing: no cookie, no parameter, no proof, and `nothing` where an address has a name."""


def sources_of(folder: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.py")))


def test_the_two_tables_of_routes_share_no_address(op: Provider) -> None:
    """The door asks the first one first: an address in both would hide a page."""
    assert {str(rule) for rule in rules_of(op)} & set(op.door._routes) == set()


def test_every_address_answers_a_stranger_with_its_status(op: Provider) -> None:
    """The exact table: a new address is put into it with what it answers, and no method is open by accident."""
    addresses = set(op.door._routes) | {str(rule) for rule in rules_of(op)}
    answered = {}
    for address in addresses:
        path = re.sub(r"<[^>]+>", "nothing", address)
        methods = ("GET", "HEAD", "POST", "OPTIONS")
        answered[address] = tuple(op.call(method, path, {} if method == "POST" else None).status for method in methods)
        assert {op.call(method, path).status for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT")} == {405}
    assert answered == STRANGER


def test_no_page_reads_more_of_an_address_than_names_of_ours(op: Provider) -> None:
    """A part of a path is one name, never a path again."""
    assert [rule for rule in rules_of(op) if "path:" in str(rule) or str(rule).endswith("/") != (str(rule) == "/")] == []


def test_no_page_is_reached_by_another_method_than_its_own(op: Provider) -> None:
    """What changes something takes POST alone, or shows its form by GET and changes by POST."""
    assert {frozenset(rule.methods or ()) for rule in rules_of(op)} <= {
        frozenset({"GET", "HEAD", "OPTIONS"}),
        frozenset({"POST", "OPTIONS"}),
        frozenset({"GET", "HEAD", "POST", "OPTIONS"}),
    }


def test_every_route_is_visited_by_a_test(op: Provider, journeys: Journeys) -> None:
    """Each page is in `Journeys.pages`, each form is filled by `Journeys`, and the rest is named by a test."""
    tests = sources_of("tests")
    forms = {name.removeprefix("_fill_") for name in dir(Journeys) if name.startswith("_fill_")}
    elsewhere = {rule.endpoint for rule in rules_of(op)} - set(journeys.pages) - forms
    named = {"begin": "base_of", "static": "/static/", "sign_in_here": '"/sign-in"'}
    assert elsewhere == set(named)
    assert [endpoint for endpoint, sign in named.items() if sign not in tests] == []
    for path in op.door._routes:
        assert f'"{path}' in tests, path


def test_everything_discovery_names_is_there_and_everything_there_is_named(op: Provider) -> None:
    """Law 5."""
    said = op.call("GET", "/.well-known/openid-configuration").json
    prefix = op.rooms.issuer
    named = {value.removeprefix(prefix) for name, value in said.items() if name.endswith(("_endpoint", "_uri"))}
    pages = {str(rule) for rule in rules_of(op)}
    assert named <= set(op.door._routes) | pages
    assert set(op.door._routes) - named == {"/.well-known/openid-configuration", "/health/live", "/health/ready"}
    assert set(PATHS.values()) == named


def test_every_template_is_shown_by_a_view_or_is_a_part_of_one() -> None:
    """Nothing lies about that nobody sees."""
    shown = set(re.findall(r'"([a-z_]+\.html)"', sources_of("idp/web")))
    there = {path.name for path in TEMPLATES.iterdir() if path.is_file()}
    assert there - shown == PARTS
    assert shown - there == set()
    texts = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.iterdir() if path.is_file()}
    used = {part for text in texts.values() for part in re.findall(r'(?:extends|import|include) "([^"]+)"', text)}
    assert used == PARTS


def test_no_template_marks_a_text_as_safe_or_runs_a_script_of_its_own() -> None:
    """Escaping is never switched off; the one inline script is that of the form that posts itself, under the nonce."""
    for path in TEMPLATES.iterdir():
        text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"\|\s*safe\b|autoescape|\bMarkup\b", text), path.name
        assert not re.search(r"\son[a-z]+=|\sstyle=|javascript:", text), path.name
        scripts = re.findall(r"<script\b[^>]*>", text)
        assert all('nonce="{{ nonce }}"' in script for script in scripts), path.name


def test_every_file_that_a_page_loads_is_there_and_every_file_is_loaded(op: Provider) -> None:
    """The manifest and the pages agree."""
    wanted = {name for path in TEMPLATES.iterdir() for name in re.findall(r"asset\('([^']+)'\)", path.read_text(encoding="utf-8"))}
    for path in TEMPLATES.iterdir():
        wanted |= set(re.findall(r"integrity\('([^']+)'\)", path.read_text(encoding="utf-8")))
    there = set(json.loads((ROOT / "idp/web/pages/static/manifest.json").read_text(encoding="utf-8")))
    assert wanted <= there
    linked = re.findall(r'"(/static/[^"]+)"', Browser(op).send("GET", "/help").text)
    assert linked
    assert {op.call("GET", file).status for file in linked} == {200}


def test_every_place_a_page_of_ours_leads_to_is_a_page_of_ours(journeys: Journeys, op: Provider) -> None:
    """No dead link, no dead anchor, on any page."""
    anchors: dict[str, str] = {}
    for endpoint, reach in journeys.pages.items():
        browser = reach()
        assert browser.page is not None
        for address in set(re.findall(r'href="(/[^"]*)"', browser.page.text)):
            path, _, anchor = address.replace("&amp;", "&").partition("#")
            if path.startswith("/static/") or (path.startswith("/i/") and "lang=" not in path):
                continue
            answered = Browser(op, dict(browser.cookies)).send("GET", path)
            assert answered.status in {200, 303}, f"{endpoint} leads to {address}: {answered.status}"
            if anchor:
                anchors[address] = answered.text
    assert [address for address, text in anchors.items() if f'id="{address.partition("#")[2]}"' not in text] == []


def test_no_view_decides_by_itself_where_the_browser_goes_next() -> None:
    """Law 3: redirects of an interaction come from the flow or its dispatcher, in one of three ways."""
    allowed = {"at.base", "it.id", "_own", "/", "asked.back_to", "/logout?", "/activate/", "/signed-out/", "page_for"}
    for path in sorted((ROOT / "idp/web/pages/views").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "see_other":
                target = ast.unparse(node.args[0])
                assert any(sign in target for sign in allowed), f"{path.name}:{node.lineno} leads to {target}"
                assert not re.search(r"/i/|sign-in|totp|consent", target), f"{path.name}:{node.lineno} leads to {target}"
