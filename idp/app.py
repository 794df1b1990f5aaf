"""The composition root: settings become rooms, rooms become the application that is served."""

from __future__ import annotations

import base64
import binascii
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog

from idp.clients.purge import purge as purge_assertions
from idp.egress import Egress
from idp.grants.model import Lifetimes
from idp.grants.purge import Purge
from idp.kernel.clock import SystemClock
from idp.kernel.refusals import Refusal
from idp.keys.model import KeyEncryption
from idp.keys.purge import purge as purge_keys
from idp.oidc.discovery import DISCOVERY, PATHS
from idp.oidc.logout import LogoutDelivery
from idp.rooms import Rooms, Wanted, build_rooms
from idp.sessions.model import SessionPolicy
from idp.sessions.service import TELL
from idp.settings import PREFIX, Mode, Settings, UnsafeSettings, network_of, read_settings
from idp.storage.deployment import Deployment, find_deployment, require_fitting, require_same_kind
from idp.web.cookies import Cookies
from idp.web.door import Answer, Door, Endpoint
from idp.web.flow import Flow
from idp.web.logs import RequestLog, configure_logs
from idp.web.pages.application import create_pages
from idp.web.pages.assets import Assets
from idp.web.pages.desk import Desk
from idp.web.pages.present import Presenter
from idp.web.pages.rendering import Renderer
from idp.web.protocol.answers import ANY_ORIGIN
from idp.web.protocol.authorize import Authorize
from idp.web.protocol.direct import Direct
from idp.web.protocol.health import Health
from idp.web.protocol.metadata import Metadata
from idp.web.protocol.userinfo import Userinfo

if TYPE_CHECKING:
    from idp.jobs import Handler
    from idp.kernel.clock import Clock

log = structlog.get_logger("idp")

_LEAVE = signal.SIGUSR1
"""Tells a worker that it will be stopped: from then on it is not ready, and serves all the same."""

_PREFLIGHT = (
    *ANY_ORIGIN,
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
    ("Access-Control-Max-Age", "3600"),
)


def make_clock(settings: Settings) -> SystemClock:
    """Return the clock of this process; tests may move it through a file."""
    return SystemClock(settings.clock_offset_file)


def key_encryption(settings: Settings) -> KeyEncryption:
    """Return the key-encryption keys.

    Raises:
        UnsafeSettings: there are none, or one is not 32 bytes.
    """
    if settings.key_encryption_keys is None:
        raise UnsafeSettings("set IDP_KEY_ENCRYPTION_KEYS: stored keys are wrapped with it")
    keys = {}
    for entry in settings.key_encryption_keys.get_secret_value().split():
        name, _, encoded = entry.partition(":")
        try:
            keys[name] = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except (ValueError, binascii.Error):
            raise UnsafeSettings("IDP_KEY_ENCRYPTION_KEYS: each entry is name:base64url of 32 bytes") from None
    return KeyEncryption(keys)


def wanted_rooms(settings: Settings, database_url: str, *, name: str) -> Wanted:
    """Return what the rooms are built from; `database_url` says as which role, `name` is what the database sees."""
    if settings.redis_url is None:
        raise UnsafeSettings("set IDP_REDIS_URL, or run idp demo, which starts engines of its own")
    return Wanted(
        issuer=settings.issuer,
        zone=settings.zone,
        country=settings.country,
        assurance_policy=settings.assurance_policy,
        database_url=database_url,
        redis_url=settings.redis_url.get_secret_value(),
        key_encryption=key_encryption(settings),
        session_policy=SessionPolicy(settings.session_idle_for, settings.session_lasts_for),
        lifetimes=Lifetimes(settings.code_for, settings.access_for, settings.refresh_idle_for, settings.refresh_for),
        hash_slots=settings.hash_slots,
        volume_factor=settings.volume_factor,
        egress_allow=settings.egress_allow,
        name=name,
    )


def serving_rooms(settings: Settings, clock: Clock) -> Rooms:
    """Return the rooms of a serving process, as the role `idp_app`."""
    if settings.database_url is None:
        raise UnsafeSettings("set IDP_DATABASE_URL, or run idp demo, which starts engines of its own")
    return build_rooms(wanted_rooms(settings, settings.database_url.get_secret_value(), name="idp-serve"), clock)


class Draining:
    """Whether this process was told to stop: it still answers, but is not ready for more."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self) -> bool:
        """Whether it drains."""
        return self.is_set

    def begin(self, *_: object) -> None:
        """Drain from now on. A signal's handler."""
        self.is_set = True


def create_door(settings: Settings, rooms: Rooms, draining: Draining | None = None) -> Door:
    """Return the WSGI application of one process."""
    draining = draining or Draining()
    cookies = Cookies(settings.is_secure)
    assets = Assets()
    presenter = Presenter(Renderer(assets, zone=ZoneInfo(settings.zone)), cookies)
    flow = Flow(rooms, cookies)
    desk = Desk(flow, cookies, assets, presenter.locale)
    pages = create_pages(desk, presenter)
    return Door(
        protocol_routes(rooms, flow, Health(rooms, draining, lambda: _require_fitting(settings, rooms))),
        pages,
        presenter,
        host=urlsplit(settings.issuer).netloc,
        secure=settings.is_secure,
        trusted_proxies=tuple(network_of(text) for text in settings.trusted_proxies),
        on_error=desk.error,
        around=rooms.database.allowance,
        after=RequestLog(rooms.clock),
    )


def _require_fitting(settings: Settings, rooms: Rooms) -> None:
    """Let only a database pass that is marked for these settings; ports, and with them the issuer, move in demo and test."""
    found, wanted = find_deployment(rooms.database), Deployment(settings.mode, settings.issuer)
    if settings.mode is Mode.PRODUCTION:
        require_fitting(found, wanted)
    else:
        require_same_kind(found, wanted)


def protocol_routes(rooms: Rooms, flow: Flow, health: Health) -> Mapping[str, Mapping[str, Endpoint]]:
    """Return the endpoints by path and method: the whole protocol on one screen."""
    metadata = Metadata(rooms.issuer, rooms.keys)
    authorize = Authorize(flow)
    direct = Direct(rooms.engine, rooms.volumes)
    userinfo = Userinfo(rooms.grants, rooms.keys.sealer, rooms.zone)

    def preflight(_request: Any) -> Answer:
        return Answer(204, _PREFLIGHT)

    return {
        DISCOVERY: {"GET": metadata.discovery, "HEAD": metadata.discovery, "OPTIONS": preflight},
        PATHS["jwks_uri"]: {"GET": metadata.jwks, "HEAD": metadata.jwks, "OPTIONS": preflight},
        PATHS["authorization_endpoint"]: {"GET": authorize.get, "POST": authorize.post},
        PATHS["token_endpoint"]: {"POST": direct.token, "OPTIONS": preflight},
        PATHS["userinfo_endpoint"]: {"GET": userinfo, "POST": userinfo, "OPTIONS": preflight},
        PATHS["introspection_endpoint"]: {"POST": direct.introspect},
        PATHS["revocation_endpoint"]: {"POST": direct.revoke},
        "/health/live": {"GET": health.live},
        "/health/ready": {"GET": health.ready},
    }


def job_handlers(settings: Settings, rooms: Rooms, clock: Clock) -> Mapping[str, Handler]:
    """Return who does which job: the one place where a job's name meets the room above that does it."""
    egress = Egress(settings.egress_allow, settings.egress_ca)
    delivery = LogoutDelivery(rooms.sessions, rooms.clients, rooms.keys, egress, issuer=rooms.issuer, clock=clock)
    return {TELL: delivery.do}


def periodic_jobs(settings: Settings, rooms: Rooms, clock: Clock) -> Mapping[str, tuple[timedelta, Callable[[], object]]]:
    """Return what is done again and again, and how often. Partitions the worker makes by itself."""
    grants = Purge(rooms.database, clock, longest_family=settings.session_lasts_for + settings.refresh_for)
    return {
        "end_dead_sessions": (timedelta(seconds=5), rooms.sessions.end_dead),
        "lift_expired_locks": (timedelta(seconds=15), rooms.accounts.lift_expired_locks),
        "purge_grants": (timedelta(minutes=5), grants.purge),
        "purge_client_assertions": (timedelta(minutes=5), lambda: purge_assertions(rooms.database, clock)),
        "purge_private_keys": (timedelta(minutes=15), lambda: purge_keys(rooms.database, clock)),
        "purge_guesses": (timedelta(minutes=15), rooms.guesses.purge),
    }


def application() -> Door:
    """Return the application of a serving process: what the server calls in each worker.

    Settings are read once; then they leave the environment, which the server would show to every request.
    """
    settings = read_settings()
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    configure_logs(settings.log_level)
    try:
        return _serving_door(settings)
    except Exception as error:  # noqa: BLE001 - the last resort of a process: whoever began it would print the words of anything
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(1) from None


def _serving_door(settings: Settings) -> Door:
    clock = make_clock(settings)
    rooms = serving_rooms(settings, clock)
    _learn_time(rooms, clock)
    draining = Draining()
    signal.signal(_LEAVE, draining.begin)
    _end_with_parent()
    return create_door(settings, rooms, draining)


def _end_with_parent() -> None:
    """End this worker when its first process is gone, however that ended: an orphan would keep the port, and nobody could stop it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _learn_time(rooms: Rooms, clock: SystemClock) -> None:
    """Learn the database's time; without it this process starts all the same, and is not ready."""
    asked_at = time.monotonic()
    try:
        row = rooms.database.step("SELECT clock_timestamp() AS now", {})
    except Refusal as refusal:
        log.warning("database_away_at_start", reason=refusal.detail)
        return
    if row is not None:
        clock.learn(row.now, asked_at=asked_at, answered_at=time.monotonic())


def _require_free(host: str, port: int) -> None:
    """Refuse to share a port: the workers' sockets would let two providers answer in turns.

    Raises:
        UnsafeSettings: somebody listens there already.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnsafeSettings(f"{host}:{port} cannot be listened on ({error.strerror}): choose another IDP_BIND") from None


def serve(settings: Settings) -> None:
    """Serve until told to stop. The workers read the settings again from the environment this process was started with.

    Told to stop, the node first says for `announce_for` that it is not ready, so that the proxy sends it nothing more; then it takes
    no more connections, and ends when every request under way is answered. Told again, it does not wait.
    """
    from granian import Granian  # noqa: PLC0415 - the server is heavy, and only this command needs it
    from granian.constants import Interfaces  # noqa: PLC0415 - of the same heavy package

    host, _, port = settings.bind.rpartition(":")
    _require_free(host.strip("[]"), int(port))
    for number in (signal.SIGHUP, _LEAVE):  # inherited by the workers, as long as they have not begun
        signal.signal(number, signal.SIG_IGN)
    server = Granian(
        target="idp.app:application",
        factory=True,
        address=host.strip("[]"),
        port=int(port),
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads,
        workers_kill_timeout=int(settings.drain_for.total_seconds()),
        respawn_failed_workers=True,
        log_access=False,
        websockets=False,
    )
    configure_logs(settings.log_level)  # after the server has arranged its own
    stop, serving = server.signal_handler_interrupt, os.getpid()

    def leave(*_: object) -> None:
        if os.getpid() != serving:  # a worker that has just been forked, and has not begun
            os._exit(0)
        for worker in server.wrks:
            pid: int | None = getattr(worker.inner, "pid", None)
            if pid is not None and worker.inner.is_alive():
                os.kill(pid, _LEAVE)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        threading.Timer(settings.announce_for.total_seconds(), stop).start()

    server.signal_handler_interrupt = leave  # type: ignore[method-assign]  # the server has no hook before it stops
    server.serve()
