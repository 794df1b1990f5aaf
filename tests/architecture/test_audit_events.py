"""Every event of the record is documented, named once, and holds nothing that it must not (law 10)."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import idp
from idp.audit.model import Event, event_classes

ROOT = Path(__file__).parents[2]
NEVER = re.compile(r"password|secret|personal_number|phone|e?mail|full_name|birth|address|token|cookie|code$|digest|totp_?code|number$")
"""Names of fields that would hold a person's data or a secret."""


def events() -> list[type[Event]]:
    for module in pkgutil.walk_packages(idp.__path__, "idp."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # A dataclass with slots is made twice: the one that its module holds is the one that is used.
    used = {each for each in event_classes() if getattr(sys.modules[each.__module__], each.__qualname__, None) is each}
    return sorted((each for each in used if each.__module__.startswith("idp.")), key=lambda each: each.kind)


def test_every_event_has_a_kind_of_its_own_in_its_own_room() -> None:
    """`room.what_happened`; never reused for another meaning."""
    kinds: dict[str, type[Event]] = {}
    for event in events():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", event.kind), event
        assert event.kind not in kinds, f"{event} and {kinds[event.kind]} are both {event.kind}"
        kinds[event.kind] = event
        assert event.kind.split(".")[0] == event.__module__.split(".")[1], event
    assert len(kinds) > 25


def test_every_event_says_what_it_means() -> None:
    """The docstring is what an auditor reads."""
    for event in events():
        assert event.__doc__, event
        assert not event.__doc__.startswith(event.__name__ + "("), f"{event} has the docstring of its dataclass"
        assert len(event.__doc__.split()) > 3, event


def test_no_event_has_room_for_a_person_s_data_or_a_secret() -> None:
    """Law 10: what was typed and who it is stays out of the body; ids are columns."""
    for event in events():
        own = [each.name for each in dataclasses.fields(event) if each.name != "origin"]
        assert [name for name in own if NEVER.search(name)] == [], event


def test_every_field_of_an_event_can_be_written_as_json() -> None:
    """A body that cannot be encoded would stop the step it describes."""
    plain = {"str", "int", "bool", "float", "None", "datetime", "UUID", "tuple", "frozenset", "list"}
    for event in events():
        assert dataclasses.is_dataclass(event)
        for each in dataclasses.fields(event):
            if each.name != "origin":
                named = set(re.findall(r"[A-Za-z]+", str(each.type)))
                own = {name for name in named - plain if issubclass(getattr(sys.modules[event.__module__], name, int), str)}
                assert named <= plain | own, (event, each.name, each.type)


def test_every_event_is_written_somewhere() -> None:
    """Nothing is documented that never happens."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "idp").rglob("*.py"))
    assert [event for event in events() if len(re.findall(rf"\b{event.__name__}\b", sources)) < 2] == []
