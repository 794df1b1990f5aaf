"""Calls of the command `idp` within the test's own process, as an operator's settings make them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from idp.demo.people import synthetic_person

WRAPPING = "test:" + base64.urlsafe_b64encode(bytes(range(32))).decode()


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ended]


def add(command: Command, n: int) -> Any:
    """Enter synthetic citizen `n` and return the document of that."""
    person = synthetic_person(n)
    ended = command(
        *("accounts", "add", "--json", "--by", "officer.one", "--number", person.personal_number, "--name", person.full_name),
        *("--born", person.birth_date.isoformat(), "--sex", person.sex.value, "--phone", person.phone, "--email", person.email),
    )
    assert ended.code == 0, ended.err
    return ended.document
