"""Writes `docs/reference/` from the sources, so that settings, commands, addresses, events and errors are never told twice.

`python docs/generate.py` writes; with `--check` it changes nothing and fails where a page is out of date.
Owns the form of those pages and the advice beside each error. Must not know anything that the sources can say themselves.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import click
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

import idp
from idp.app import protocol_routes
from idp.audit.model import Event, event_classes
from idp.kernel.refusals import Refusal
from idp.oidc.engine.server import _WORDS
from idp.oidc.errors import DESCRIPTIONS
from idp.settings import PREFIX, Settings, _unsafe
from idp.web.pages.application import create_pages
from idp.web.pages.views.standing_pages import static_file
from idp.web.protocol.health import Health

ROOT: Final = Path(__file__).parents[1]
REFERENCE: Final = ROOT / "docs" / "reference"
_WRITTEN: Final = "<!-- written by docs/generate.py; do not edit -->"

WHAT_TO_DO: Final = {
    "access_denied": "The person said no, or went back without signing in. Say so and offer to sign in again; do not ask in a loop.",
    "consent_required": "Only with `prompt=none`: begin again without it.",
    "insufficient_scope": "Ask for the scope `openid` at the sign-in.",
    "invalid_client": "Compare method, `client_id`, secret or key with the registered ones; in an assertion: `aud`, `jti`, `exp`.",
    "invalid_grant": "Begin a new sign-in. A code is good once and for a minute; a refresh token is replaced with every use.",
    "invalid_request": "The request is malformed: the description says what. Trying again unchanged does not help.",
    "invalid_scope": "Ask for `openid` and for scopes that are assigned to you; at a refresh for no more than was granted.",
    "invalid_token": "Refresh, or begin a new sign-in; the session, the consent or the account may have ended.",
    "login_required": "Only with `prompt=none`, or when another person signed in than was asked for: begin again without it.",
    "registration_not_supported": "Leave the parameter `registration` out.",
    "request_not_supported": "Leave the parameter `request` out: send plain parameters.",
    "request_uri_not_supported": "Leave the parameter `request_uri` out: send plain parameters.",
    "server_error": "A fault of ours: try again later, and tell us the reference code if it stays.",
    "temporarily_unavailable": "Try again after what `Retry-After` says; nothing was lost.",
    "unauthorized_client": "The client is unknown, disabled, past its end, or not registered for this: ask its registrar.",
    "unmet_authentication_requirements": "The person cannot reach the class now: say what is needed, and let other services be used.",
    "unsupported_grant_type": "Use `authorization_code`, `refresh_token` or `client_credentials`.",
    "unsupported_response_type": "Use `response_type=code`.",
}
"""By protocol error: what the team of a portal does about it."""

_PLACES: Final = {
    "NotRedirectable": "a page; nothing is sent to the portal",
    "AnswerWithError": "the redirect URI",
    "Unreadable": "the redirect URI",
    "ClientNotKnown": "a page; nothing is sent to the portal",
    "ClientOver": "a page; nothing is sent to the portal",
    "AddressNotKnown": "a page; nothing is sent to the portal",
    "TokenError": "token, introspection, revocation (JSON)",
    "InvalidClient": "token, introspection, revocation (JSON, 401)",
    "BearerError": "userinfo (`WWW-Authenticate` and JSON)",
}


def load_everything() -> None:
    """Import every module of the provider, so that each event and refusal is known."""
    for module in pkgutil.walk_packages(idp.__path__, "idp."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


# forms --------------------------------------------------------------------------------------------------------------------------


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    return lines + ["| " + " | ".join(_cell(each) for each in row) + " |" for row in rows]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def summary(documented: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    text = documented if isinstance(documented, str) else getattr(documented, "__doc__", None) or ""
    return " ".join(text.strip().split("\n\n")[0].split())


def _page(title: str, lead: str, *parts: Iterable[str]) -> str:
    lines = [_WRITTEN, "", f"# {title}", "", lead, ""]
    for part in parts:
        lines += [*part, ""]
    return "\n".join(lines).rstrip() + "\n"


# settings -----------------------------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """Return the page of the settings: each field with its unit and default, and what stops a start."""
    rows = []
    for name, field in Settings.model_fields.items():
        secret = "secret" if "SecretStr" in str(field.annotation) else ""
        rows.append((f"`{PREFIX}{name.upper()}`", _default(field.default), secret, field.description or ""))
    sentences = [sentence for _, sentence in _unsafe(Settings())]
    return _page(
        "Settings",
        f"Read from the environment, or from files named like the setting in the folder that `{PREFIX}SECRETS_DIR` names (the "
        "environment wins). An unknown name stops the start. Times are seconds or ISO 8601 (`PT10M`); lists are separated by spaces or "
        "commas. A serving process removes all of them from its environment once they are read. A secret goes into a file, not onto a "
        "command line.",
        table(("setting", "default", "", "meaning"), rows),
        ["## What stops the start", "", "Each refusal is one sentence, printed by every command and by `idp check`:"],
        [f"- {sentence}" for sentence in sentences],
    )


def _default(value: object) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, SecretStr):
        return "set"
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():.0f}` ({_length(value)})"
    if isinstance(value, tuple):
        return f"`{' '.join(value)}`" if value else "none"
    return f"`{value}`"


def _length(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


# events -------------------------------------------------------------------------------------------------------------------------


def known_events() -> list[type[Event]]:
    """Return every class of event, by its kind."""
    # A class with slots leaves the one it was made from behind, so a kind may be met twice.
    known = {each.kind: each for each in event_classes() if each.kind and each.__module__.startswith("idp.")}
    return [known[kind] for kind in sorted(known)]


def events_page() -> str:
    """Return the page of the audit events, room by room."""
    rooms: dict[str, list[type[Event]]] = {}
    for event in known_events():
        rooms.setdefault(event.kind.partition(".")[0], []).append(event)
    parts: list[Iterable[str]] = []
    for room, events in rooms.items():
        rows = [(f"`{each.kind}`", summary(each), ", ".join(f"`{name}`" for name in _own_fields(each))) for each in events]
        parts += [[f"## {room}"], table(("kind", "what happened", "fields"), rows)]
    return _page(
        "Audit events",
        "What the record holds. Every event is written in the step it describes, so it is there exactly when the change is. Beside its "
        "own fields each has `at`, `kind`, the request's id (the reference code that a person sees) or the operator, the address where "
        "there was one, and the ids of the account, client, session, grant and object it concerns, as far as it concerns any. None holds "
        "a secret or a personal number. A kind is never used again for another meaning. Read them with `idp audit tail`.",
        *parts,
    )


def _own_fields(event: type[Event]) -> list[str]:
    return [each.name for each in fields(event) if each.name != "origin"]


# errors -------------------------------------------------------------------------------------------------------------------------


def protocol_errors() -> list[tuple[str, str, str]]:
    """Return error, description and place of every protocol error that the sources raise, found by reading them."""
    found = {(error, text, "the redirect URI") for error, text in DESCRIPTIONS.items()}
    found |= {(error, text, _PLACES["TokenError"]) for error, text in _WORDS.items()}
    for path in sorted([*(ROOT / "idp" / "oidc").rglob("*.py"), *(ROOT / "idp" / "web").rglob("*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= set(_raised(tree)) | set(_answered(tree))
    return sorted(found)


def _raised(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    for scope in ast.walk(tree):
        owner = scope.name if isinstance(scope, ast.ClassDef) else ""
        for node in ast.walk(scope) if owner in _PLACES else []:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
                yield from _constants(node, _PLACES[owner])
        if isinstance(scope, ast.Call) and isinstance(scope.func, ast.Name) and scope.func.id in _PLACES:
            yield from _constants(scope, _PLACES[scope.func.id])


def _constants(call: ast.Call, place: str) -> Iterator[tuple[str, str, str]]:
    texts = [_text(each) for each in call.args[:2]]
    match texts:
        case [str(error), str(description)] if error and description:
            yield error, description, place


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def _answered(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Yield what answers say outright, without an exception: objects with `error` and `error_description`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        said = {key.value: _text(value) for key, value in zip(node.keys, node.values, strict=True) if isinstance(key, ast.Constant)}
        error, text = said.get("error"), said.get("error_description")
        if error and text:
            yield error, text, "any address that programs call (JSON)"


def known_refusals() -> list[type[Refusal]]:
    """Return every class of refusal, by its code."""

    def below(base: type[Refusal]) -> Iterator[type[Refusal]]:
        for each in base.__subclasses__():
            yield each
            yield from below(each)

    own = {each for each in below(Refusal) if each.__module__.startswith("idp.") and "code" in vars(each)}
    return sorted(own, key=lambda each: (each.code, each.__name__))


def error_pages() -> list[tuple[str, str]]:
    """Return kind and heading of every error page."""
    template = (ROOT / "idp/web/pages/templates/error.html").read_text(encoding="utf-8")
    return re.findall(r'^  "(\w+)": \(_\("([^"]+)"\)', template, re.MULTILINE)


def errors_page() -> str:
    """Return the page of the errors: of the protocol, of the rules, of the pages."""
    protocol = protocol_errors()
    codes = list(dict.fromkeys(error for error, _, _ in protocol))
    refusals = [(f"`{each.code}`", summary(each)) for each in known_refusals()]
    pages = [(f"`{kind}`", heading) for kind, heading in error_pages()]
    return _page(
        "Errors",
        "Every error page says what happened, what to do next, and a reference code (ten letters and digits) that the log has too. "
        "Descriptions for portals come from a closed set and never repeat what was sent.",
        ["## What a portal is told", "", "Act on `error`; `error_description` is for your log."],
        table(("error", "what to do"), [(f"`{error}`", WHAT_TO_DO[error]) for error in codes]),
        ["Every description, and where it comes:"],
        table(("error", "description", "where"), [(f"`{error}`", text, place) for error, text, place in protocol]),
        ["## Why a rule refused", "", "Stable codes, as commands print them with `--json` (field `error`) and the log names them."],
        table(("code", "meaning"), refusals),
        [
            "## What a person sees",
            "",
            "Error pages, by their kind. Beside them stand a page for too many tries (429) and one for a busy provider (503).",
        ],
        table(("kind", "heading"), pages),
    )


# addresses ----------------------------------------------------------------------------------------------------------------------


def known_routes() -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Return path, methods and meaning of every address: the protocol's, and the pages'."""
    nothing = cast("Any", _Nothing())
    protocol = []
    for path, methods in protocol_routes(nothing, nothing, nothing).items():
        meanings = [HEALTH.get(path) or summary(_documented(endpoint)) for endpoint in methods.values()]
        protocol.append((f"`{path}`", " ".join(sorted(methods)), next(each for each in meanings if each)))
    application = create_pages(nothing, nothing)
    people = []
    for rule in sorted(application.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = application.view_functions[rule.endpoint]
        verbs = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        people.append((f"`{rule.rule}`", " ".join(verbs), summary(view) or summary(static_file)))
    return protocol, people


HEALTH = {path: summary(view) for path, view in (("/health/live", Health.live), ("/health/ready", Health.ready))}
"""They are asked of an object that is not made here."""


class _Nothing:
    """Stands for whatever the routes are given and do not look at while they are listed."""

    issuer = "https://id.example"

    def __getattr__(self, _name: str) -> Any:
        return _Nothing()


def _documented(endpoint: Callable[..., object]) -> object:
    return endpoint if hasattr(endpoint, "__qualname__") else type(endpoint).__call__


def routes_page() -> str:
    """Return the page of the addresses."""
    protocol, people = known_routes()
    return _page(
        "Addresses",
        "Everything below the issuer. `POST` takes `application/x-www-form-urlencoded`, 64 kB at most.",
        ["## For programs"],
        table(("address", "methods", "what it does"), protocol),
        ["## For people"],
        table(("address", "methods", "what it does"), people),
    )


# commands -----------------------------------------------------------------------------------------------------------------------


def known_commands() -> list[tuple[str, click.Command]]:
    """Return every command that does something, with its full name."""
    command = importlib.import_module("idp.cli").idp
    return sorted(_leaves("idp", command))


def _leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command
    context = click.Context(command, info_name=name)
    for each in command.list_commands(context):
        below = command.get_command(context, each)
        if below is not None:
            yield from _leaves(f"{name} {each}", below)


def commands_page() -> str:
    """Return the page of the commands."""
    parts: list[Iterable[str]] = []
    for name, command in known_commands():
        context = click.Context(command, info_name=name, max_content_width=400, terminal_width=400)
        usage = command.get_usage(context).removeprefix("Usage: ")
        records = (each.get_help_record(context) for each in command.params if isinstance(each, click.Option))
        options = [record for record in records if record is not None]
        text = " ".join((command.help or "").split("\f")[0].split())
        parts.append([f"## {name}", "", f"    {usage}", "", text])
        if options:
            parts.append(table(("option", "meaning"), [(f"`{declared}`", meaning) for declared, meaning in options]))
    return _page(
        "Commands",
        "Each command says on standard error what it is doing and prints its answer on standard output; with `--json` as one JSON "
        "document. It ends with 0 when it was done, 1 when it was refused (one sentence says why), 2 when it was called wrongly. "
        "What changes something, and what shows what is held of a person or a client, is audited under the name given with `--by`, else "
        "under the account that ran it.",
        *parts,
    )


# all of them --------------------------------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Return every generated page by its file."""
    load_everything()
    return {
        REFERENCE / "settings.md": settings_page(),
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "routes.md": routes_page(),
        REFERENCE / "events.md": events_page(),
        REFERENCE / "errors.md": errors_page(),
    }


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` say which are out of date."""
    wrong = 0
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        name = path.relative_to(ROOT)
        if "--check" in arguments:
            sys.stderr.write(f"{name} is out of date: run python docs/generate.py\n")
            wrong = 1
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
