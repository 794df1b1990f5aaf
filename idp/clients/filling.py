"""Filling `${NAME}` in declarations from an environment that is given as a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar, cast

from idp.clients.model import DeclarationRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_NAME: Final = re.compile(r"\$\{([^}]*)\}")


def fill(value: T, environment: Mapping[str, str]) -> T:
    """Return `value` (JSON: texts in objects and lists, to any depth) with every `${NAME}` replaced.

    What is put in stays part of its text: it can neither add a field nor be filled itself.

    Raises:
        DeclarationRefused: a name is not set, or `${` has no end.
    """
    return cast("T", _fill(value, environment))


def names_in(value: object) -> frozenset[str]:
    """Return every NAME that a `${NAME}` of `value` asks for: what a foreign file takes from here should be seen."""
    if isinstance(value, str):
        return frozenset(_NAME.findall(value))
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return frozenset().union(*map(names_in, members))


def _fill(value: object, environment: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _fill_text(value, environment)
    if isinstance(value, dict):
        return {name: _fill(member, environment) for name, member in value.items()}
    if isinstance(value, list):
        return [_fill(item, environment) for item in value]
    return value


def _fill_text(text: str, environment: Mapping[str, str]) -> str:
    if "${" in _NAME.sub("", text):
        raise DeclarationRefused("${", "has no end")

    def found(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise DeclarationRefused(match[0], "is not set in the environment")
        return environment[match[1]]

    return _NAME.sub(found, text)
