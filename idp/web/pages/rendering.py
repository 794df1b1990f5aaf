"""Turns a template and values into the text of a page, in the reader's language.

Owns the Jinja environments (one a language, made once), the translations and how dates and numbers are written. Must
not know requests, sessions or Flask: the caller gives the locale, the nonce of its Content-Security-Policy and values.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from babel.core import Locale as BabelLocale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined

from idp.web.pages.values import LEVELS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from idp.web.pages.assets import Assets

Locale = Literal["vi", "en"]

LOCALES: Final[tuple[Locale, ...]] = get_args(Locale)
DEFAULT_LOCALE: Final[Locale] = "vi"
TEMPLATES_FOLDER: Final = Path(__file__).parent / "templates"
TRANSLATIONS_FOLDER: Final = Path(__file__).parent / "translations"
_DATE_PATTERNS: Final[dict[Locale, str]] = {"vi": "d 'tháng' M 'năm' y", "en": "d MMMM y"}
_MOMENT_PATTERNS: Final[dict[Locale, str]] = {"vi": "HH:mm, d/M/y", "en": "d MMM y, HH:mm"}


def choose_locale(*wishes: str | None) -> Locale:
    """Return the first language we have among wishes, each a space- or comma-separated list of BCP 47 tags.

    Fits `ui_locales` (OpenID Connect Core 3.1.2.1) and a cookie. Unknown tags are no error (Core 3.1.2.1). Vietnamese when
    nothing fits: `Accept-Language` is not asked, since many a browser in the country speaks English and its reader does not.
    """
    for wish in wishes:
        for tag in (wish or "").replace(",", " ").split():
            primary = tag.partition(";")[0].partition("-")[0].lower()
            for locale in LOCALES:
                if primary == locale:
                    return locale
    return DEFAULT_LOCALE


class Renderer:
    """Renders pages. Safe to share between threads; every template is compiled once for each language."""

    def __init__(
        self,
        assets: Assets,
        *,
        zone: ZoneInfo,
        bytecode_folder: Path | None = None,
        templates_folder: Path = TEMPLATES_FOLDER,
        translations_folder: Path = TRANSLATIONS_FOLDER,
    ) -> None:
        """Load catalogues and make the environments.

        `zone` is the zone of display. `bytecode_folder` must be private to the process's account: compiled templates
        are code. Raises FileNotFoundError when the Vietnamese catalogue has not been compiled.
        """
        cache = FileSystemBytecodeCache(str(bytecode_folder)) if bytecode_folder else None
        self._zone = zone
        self._translations: dict[Locale, NullTranslations] = {locale: load_translations(locale, translations_folder) for locale in LOCALES}
        self._environments = {locale: self._environment(locale, assets, templates_folder, cache) for locale in LOCALES}

    def render(self, template: str, *, locale: Locale, nonce: str, **values: object) -> str:
        """Return the page. Each template begins with a list of the values it takes; a missing one is an error.

        `asker` (who asks), `language_url` (this page in the other language), `home_url` and `local` (how a path of ours keeps the
        language) may be left out.
        Raises jinja2.UndefinedError for a missing value: a bug of the caller.
        """
        common = {"asker": None, "language_url": None, "home_url": "/", "local": lambda path: path}
        return self._environments[locale].get_template(template).render(common | values, locale=locale, nonce=nonce)

    def _environment(self, locale: Locale, assets: Assets, folder: Path, cache: FileSystemBytecodeCache | None) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            bytecode_cache=cache,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_gettext_translations(  # type: ignore[attr-defined]  # the extension adds it
            self._translations[locale], newstyle=True
        )
        environment.policies["ext.i18n.trimmed"] = True
        environment.globals |= {
            "asset": assets.url,
            "integrity": assets.integrity,
            "say": self._translations[locale].gettext,
            "LEVELS": LEVELS,
        }
        environment.filters |= {
            "country": lambda code: name_country(code, locale),
            "date": lambda day: format_day(day, locale),
            "day": lambda at: format_day(at.astimezone(self._zone).date(), locale),
            "moment": lambda at: format_moment(at, locale, self._zone),
            "number": lambda number: format_decimal(number, locale=locale),
        }
        return environment


def load_translations(locale: Locale, folder: Path = TRANSLATIONS_FOLDER) -> NullTranslations:
    """Return the compiled catalogue of a locale; English is the source and has none.

    Raises FileNotFoundError when the catalogue has not been compiled.
    """
    if locale == "en":
        return NullTranslations()
    path = folder / locale / "LC_MESSAGES" / "messages.mo"
    if not path.exists():
        message = f"the {locale} catalogue is not compiled: run make messages"
        raise FileNotFoundError(message)
    with path.open("rb") as compiled:
        return Translations(compiled)


def format_day(day: dt.date, locale: Locale) -> str:
    """Write a date in words: "14 tháng 3 năm 1988", "14 March 1988"."""
    return format_date(day, format=_DATE_PATTERNS[locale], locale=locale)


def name_country(code: str, locale: Locale) -> str:
    """Write the country of an ISO 3166-1 alpha-2 code in words of `locale`; an unknown code as it is."""
    return str(BabelLocale.parse(locale).territories.get(code, code))


def format_moment(at: dt.datetime, locale: Locale, zone: ZoneInfo) -> str:
    """Write an aware instant to the minute in the zone of display: "16:02, 2/3/2026", "2 Mar 2026, 16:02"."""
    return format_datetime(at, format=_MOMENT_PATTERNS[locale], tzinfo=zone, locale=locale)
