"""The words of the pages: every message that a page can say is in the Vietnamese catalogue, and nothing else is."""

from __future__ import annotations

import io
import re
import string

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from frontend.messages import CATALOGUE, extract

MARKUP = re.compile(r"<[^>]+>")


def sources() -> dict[str, str]:
    """Return every message of the sources, with the file that says it."""
    said: dict[str, str] = {}
    for file, message, _ in extract():
        said.setdefault(message[0] if isinstance(message, tuple) else message, file)
    return said


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    return read_po(io.BytesIO(CATALOGUE.read_bytes()), locale="vi", abort_invalid=True)


@pytest.fixture(scope="module")
def messages(catalogue: Catalog) -> dict[str, Message]:
    return {_first(message.id): message for message in catalogue if message.id}


def _first(text: str | list[str] | tuple[str, ...] | None) -> str:
    return text if isinstance(text, str) else (text or ("",))[0]


def _names(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)", text))


def test_every_message_that_a_page_can_say_has_a_translation(messages: dict[str, Message]) -> None:
    """Issue, Pages: a missing message fails."""
    said = sources()
    assert len(said) > 200
    missing = {text: file for text, file in said.items() if text not in messages or not _first(messages[text].string)}
    assert missing == {}


def test_the_catalogue_holds_nothing_that_no_page_says(catalogue: Catalog, messages: dict[str, Message]) -> None:
    assert sorted(set(messages) - set(sources())) == []
    assert list(catalogue.obsolete) == []


def test_no_translation_is_a_guess(messages: dict[str, Message]) -> None:
    assert [text for text, message in messages.items() if message.fuzzy] == []


def test_a_translation_keeps_the_values_and_the_marks_of_its_message(messages: dict[str, Message]) -> None:
    """A forgotten value would be a sentence with a hole, an added one an error at run time."""
    for text, message in messages.items():
        translated = _first(message.string)
        assert _names(translated) == _names(text), text
        assert MARKUP.findall(translated) == MARKUP.findall(text), text
        assert bool(text[-1] in string.punctuation) == bool(translated[-1] in string.punctuation), text


def test_the_compiled_catalogue_is_that_of_the_source(messages: dict[str, Message]) -> None:
    """`make messages` was run."""
    with CATALOGUE.with_suffix(".mo").open("rb") as compiled:
        ready = {_first(message.id): _first(message.string) for message in read_mo(compiled) if message.id}
    assert ready == {text: _first(message.string) for text, message in messages.items()}
