"""Plans and their configuration: the templates beside this file, filled for one suite, issuer and account.

Knows the files and the environment's names; knows nothing of HTTP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.pages import Visitor, special_browsers, usual_browser

HERE = Path(__file__).parent
PLANS = HERE / "plans"
CLIENTS = HERE / "clients.json"

PLAN_NAMES = (
    "oidcc-config-certification-test-plan",
    "oidcc-basic-certification-test-plan",
    "oidcc-formpost-basic-certification-test-plan",
    "oidcc-rp-initiated-logout-certification-test-plan",
    "oidcc-backchannel-rp-initiated-logout-certification-test-plan",
)
"""The plans that are run, in this order."""

SECRET_NAMES = tuple(f"CONFORMANCE_SECRET_{number}" for number in range(1, 5))
"""What fills the clients' secrets, here and at `idp clients import`."""

PLACE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


class ConfigurationError(Exception):
    """Something that the run needs is missing; the message says what and how to give it."""


@dataclass(frozen=True)
class Plan:
    """One plan as the suite takes it."""

    name: str
    variant: dict[str, str]
    configuration: dict[str, Any]


def load_plan(name: str, visitor: Visitor, words: Mapping[str, str]) -> Plan:
    """Return the plan's template with every `${NAME}` filled and the browser's steps put in.

    Raises ConfigurationError for an unknown plan and for a name without a value.
    """
    path = PLANS / f"{name}.json"
    if not path.is_file():
        message = f"no template for the plan {name}: there are {', '.join(PLAN_NAMES)}"
        raise ConfigurationError(message)
    template = fill(json.loads(path.read_text(encoding="utf-8")), words)
    configuration = template["configuration"]
    configuration["browser"] = usual_browser(visitor)
    configuration["override"] = special_browsers(visitor)
    return Plan(template["plan"], template["variant"], configuration)


def load_clients(words: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the declarations of the suite's clients, filled.

    Raises ConfigurationError for a name without a value.
    """
    clients: list[dict[str, Any]] = fill(json.loads(CLIENTS.read_text(encoding="utf-8")), words)
    return clients


def fill(value: Any, words: Mapping[str, str]) -> Any:
    """Return the JSON value with `${NAME}` filled in every string.

    Raises ConfigurationError for a name without a value.
    """
    if isinstance(value, str):
        return PLACE.sub(lambda place: _word(place[1], words), value)
    if isinstance(value, list):
        return [fill(part, words) for part in value]
    if isinstance(value, dict):
        return {name: fill(part, words) for name, part in value.items()}
    return value


def _word(name: str, words: Mapping[str, str]) -> str:
    word = words.get(name, "")
    if not word:
        message = f"{name} has no value: set it in the environment (`python -m tests.conformance.prepare` makes one)"
        raise ConfigurationError(message)
    return word


def choose_account(demo: Mapping[str, Any], name: str | None = None) -> tuple[str, str]:
    """Username and password of the account that the suite's browser signs in, from `idp demo --json`.

    The clients' minimum is `ial1.aal1`: an account of level 1 or 2 that is not locked, by choice one without a
    second factor, since the browser cannot know a code that changes every 30 seconds. A name picks an account.
    Raises ConfigurationError when no account fits.
    """
    accounts = [account for account in demo["accounts"] if account.get("password")]
    if name is not None:
        fitting = [account for account in accounts if name in (account["name"], account["username"])]
    else:
        fitting = [account for account in accounts if int(account["ial"] or 0) >= 1 and not _is_locked(account)]
        fitting.sort(key=lambda account: bool(account.get("totp_secret")))
    if not fitting:
        wanted = name or "identification level 1 or 2, not locked"
        message = f"no demo account fits ({wanted}): name one with --account"
        raise ConfigurationError(message)
    return fitting[0]["username"], fitting[0]["password"]


def _is_locked(account: Mapping[str, Any]) -> bool:
    words = f"{account.get('name', '')} {account.get('note', '')}".casefold()
    return "lock" in words or "khóa" in words or "khoá" in words
