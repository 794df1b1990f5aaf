"""Pages are text in the reader's language, and values in them stay text."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from jinja2 import UndefinedError

from idp.web.pages.assets import STATIC_FOLDER, Assets
from idp.web.pages.rendering import Renderer, choose_locale, format_day, format_moment
from idp.web.pages.values import Asker, Fact, Link
from tests.support.gallery import shots

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(Assets(), zone=HANOI)


@pytest.mark.parametrize(
    ("wishes", "locale"),
    [
        ((), "vi"),
        ((None, ""), "vi"),
        (("en",), "en"),
        (("en-GB vi",), "en"),
        (("fr-CA fr", "en"), "en"),
        ((None, "fr-FR,fr;q=0.9,en;q=0.8,vi;q=0.7"), "en"),
        (("xx; DROP", "EN_us"), "vi"),
        (("VI-Hant",), "vi"),
    ],
)
def test_the_language_is_the_first_wish_that_we_have(wishes: tuple[str | None, ...], locale: str) -> None:
    """OpenID Connect Core 3.1.2.1 `ui_locales`: unknown ones are no error."""
    assert choose_locale(*wishes) == locale


def test_dates_are_written_in_words_of_the_language() -> None:
    born = dt.date(1988, 3, 14)
    assert (format_day(born, "vi"), format_day(born, "en")) == ("14 tháng 3 năm 1988", "14 March 1988")


def test_instants_are_written_in_the_zone_of_display() -> None:
    at = dt.datetime(2026, 3, 1, 17, 2, tzinfo=dt.UTC)
    assert format_moment(at, "vi", HANOI) == "00:02, 2/3/2026"
    assert format_moment(at, "en", HANOI) == "2 Mar 2026, 00:02"


def test_a_level_ends_on_the_day_of_the_zone_of_display(renderer: Renderer) -> None:
    """It ends with a birthday, which begins at seven in the evening before, in UTC."""
    page = next(shot for shot in shots() if shot.name == "home-signed-in")
    until = {"ial_until": dt.datetime(2027, 3, 3, 17, tzinfo=dt.UTC)}
    written = renderer.render(page.template, locale="en", nonce="n", language_url=None, **{**page.values, **until})
    assert "until 4 March 2027" in written


def test_a_value_that_looks_like_html_is_shown_as_text(renderer: Renderer) -> None:
    """A message id that comes in as a value is no exception."""
    hostile = '<script>alert("%(x)s")</script>'
    page = renderer.render(
        "error.html",
        locale="en",
        nonce="n",
        kind="portal_unknown",
        onward=Link(hostile, '/"><script>'),
        reference=hostile,
        technical=hostile,
        asker=Asker(hostile, hostile),
        language_url='/?a=1&b="',
    )
    assert "<script>alert" not in page
    assert '"><script>' not in page
    assert page.count("&lt;script&gt;alert(&#34;%(x)s&#34;)") == 6


def test_a_missing_value_is_an_error_and_never_a_blank(renderer: Renderer) -> None:
    with pytest.raises(UndefinedError):
        renderer.render("busy.html", locale="vi", nonce="n", retry_url="/")


def test_an_unknown_kind_of_error_is_said_as_our_own_fault(renderer: Renderer) -> None:
    values = {"onward": None, "reference": "R-1", "technical": None}
    page = renderer.render("error.html", locale="vi", nonce="n", kind="of tomorrow", **values)
    assert "<h1>Hệ thống gặp trục trặc</h1>" in page


def test_compiled_templates_are_kept_for_the_next_start(tmp_path: Path) -> None:
    """Both languages share one compiled template and stay apart."""
    values = {"retry_url": "/", "reference": "R-1"}
    for _ in range(2):
        renderer = Renderer(Assets(), zone=HANOI, bytecode_folder=tmp_path)
        assert "Hệ thống đang bận" in renderer.render("busy.html", locale="vi", nonce="n", **values)
        assert "We are busy" in renderer.render("busy.html", locale="en", nonce="n", **values)
    assert any(tmp_path.iterdir())


def test_only_the_end_of_a_number_ever_reaches_a_template() -> None:
    fact = Fact.of_number("personal_number", "092188004471")
    assert "09218800" not in repr(fact)
    assert fact.value == "4471"


def test_a_file_is_found_by_its_name_alone() -> None:
    assets = Assets()
    css = assets.find(assets.url("motcua.css").removeprefix("/static/"))
    assert css is not None
    assert css.content_type == "text/css; charset=utf-8"
    assert css.gzipped is not None
    for name in ("manifest.json", "../values.py", "licences/be-vietnam-pro.txt", "", "motcua.css"):
        assert assets.find(name) is None


def test_a_file_that_is_not_the_manifests_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    shutil.copytree(STATIC_FOLDER, folder)
    assert Assets(folder).url("mark.svg").startswith("/static/mark.")
    name = json.loads((folder / "manifest.json").read_text("utf-8"))["motcua.js"]["file"]
    (folder / name).write_text("alert(1)", "utf-8")
    with pytest.raises(ValueError, match="run make assets"):
        Assets(folder)
