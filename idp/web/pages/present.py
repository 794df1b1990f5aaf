"""How a page goes out: in the reader's language, under a strict policy, kept by no cache (ASVS 3.4)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from idp.kernel.digests import random_bytes
from idp.web.door import Answer
from idp.web.pages.rendering import LOCALES, choose_locale

if TYPE_CHECKING:
    from idp.web.cookies import Cookies
    from idp.web.door import PageAnswer, Request
    from idp.web.pages.rendering import Locale, Renderer

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self' data:; script-src 'nonce-{nonce}'; "
    "connect-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'{targets}"
)
_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Vary", "Cookie"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)


class Presenter:
    """Renders page answers. One for each process."""

    def __init__(self, renderer: Renderer, cookies: Cookies) -> None:
        self._renderer = renderer
        self._cookies = cookies

    def __call__(self, page: PageAnswer, request: Request) -> Answer:
        """Return the page for this reader."""
        locale, chosen = self.locale(request, page.values.get("ui_locales"))
        nonce = base64.b64encode(random_bytes(16)).decode()
        stays = chosen or self.locale(request, None)[0] == locale
        values: dict[str, Any] = {
            "language_url": _other_language(request, locale) if _is_there_to_get(page, request) else None,
            "local": lambda path: path if stays else _in_language(path, locale),
        }
        values |= {name: value for name, value in page.values.items() if name != "ui_locales"}
        if callable(values.get("asker")):
            values["asker"] = values["asker"](locale)
        body = self._renderer.render(page.template, locale=locale, nonce=nonce, **values).encode()
        targets = "".join(" " + origin for origin in dict.fromkeys(page.form_targets))
        policy = ("Content-Security-Policy", _POLICY.format(nonce=nonce, targets=targets))
        kept = (self._cookies.set_language(locale),) if chosen else ()
        return Answer(page.status, (*_HEADERS, policy, ("Content-Language", locale), *kept, *page.headers), body)

    def locale(self, request: Request, ui_locales: str | None) -> tuple[Locale, bool]:
        """Return the reader's language, and whether it was chosen by this very request."""
        chosen = next((value for name, value in request.query if name == "lang" and value in LOCALES), None)
        remembered = self._cookies.find(request.cookies, self._cookies.language)
        return choose_locale(chosen, remembered, ui_locales), chosen is not None


def _in_language(path: str, locale: Locale) -> str:
    """Return a path of ours that chooses a language by itself; an address elsewhere as it is."""
    before, hash_sign, fragment = path.partition("#")
    return f"{before}?lang={locale}{hash_sign}{fragment}" if path.startswith("/") else path


def _is_there_to_get(page: PageAnswer, request: Request) -> bool:
    """Whether a GET of this address shows this page: of what answers a POST, only a form that comes back to its own address."""
    return request.method != "POST" or page.values.get("action") == request.path


def _other_language(request: Request, locale: Locale) -> str:
    """Return this page's address in the other language; a page that answered a form is asked for anew.

    An ID token that came with the request goes no further (ASVS 10.1.1).
    """
    other = "en" if locale == "vi" else "vi"
    kept = [(name, value) for name, value in request.query if name not in {"lang", "id_token_hint"}] if request.method == "GET" else []
    return request.path + "?" + urlencode([*kept, ("lang", other)])
