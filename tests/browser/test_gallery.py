"""Every page in every state, looked at by a browser: accessible, narrow, light, and working without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, BrowserContext, Page, Response

from idp.web.pages.rendering import LOCALES
from tests.support.gallery import Gallery, shots
from tests.support.visitor import RULES

WIDTHS = (320, 1100)
NAMES = [shot.name for shot in shots() if shot.name != "form-post-at-once"]
# States that differ from another one in their words only.
WORDS = [name for name in NAMES if name.startswith(("done-", "error-"))]
SHAPES = [name for name in NAMES if name not in WORDS] + ["done-activated", "error-address_unknown", "error-not_found"]
SHAPES += ["error-request_unreadable-technical"]
# One of each kind of part: colours are the same everywhere.
DARK = ["sign-in-wrong", "enrol", "consent-everything", "home-signed-in", "home-new", "signed-out-missed"]
DARK += ["signed-out-pending", "signed-out-every-state", "error-address_unknown", "too-many", "home"]


@pytest.fixture(scope="module")
def gallery() -> Iterator[Gallery]:
    with Gallery() as serving:
        yield serving


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    """The one Chromium of all browser tests: two drivers cannot live in one thread."""
    return chromium


@pytest.fixture(scope="module", params=WIDTHS)
def looking(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """Give a page of one width; the form that posts itself finds a portal that does not answer."""
    context = browser.new_context(viewport={"width": request.param, "height": 800}, bypass_csp=False)
    yield _page(context)
    context.close()


@pytest.fixture(scope="module")
def without_script(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 320, "height": 800}, java_script_enabled=False)
    yield _page(context)
    context.close()


@pytest.fixture(scope="module")
def in_the_dark(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 320, "height": 800}, color_scheme="dark")
    yield _page(context)
    context.close()


def _page(context: BrowserContext) -> Page:
    page = context.new_page()
    page.add_init_script(path=AXE_FILE_PATH)
    page.route("**/portal", lambda route: route.fulfill(status=204))
    return page


def _open(page: Page, address: str) -> Response:
    response = page.goto(address)
    assert response is not None
    assert response.status == 200
    return response


def _violations(page: Page) -> list[str]:
    found = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", SHAPES)
def test_a_page_has_no_violation_of_wcag_and_does_not_scroll_sideways(gallery: Gallery, looking: Page, name: str, locale: str) -> None:
    """WCAG 2.2 AA and what axe calls best practice; 1.4.10 reflow; the strict policy reports nothing (design §6).

    Narrow in both languages; wide in one, since the other differs by its words alone.
    """
    _open(looking, f"{gallery.origin}/{locale}/{name}")
    if locale == LOCALES[0] or looking.evaluate("innerWidth") == WIDTHS[0]:
        assert _violations(looking) == []
    width = looking.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] <= width[1], f"{name} is {width[0]} wide in {width[1]}"


def test_the_control_what_breaks_a_rule_or_a_good_practice_is_found(gallery: Gallery, looking: Page) -> None:
    _open(looking, f"{gallery.origin}/vi/sign-in")
    looking.evaluate("document.querySelector('#continue').tabIndex = 5; document.documentElement.removeAttribute('lang')")
    assert [found.partition(":")[0] for found in _violations(looking)] == ["html-has-lang", "tabindex"]


@pytest.mark.parametrize("name", DARK)
def test_a_page_in_the_dark_keeps_its_contrasts(gallery: Gallery, in_the_dark: Page, name: str) -> None:
    """WCAG 2.2 AA, 1.4.3."""
    _open(in_the_dark, f"{gallery.origin}/vi/{name}")
    assert _violations(in_the_dark) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_without_javascript_shows_all_it_needs(gallery: Gallery, without_script: Page, name: str) -> None:
    """Design §6: every form can be sent, no button that needs a script is shown."""
    _open(without_script, f"{gallery.origin}/vi/{name}")
    assert without_script.locator("h1").count() == 1
    assert without_script.locator("button[type=button]:visible").count() == 0
    forms = without_script.locator("form[method=post]")
    for index in range(forms.count()):
        assert forms.nth(index).locator("button[type=submit]:visible").count() >= 1
        if name != "form-post":
            assert forms.nth(index).locator("input[name=csrf_token]").count() == 1


def test_an_error_takes_the_focus_without_a_script_and_leads_to_its_field(gallery: Gallery, without_script: Page) -> None:
    """WCAG 2.2 3.3.1; looks, errors."""
    _open(without_script, f"{gallery.origin}/vi/sign-in-wrong")
    assert without_script.title().startswith("Lỗi: ")
    focused = without_script.locator(".govuk-error-summary:focus")
    assert focused.count() == 1
    focused.locator("a").click()
    assert without_script.locator("#password:focus").count() == 1
    assert without_script.locator("#username").input_value() == "092188004471"
    assert without_script.locator("#password").input_value() == ""


def test_a_password_can_be_shown_and_is_sent_from_a_password_field(gallery: Gallery, looking: Page) -> None:
    _open(looking, f"{gallery.origin}/vi/sign-in")
    looking.locator("#password").fill("mật khẩu của tôi")
    toggle = looking.get_by_role("button", name="Hiện mật khẩu")
    toggle.click()
    assert looking.locator("#password").get_attribute("type") == "text"
    assert looking.get_by_role("status").inner_text() == "Mật khẩu đang hiện rõ"
    looking.evaluate("document.forms[0].addEventListener('submit', e => e.preventDefault())")
    looking.locator("#continue").click()
    assert looking.locator("#password").get_attribute("type") == "password"


def test_of_the_forms_of_a_page_the_first_is_sent(gallery: Gallery, browser: Browser) -> None:
    """A second answer would overtake the first, whose new cookie would be lost with it: browsers send the last of several."""
    context = browser.new_context()
    page = _page(context)
    page.route("**/totp", lambda route: route.fulfill(status=204) if route.request.method == "POST" else route.continue_())
    _open(page, f"{gallery.origin}/vi/totp")
    page.locator("#code").fill("123456")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.evaluate("ids => ids.forEach(id => document.getElementById(id).click())", ["continue", "another", "leave"])
    assert "code=123456" in (sent.value.post_data or "")
    assert "decision" not in (sent.value.post_data or "")
    context.close()


def test_a_form_post_answer_sends_itself_with_its_values_as_they_were(gallery: Gallery, looking: Page) -> None:
    """OAuth 2.0 Form Post Response Mode, 2; a hostile `state` stays text."""
    with looking.expect_request("**/portal") as sent:
        looking.goto(f"{gallery.origin}/vi/form-post-at-once", wait_until="commit")
    assert sent.value.method == "POST"
    assert sent.value.post_data == "code=moc_x&state=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E"


def test_the_first_page_weighs_less_than_120_kb_and_the_next_less_than_10(gallery: Gallery, browser: Browser) -> None:
    """Design §6: sizes of bodies as they travel."""
    context = browser.new_context(viewport={"width": 320, "height": 800})
    page = context.new_page()
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto(f"{gallery.origin}/vi/consent-everything", wait_until="networkidle")
    first = sum(sizes)
    sizes.clear()
    page.goto(f"{gallery.origin}/vi/home-signed-in", wait_until="networkidle")
    following = sum(sizes)
    context.close()
    assert 60_000 < first < 120_000
    assert 0 < following < 12_000  # the gallery's pages travel uncompressed; the provider's are compressed


def test_the_policy_of_the_pages_stops_nothing_they_load(gallery: Gallery, browser: Browser) -> None:
    """Content Security Policy Level 3: nothing inline, nothing from elsewhere."""
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    for name in NAMES:
        if name == "form-post":
            continue
        page.goto(f"{gallery.origin}/en/{name}")
    context.close()
    assert [text for text in complaints if not text.startswith("Autofocus processing was blocked")] == []


def test_no_template_carries_a_style_or_a_handler() -> None:
    """A strict policy would silently drop them."""
    folder = Path(__file__).parents[2] / "idp" / "web" / "pages" / "templates"
    inline = re.compile(r"""\s(style|on[a-z]+)\s*=\s*["']""")
    assert [path.name for path in folder.iterdir() if inline.search(path.read_text("utf-8"))] == []
