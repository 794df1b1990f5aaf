"""The gallery, which browsers look at, shows all that the templates can say."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from jinja2 import Environment

from idp.web.pages.assets import Assets
from idp.web.pages.rendering import Renderer
from tests.support.gallery import shots

TEMPLATES = Path(__file__).parents[3] / "idp" / "web" / "pages" / "templates"
_PLACE = re.compile(r"%\(\w+\)s")


def one_line(text: str) -> str:
    return " ".join(html.unescape(text).split())


def sentences_of(source: str) -> Iterator[str]:
    """Yield every sentence that a template says by itself, singular and plural."""
    reading = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    reading.policies["ext.i18n.trimmed"] = True
    for _, _, said in reading.extract_translations(source):  # type: ignore[attr-defined]  # the extension adds it
        yield from (said,) if isinstance(said, str) else filter(None, said)


def says(page: str, sentence: str) -> bool:
    """Whether the sentence's words stand on a page in their order, with something in each of its places."""
    at = 0
    for part in map(one_line, _PLACE.split(sentence)):
        at = page.find(part, at) + len(part)
        if at < len(part):
            return False
    return True


@pytest.fixture(scope="module")
def pages() -> list[str]:
    """Every shot in English, where messages are what templates say."""
    renderer = Renderer(Assets(), zone=ZoneInfo("Asia/Ho_Chi_Minh"))
    return [one_line(renderer.render(shot.template, locale="en", nonce="n", language_url="/vi/", **shot.values)) for shot in shots()]


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.glob("*.html")))
def test_every_sentence_of_a_template_is_shown_in_the_gallery(pages: list[str], template: str) -> None:
    """What no shot shows, no browser has looked at: add the state to tests/support/gallery.py."""
    said = set(sentences_of((TEMPLATES / template).read_text("utf-8")))
    assert [sentence for sentence in sorted(said) if not any(says(page, sentence) for page in pages)] == []


def test_the_control_a_sentence_that_nothing_shows_is_missed(pages: list[str]) -> None:
    (shown, not_shown) = sentences_of('{{ _("Sign in") }} {% trans name=name %}{{ name }}, nobody says this{% endtrans %}')
    assert any(says(page, shown) for page in pages)
    assert not any(says(page, not_shown) for page in pages)
    assert says("An, you are here", "%(name)s, you are here")
    assert not says("you are here", "%(name)s, you are here")


def test_no_two_shots_of_a_name_stand_for_each_other() -> None:
    """A shot of another's name would be looked at by nobody."""
    names = [shot.name for shot in shots()]
    assert sorted(set(names)) == sorted(names)
