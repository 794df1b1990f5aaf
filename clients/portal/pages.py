"""The pages of a portal, in two languages: home, identity, service, and the choice of language."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, redirect, render_template, request

from . import browser, journeys
from .oidc import levels_of, levels_reached, meets
from .services import SERVICES, SILENT, address_of, deep_link, find_service
from .troubles import trouble
from .words import AMR, VALUES, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Response as AnyResponse

    from .store import Session

blueprint = Blueprint("pages", __name__)
VISIBLE_DIGITS = 3


def template_context() -> dict[str, Any]:
    """Return what every template may use."""
    chosen = browser.language()

    def t(key: str, **values: object) -> str:
        return say(key, chosen, **values)

    settings = browser.settings()
    return {
        "t": t,
        "language": chosen,
        "other_language": "en" if chosen == "vi" else "vi",
        "portal_name": settings.name if chosen == "vi" else settings.name_in_english,
        "issuer": settings.issuer,
        "form_token": browser.form_token(browser.find_browser()),
        "back": request.full_path.rstrip("?") if request.method == "GET" and request.endpoint in REVISITABLE else "/",
        "service_name": lambda service: service.name if chosen == "vi" else service.name_in_english,
        "service_address": lambda service: address_of({"MaTTHC": service.code}),
        "is_signed_in": _is_signed_in,
        "levels_of": levels_of,
        "clock_time": _clock_time,
        "instant": _instant,
    }


def _is_signed_in() -> bool:
    session = journeys.current_session()
    return session is not None and session.tokens is not None


REVISITABLE = frozenset({"pages.home", "pages.identity", "pages.apply"})


@blueprint.get("/")
def home() -> str:
    """Show who is signed in, or that the provider ended the session, and the services."""
    return render_template("home.html", session=journeys.current_session(), services=SERVICES)


@blueprint.get("/identity")
def identity() -> AnyResponse | str:
    """Show the verified identity this portal got, and how it was proved."""
    session = journeys.current_session()
    if session is not None and session.tokens is not None:
        session = journeys.keep_fresh(session)
    if session is None or session.tokens is None:
        return redirect("/", 303)
    return render_template("identity.html", session=session, rows=_identity_rows(session))


@blueprint.get("/apply")
def apply() -> AnyResponse | tuple[str, int] | str:
    """Show one service; demand the class of sign-in it needs. The deep-link parameters survive the round trip."""
    parameters = deep_link(request.args)
    service = find_service(parameters.get("MaTTHC"))
    if service is None:
        return trouble("unknown_service", 404)
    session = journeys.current_session()
    if session is not None and session.tokens is not None:
        session = journeys.keep_fresh(session)
    is_live = session is not None and session.tokens is not None
    if not is_live and any(parameters.get(name) == "1" for name in SILENT):
        return journeys.begin_sign_in(address_of(parameters), service.code)
    wanted = service.wanted_acr or browser.settings().minimum_acr
    needs, has = levels_of(wanted), levels_reached(session.claims) if session else None
    return render_template(
        "apply.html",
        session=session,
        is_live=is_live,
        service=service,
        parameters=parameters,
        sign_in_address=f"/sign-in?{address_of(parameters).partition('?')[2]}",
        is_enough=session is not None and is_live and meets(session.claims, wanted),
        short="apply.level" if needs and has and has[0] < needs[0] else "apply.step_up",
        wanted_levels=needs,
        have_levels=has,
    )


@blueprint.get("/language")
def choose_language() -> AnyResponse:
    """Change the language and go back to where the person was."""
    back = request.args.get("back", "/")
    # Only a path of ours: "//host" and "/\host" would leave the site.
    is_local = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    response = redirect(back if is_local else "/", 303)
    chosen = request.args.get("to", "")
    if chosen in browser.LANGUAGES:
        browser.remember_language(response, chosen)
    return response


@blueprint.get("/colours.css")
def colours() -> Response:
    """Give this portal its own colour; everything else of the look is in static/portal.css."""
    settings = browser.settings()
    return Response(
        f":root {{ --brand: {settings.colour}; --pressed: {settings.pressed}; }}\n", mimetype="text/css"
    )


@blueprint.get("/favicon.ico")
def mark() -> Response:
    """Draw the mark of this portal in its own colour."""
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" '
        f'fill="{browser.settings().colour}"/><path d="M16 5l10 5H6zM8 12h3v9H8zM14.5 12h3v9h-3zM21 12h3v9h-3z'
        'M6 23h20v3H6z" fill="#fff"/></svg>'
    )
    return Response(drawing, mimetype="image/svg+xml")


@blueprint.get("/health")
def health() -> Response:
    """Say that the portal itself answers; the provider is not asked."""
    return Response("ok\n", mimetype="text/plain")


def _identity_rows(session: Session) -> list[tuple[str, str]]:
    """Return label key and text of every claim that was told, in the order a person would ask."""
    claims, chosen = session.claims, browser.language()
    number = claims.get(browser.settings().personal_number_claim)
    address = claims.get("address")
    known: list[tuple[str, str | None]] = [
        ("name", _text(claims.get("name"))),
        ("birthdate", _birth_date(_text(claims.get("birthdate")))),
        ("gender", _in_words("gender", claims, chosen)),
        ("personal_number", _masked(number) if isinstance(number, str) else None),
        ("person_type", _in_words("person_type", claims, chosen)),
        ("nationality", _in_words("nationality", claims, chosen)),
        ("phone_number", _masked(_text(claims.get("phone_number")) or "") or None),
        ("phone_number_verified", _yes_or_no(claims.get("phone_number_verified"), chosen)),
        ("email", _text(claims.get("email"))),
        ("email_verified", _yes_or_no(claims.get("email_verified"), chosen)),
        ("address", _text(address.get("formatted")) if isinstance(address, dict) else None),
        ("locale", _in_words("locale", claims, chosen)),
        ("zoneinfo", _text(claims.get("zoneinfo"))),
        ("updated_at", _instant(_moment(claims.get("updated_at")))),
        ("ial", _level(claims.get("ial"))),
        ("aal", _level(claims.get("aal"))),
        ("acr", _text(claims.get("acr"))),
        ("amr", ", ".join(_ways(claims.get("amr"), chosen)) or None),
        ("auth_time", _instant(_moment(claims.get("auth_time")))),
        ("sid", session.sid),
        ("sub", session.sub),
    ]
    return [(key, text) for key, text in known if text]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _in_words(name: str, claims: Mapping[str, Any], chosen: str) -> str | None:
    told = _text(claims.get(name))
    words = VALUES.get((name, told)) if told else None
    return words[0 if chosen == "vi" else 1] if words else told


def _yes_or_no(value: object, chosen: str) -> str | None:
    return say("identity.yes" if value else "identity.no", chosen) if isinstance(value, bool) else None


def _level(value: object) -> str | None:
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def _ways(value: object, chosen: str) -> list[str]:
    ways = [way for way in value if isinstance(way, str)] if isinstance(value, list) else []
    return [f"{AMR[way][0 if chosen == 'vi' else 1]} ({way})" if way in AMR else way for way in ways]


def _masked(text: str) -> str:
    return "•" * max(len(text) - VISIBLE_DIGITS, 0) + text[-VISIBLE_DIGITS:]


def _birth_date(value: str | None) -> str | None:
    try:
        born = date.fromisoformat(value or "")
    except ValueError:
        return value
    return f"{born:%d/%m/%Y}" if browser.language() == "vi" else f"{born.day} {born:%B %Y}"


def _moment(value: object) -> datetime | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return datetime.fromtimestamp(value, UTC)


def _instant(value: datetime | None) -> str:
    """Write an instant in the portal's local time."""
    if value is None:
        return ""
    local = value.astimezone(browser.settings().zone)
    if browser.language() == "vi":
        return f"{local:%H:%M:%S} ngày {local:%d/%m/%Y}"
    return f"{local:%H:%M:%S} on {local.day} {local:%B %Y}"


def _clock_time(value: datetime) -> str:
    return f"{value.astimezone(browser.settings().zone):%H:%M}"
