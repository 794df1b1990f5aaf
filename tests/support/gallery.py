"""Every page in its interesting states, with values of people and portals that do not exist.

Serves them over loopback under the strict Content-Security-Policy of the provider, so that a browser can look at each
without a database. `python -m tests.support.gallery 18100` serves until interrupted; `/` lists what there is.
"""

from __future__ import annotations

import datetime as dt
import secrets
import sys
import threading
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, Self, get_args
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from idp.reference.countries import get_country
from idp.web.pages import forms
from idp.web.pages.assets import Assets
from idp.web.pages.qr import qr_of
from idp.web.pages.rendering import LOCALES, Renderer
from idp.web.pages.values import (
    CLAIM_LABELS,
    N_,
    TO_FIRST_PAGE,
    TO_MY_PAGE,
    TO_PORTAL,
    TO_SIGN_IN,
    Asker,
    AuthenticatorEntry,
    ConsentEntry,
    ErrorKind,
    Fact,
    Link,
    Purpose,
    ReplayedEntry,
    SessionEntry,
    ToldPortal,
)
from idp.web.pages.views.standing_pages import FOR_EVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIEnvironment

CONTEXT: Final = {"csrf_context": forms.CsrfContext(b"k" * 32, "browser-of-the-gallery"), "country": get_country("VN")}
NAME: Final = "Nguyễn Thị Minh Khuê"
LONG_NAME: Final = "Công Tằng Tôn Nữ Nguyễn Phúc Huyền Trân Thị Thương Hoài Niệm"
SECRET: Final = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
URI: Final = f"otpauth://totp/M%E1%BB%99t%20C%E1%BB%ADa:4471?secret={SECRET}&issuer=M%E1%BB%99t%20C%E1%BB%ADa"
CAN_THO: Final = Asker("Cổng dịch vụ công thành phố Cần Thơ", "https://dichvucong.cantho.example")
NATION: Final = Asker("Cổng Dịch vụ công quốc gia", "https://dichvucong.example")
LONG_PORTAL: Final = Asker(
    "Hệ thống thông tin giải quyết thủ tục hành chính của Bộ Nông nghiệp và Môi trường, phân hệ Đăng kiểm tàu cá",
    "https://giai-quyet-thu-tuc-hanh-chinh.nong-nghiep-va-moi-truong.example",
    "share",
)
BORN: Final = dt.date(1988, 3, 14)
AT: Final = dt.datetime(2026, 3, 2, 9, 2, tzinfo=dt.UTC)
CODES: Final = (
    "FK6S-Y954-1SJ3-EQHB-6GD1-GHCA",
    "KJQ5-NRFB-FYH5-K0JK-CTVJ-VWAE",
    "KG25-2XHY-N9C4-TCWH-BPVM-CM63",
    "EHF7-NBJX-12P5-JM1M-JM9T-4JCW",
    "J8GR-AN0Q-2XAQ-QJ6W-DVD7-333A",
    "92ZF-M27J-TCYC-FWTZ-2ETW-FVDZ",
    "C22G-GFDE-TG9M-3M7S-2ZR5-VDAN",
    "JYMT-DHNS-Z4HC-2S8H-3AXY-SRD0",
    "DA0G-7SRE-3CAN-YW15-27ZG-82Q5",
    "0KP4-5XRD-KREZ-S647-QVTW-4CKY",
)


@dataclass(frozen=True, slots=True)
class Shot:
    """One page in one state. `is_still`: the policy names another nonce, so that the page's own script stays idle."""

    name: str
    template: str
    values: Mapping[str, object]
    is_still: bool = False


def form(kind: type[forms.Form], typed: dict[str, str] | None = None, **options: Any) -> forms.Form:
    """Return an empty form, or one that was sent with `typed` and judged."""
    empty = kind(meta=CONTEXT, **options)
    if typed is None:
        return empty
    proof = {"csrf_token": empty.proof}
    sent = kind(MultiDict(typed | proof), meta=CONTEXT, **options)
    sent.validate()
    return sent


def shots() -> list[Shot]:
    """Return every page in its interesting states."""
    return [*_proofs(), *_enrolments(), *_decisions(), *_ends(), *_home(), *_words()]


def _proofs() -> Iterable[Shot]:
    step = {"action": "/sign-in", "step": 1, "steps": 2}
    yield Shot("sign-in", "sign_in.html", step | {"form": form(forms.SignInForm), "asker": CAN_THO})
    wrong = form(forms.SignInForm, {"username": "092188004471", "password": "sai rồi"})
    wrong.refuse("password", forms.WRONG_SIGN_IN)
    yield Shot("sign-in-wrong", "sign_in.html", step | {"form": wrong, "asker": LONG_PORTAL})
    empty = form(forms.SignInForm, {"username": "09218", "password": ""})
    yield Shot("sign-in-empty", "sign_in.html", step | {"form": empty, "steps": 1})
    forged = forms.SignInForm(MultiDict({"username": "092188004471", "password": "x"}), meta=CONTEXT)
    forged.validate()
    yield Shot("sign-in-forged", "sign_in.html", step | {"form": forged, "asker": NATION})

    step = {"action": "/totp", "step": 2, "steps": 2, "recovery_url": "/recovery-code", "number": "4471"}
    up = Asker(CAN_THO.name, CAN_THO.origin, "step_up")
    yield Shot("totp", "totp.html", step | {"form": form(forms.TotpForm), "asker": CAN_THO})
    wrong = form(forms.TotpForm, {"code": "123 456"})
    wrong.refuse("code", forms.WRONG_TOTP)
    yield Shot("totp-wrong", "totp.html", step | {"form": wrong, "asker": up, "recovery_url": None})
    step |= {"action": "/recovery-code", "totp_url": "/totp"}
    yield Shot("recovery", "recovery_code.html", step | {"form": form(forms.RecoveryCodeForm), "asker": NATION})
    wrong = form(forms.RecoveryCodeForm, {"code": "mã của tôi"})
    yield Shot("recovery-wrong", "recovery_code.html", step | {"form": wrong, "asker": NATION})
    many = {"retry_url": "/totp", "asker": CAN_THO}
    yield Shot("too-many", "too_many.html", many | {"minutes": 4, "of": "guesses"})
    yield Shot("too-many-last", "too_many.html", many | {"minutes": 1, "of": "guesses"})
    yield Shot("too-many-one", "too_many.html", many | {"minutes": 1, "of": "open"})
    yield Shot("too-many-of-a-network", "too_many.html", many | {"minutes": 1, "of": "address"})


def _enrolments() -> Iterable[Shot]:
    step = {"action": "/activate", "step": 1, "steps": 3}
    yield Shot("activate", "activate.html", step | {"form": form(forms.ActivationForm)})
    wrong = form(forms.ActivationForm, {"username": "092188004471", "code": "1"})
    yield Shot("activate-wrong", "activate.html", step | {"form": wrong})
    step = {"action": "/password", "step": 2, "steps": 3, "number": "092188004471"}
    yield Shot("password", "activate_password.html", step | {"form": form(forms.NewPasswordForm)})
    wrong = form(forms.NewPasswordForm, {"password": "ngắn", "repeat": "khác"})
    yield Shot("password-wrong", "activate_password.html", step | {"form": wrong})
    step = {"action": "/enrol", "step": 3, "steps": 3, "uri": URI, "qr": qr_of(URI), "secret": SECRET, "number": None}
    yield Shot("enrol", "enrol_totp.html", step | {"form": form(forms.EnrolTotpForm)})
    wrong = form(forms.EnrolOnTheWayForm, {"code": "000 000"})
    wrong.refuse("code", forms.WRONG_TOTP)
    yield Shot("enrol-wrong", "enrol_totp.html", step | {"form": wrong, "asker": CAN_THO, "number": "4471"})
    step = {"action": "/codes", "step": 3, "steps": 3, "codes": CODES, "name": NAME, "made_at": AT}
    yield Shot("codes", "recovery_codes.html", step | {"form": form(forms.KeepCodesForm)})
    for kind in ("activated", "session_ended", "consent_withdrawn", "stayed"):
        onward = Link(TO_SIGN_IN if kind == "activated" else TO_MY_PAGE, "/")
        yield Shot(f"done-{kind}", "done.html", {"kind": kind, "onward": onward})


def _decisions() -> Iterable[Shot]:
    who = Purpose(
        N_("To know who you are"),
        (
            Fact.of_claim("name", NAME),
            Fact.of_claim("birthdate", BORN),
            Fact.of_number("personal_number", "092188004471"),
            Fact.of_subject(),
            Fact.of_level(2),
        ),
    )
    reach = Purpose(N_("To write to you"), (Fact("email", CLAIM_LABELS["email"], N_("Not known yet"), "message"),))
    call = Purpose(N_("To call or text you"), (Fact.of_number("phone_number", "0912345678"),))
    where = Purpose(
        N_("To know which office serves you"),
        (
            Fact.of_claim(
                "address",
                "Số 128/7/3B, hẻm 51, đường Ba Tháng Hai, khu vực 4, phường Ninh Kiều, thành phố Cần Thơ",
            ),
        ),
    )
    asked = {"action": "/consent", "policy_url": None, "terms_url": None}
    share = Asker(CAN_THO.name, CAN_THO.origin, "share")
    yield Shot(
        "consent",
        "consent.html",
        asked | {"form": form(forms.ConsentForm), "asker": share, "name": NAME, "purposes": (who,), "offline": False},
    )
    beside = (N_("language"), N_("time zone"), N_("when it was last changed"))
    long_name = Purpose(who.reason, (Fact.of_claim("name", LONG_NAME), *who.facts[1:]), beside)
    yield Shot(
        "consent-everything",
        "consent.html",
        {
            "action": "/consent",
            "form": form(forms.ConsentForm),
            "asker": LONG_PORTAL,
            "name": LONG_NAME,
            "purposes": (long_name, where, reach, call),
            "offline": True,
            "policy_url": "https://dichvucong.cantho.example/privacy",
            "terms_url": "https://dichvucong.cantho.example/terms",
        },
    )
    account = {"action": "/account", "name": NAME, "number": "4471", "asker": CAN_THO}
    yield Shot("account", "select_account.html", account | {"form": form(forms.SelectAccountForm)})
    account |= {"name": LONG_NAME, "asker": LONG_PORTAL}
    yield Shot("account-long", "select_account.html", account | {"form": form(forms.SelectAccountForm)})
    level = {"action": "/level", "form": form(forms.LevelForm), "asker": CAN_THO, "person_type": "citizen"}
    yield Shot("level", "level_missing.html", level | {"needed_ial": 2, "ial": 1})
    yield Shot("level-foreigner", "level_missing.html", level | {"needed_ial": 2, "ial": 1, "person_type": "foreigner"})
    yield Shot("level-certificate", "level_missing.html", level | {"needed_ial": 2, "ial": 1, "person_type": "identity_certificate"})
    yield Shot("level-none", "level_missing.html", level | {"needed_ial": 1, "ial": 0})
    yield Shot("level-proof", "level_missing.html", level | {"needed_ial": 1, "ial": 1})


def _ends() -> Iterable[Shot]:
    reached = tuple(ToldPortal(asker.name, asker.origin) for asker in (NATION, CAN_THO, LONG_PORTAL))
    out = {"action": "/sign-out", "name": NAME, "portals": reached}
    leaving = Asker(NATION.name, NATION.origin, "sign_out")
    yield Shot("sign-out", "sign_out.html", out | {"form": form(forms.SignOutForm), "asker": leaving})
    yield Shot("sign-out-one", "sign_out.html", out | {"form": form(forms.SignOutForm), "portals": reached[:1]})
    yield Shot("sign-out-none", "sign_out.html", out | {"form": form(forms.SignOutForm), "portals": ()})
    back, first = Link(TO_PORTAL, "https://dichvucong.example/"), Link(TO_FIRST_PAGE, "/")
    done = {"refresh_url": "/signed-out", "onward": back}
    told = tuple(ToldPortal(portal.name, portal.origin, "told") for portal in reached)
    yield Shot("signed-out", "signed_out.html", done | {"portals": told})
    yield Shot("signed-out-pending", "signed_out.html", done | {"portals": (told[0], *reached[1:])})
    missed = (told[0], ToldPortal(CAN_THO.name, CAN_THO.origin, "no_answer"))
    yield Shot("signed-out-missed", "signed_out.html", done | {"portals": missed})
    untold = (told[0], ToldPortal(CAN_THO.name, CAN_THO.origin, "untold"))
    yield Shot("sign-out-untold", "sign_out.html", out | {"form": form(forms.SignOutForm), "portals": untold})
    yield Shot("signed-out-untold", "signed_out.html", done | {"portals": untold})
    begun = (ToldPortal(CAN_THO.name, CAN_THO.origin, "asked"), told[0])
    yield Shot("sign-out-asked", "sign_out.html", out | {"form": form(forms.SignOutForm), "portals": begun})
    yield Shot("signed-out-asked", "signed_out.html", done | {"portals": begun})
    only_untold = tuple(ToldPortal(portal.name, portal.origin, "untold") for portal in reached)
    yield Shot("signed-out-all-untold", "signed_out.html", done | {"portals": only_untold, "onward": first})
    yield Shot("signed-out-missed-and-untold", "signed_out.html", done | {"portals": (*missed, only_untold[2])})
    asked = done | {"asker": Asker(NATION.name, NATION.origin, "signed_out")}
    yield Shot("signed-out-one", "signed_out.html", asked | {"portals": told[:1]})
    yield Shot("signed-out-every-state", "signed_out.html", asked | {"portals": (*missed, reached[2], only_untold[0])})
    long_asker = {"asker": Asker(LONG_PORTAL.name, LONG_PORTAL.origin, "signed_out")}
    yield Shot("signed-out-long", "signed_out.html", done | long_asker | {"portals": (told[2], reached[2])})
    yield Shot("signed-out-none", "signed_out.html", done | {"portals": (), "onward": first})
    yield Shot("signed-out-none-asked", "signed_out.html", asked | {"portals": ()})
    yield Shot("signed-out-before", "signed_out.html", done | {"portals": None, "onward": first})
    yield Shot("signed-out-before-asked", "signed_out.html", asked | {"portals": None, "onward": first})
    answer = {"action": "/portal", "fields": (("code", "moc_x"), ("state", '"><script>alert(1)</script>'))}
    yield Shot("form-post", "form_post.html", answer | {"asker": CAN_THO}, is_still=True)
    yield Shot("form-post-at-once", "form_post.html", answer | {"asker": CAN_THO})


def _home() -> Iterable[Shot]:
    nobody = {
        "name": None,
        "sign_in_url": "/sign-in",
        "ial": 0,
        "ial_until": None,
        "authenticators": (),
        "sessions": (),
        "end_session_url": "/sessions/end",
        "consents": (),
        "replayed": (),
        "withdraw_url": "/consents/withdraw",
        "form": form(forms.ConfirmForm),
        "sign_out_url": "/sign-out",
    }
    yield Shot("home", "home.html", nobody)
    twice = (ReplayedEntry(NATION.name, AT),)
    yield Shot("home-replayed", "home.html", nobody | {"name": NAME, "ial": 1, "replayed": twice})
    yield Shot(
        "home-signed-in",
        "home.html",
        nobody
        | {
            "name": NAME,
            "ial": 2,
            "ial_until": dt.datetime(2027, 1, 18, 17, tzinfo=dt.UTC),
            "authenticators": (
                AuthenticatorEntry("password", AT),
                AuthenticatorEntry("totp", AT),
                AuthenticatorEntry("recovery_codes", AT, 9),
            ),
            "sessions": (
                SessionEntry("s1", "Firefox, Android", AT, AT + dt.timedelta(minutes=4), is_this=True),
                SessionEntry("s2", "Chrome, Windows", AT - dt.timedelta(days=3), AT - dt.timedelta(days=2)),
            ),
            "consents": (
                ConsentEntry(
                    "c1",
                    NATION.name,
                    NATION.origin,
                    (CLAIM_LABELS["name"], CLAIM_LABELS["birthdate"], CLAIM_LABELS["personal_number"]),
                    AT,
                ),
                ConsentEntry("c2", LONG_PORTAL.name, LONG_PORTAL.origin, (CLAIM_LABELS["name"],), AT, offline=True),
            ),
        },
    )
    only_password = (AuthenticatorEntry("password", AT), AuthenticatorEntry("recovery_codes", AT, 1))
    this = (SessionEntry("s1", "Firefox, Android", AT, AT, is_this=True),)
    new = {"name": LONG_NAME, "ial": 0, "authenticators": only_password, "sessions": this}
    yield Shot("home-new", "home.html", nobody | new)


def _words() -> Iterable[Shot]:
    for page in ("help", "privacy", "about"):
        yield Shot(page, f"{page}.html", {})
    yield Shot("busy", "busy.html", {"retry_url": "/", "reference": "7Q4K-M2XD", "asker": CAN_THO})
    fault = {"onward": None, "reference": "7Q4K-M2XD", "technical": None}
    beside: dict[str, dict[str, Any]] = {
        "address_unknown": {
            "technical": "invalid_request: redirect_uri=https://dichvucong.cantho.example/quay-lai-tu-mot-cua is not registered"
        },
        "portal_unknown": {"technical": "unknown client_id"},
        "portal_disabled": {"technical": "unauthorized_client: the client is disabled"},
        "sign_out_unreadable": {
            "onward": Link(TO_MY_PAGE, "/"), "technical": "The id_token_hint is not an ID token of this provider for this client."
        },
        "not_found": {"onward": Link(TO_FIRST_PAGE, "/")},
        "not_allowed": {"onward": Link(TO_FIRST_PAGE, "/")},
        "unexpected": {"onward": Link(TO_FIRST_PAGE, "/")},
    }
    for kind in get_args(ErrorKind):
        yield Shot(f"error-{kind}", "error.html", fault | {"kind": kind} | beside.get(kind, {}))
    long_words = fault | {"kind": "request_unreadable", "technical": "invalid_request: " + "a" * 200}
    yield Shot("error-request_unreadable-technical", "error.html", long_words)


class Gallery:
    """A loopback server of all shots: `/vi/sign-in`, `/en/sign-in`, `/static/…`."""

    def __init__(self, port: int = 0, bytecode_folder: Path | None = None) -> None:
        """Bind; port 0 takes a free one."""
        self._assets = Assets()
        zone = ZoneInfo("Asia/Ho_Chi_Minh")
        self._renderer = Renderer(self._assets, zone=zone, bytecode_folder=bytecode_folder)
        self._shots = {shot.name: shot for shot in shots()}
        self._server: WSGIServer = make_server("127.0.0.1", port, self._answer, _Threading, _Quiet)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve in a thread."""
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        """Serve until stopped."""
        self._server.serve_forever(poll_interval=0.05)

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = str(environ["PATH_INFO"]).encode("latin-1").decode()
        if path.startswith("/static/"):
            return self._file(path.removeprefix("/static/"), start)
        locale, _, name = path.strip("/").partition("/")
        nonce = secrets.token_urlsafe(16)
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", _policy(nonce))]
        if locale not in LOCALES or name not in self._shots:
            start("200 OK" if path == "/" else "404 Not Found", headers)
            links = "".join(f'<li><a href="/{at}/{shot}">{at} {shot}</a>' for shot in self._shots for at in LOCALES)
            return [f"<!DOCTYPE html><title>Gallery</title><ul>{links}</ul>".encode()]
        shot = self._shots[name]
        written = "another" if shot.is_still else nonce
        other = "/en/" if locale == "vi" else "/vi/"
        page = self._renderer.render(shot.template, locale=locale, nonce=written, language_url=other + name, **shot.values)
        start("200 OK", headers)
        return [page.encode()]

    def _file(self, name: str, start: Callable[..., object]) -> Iterable[bytes]:
        asset = self._assets.find(name)
        if asset is None:
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"no such file"]
        headers = [("Content-Type", asset.content_type), FOR_EVER, ("ETag", asset.etag)]
        if asset.gzipped is None:
            start("200 OK", headers)
            return [asset.body]
        start("200 OK", [*headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")])
        return [asset.gzipped]


def _policy(nonce: str) -> str:
    return (
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
        f"script-src 'self' 'nonce-{nonce}'; style-src 'self'; font-src 'self'; img-src 'self'"
    )


class _Threading(ThreadingMixIn, WSGIServer):
    """A browser opens connections ahead of need: one that says nothing must not hold up the others."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Write nothing."""


if __name__ == "__main__":
    Gallery(int(sys.argv[1])).serve()
