"""`idp serve`, `idp worker`, `idp migrate`: what a node runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from idp.cli.frame import Frame, answering
from idp.kernel.refusals import Unavailable
from idp.settings import Settings, UnsafeSettings, environment, read_settings

if TYPE_CHECKING:
    from idp.kernel.clock import Clock
    from idp.rooms import Rooms

_COME_BACK_AFTER: Final = 2.0


@click.command("serve")
@answering
def serve(frame: Frame) -> None:
    """Serve until told to stop (SIGTERM). Reads the settings from the environment; needs both engines' URLs.

    With --json, the one document there can be is why it does not begin.
    """
    from idp import app
    from idp.cli.composition import require_fitting_database

    settings = read_settings(environment())
    if settings.database_url is None:
        raise UnsafeSettings("set IDP_DATABASE_URL and IDP_REDIS_URL, or run idp demo, which starts engines of its own")
    app.key_encryption(settings)
    try:
        require_fitting_database(settings, settings.database_url.get_secret_value())
    except Unavailable as away:
        frame.say(f"idp: the database does not answer yet ({away.detail}); serving what needs none")
    app.serve(settings)


@click.command("worker")
@answering
def worker(frame: Frame) -> None:
    """Deliver notices, lift locks that ended, purge what has passed, until told to stop (SIGTERM). Several may run.

    With --json, the one document there can be is why it does not begin.
    """
    from idp.app import job_handlers, make_clock, periodic_jobs
    from idp.jobs.worker import build_worker
    from idp.web.logs import configure_logs

    settings = read_settings(environment())
    url = settings.database_worker_url
    if url is None:
        raise UnsafeSettings("set IDP_DATABASE_WORKER_URL: jobs are done as the role idp_worker")
    configure_logs(settings.log_level)
    clock = make_clock(settings)
    rooms = _rooms_when_possible(frame, settings, url.get_secret_value(), clock)
    handlers, periodic = job_handlers(settings, rooms, clock), periodic_jobs(settings, rooms, clock)
    working = build_worker(url.get_secret_value(), clock, handlers=handlers, periodic=periodic)
    frame.say("idp worker: working")
    working.run()
    rooms.database.close()


def _rooms_when_possible(frame: Frame, settings: Settings, url: str, clock: Clock) -> Rooms:
    """Return the rooms of a worker once the database answers: a node that starts first waits."""
    from idp.app import wanted_rooms
    from idp.cli.composition import require_fitting_database
    from idp.rooms import build_rooms

    waits = False
    while True:
        try:
            require_fitting_database(settings, url)
            return build_rooms(wanted_rooms(settings, url, name="idp worker"), clock)
        except Unavailable as away:
            if not waits:
                frame.say(f"idp worker: waiting for the database ({away.detail})")
                waits = True
            time.sleep(_COME_BACK_AFTER)


@click.command("migrate")
@answering
def migrate(frame: Frame) -> None:
    """Bring the database to this version: its schema, the mark of what it is for, and every level under the policy in force.

    Safe to run again, and beside a running service.
    """
    from idp.app import make_clock
    from idp.cli.composition import command_settings
    from idp.storage import migrations
    from idp.storage.deployment import Deployment, write_deployment

    settings = command_settings()
    if settings.database_owner_url is None:
        raise UnsafeSettings("set IDP_DATABASE_OWNER_URL: only the owner of the schema migrates")
    url = settings.database_owner_url.get_secret_value()
    before = migrations.current(url)
    if before is not None:
        _require_own(url, settings)
    clock = make_clock(settings)
    migrations.migrate(url, clock.now().date(), frame.say)
    mark = write_deployment(url, Deployment(settings.mode, settings.issuer))
    assessed = _assess(frame, url, settings, clock)
    document = {"before": before, "schema": migrations.head(), "mode": mark.mode, "issuer": mark.issuer, "assessed": assessed}
    done = f"The database is at {migrations.head()}, marked {mark.mode} for {mark.issuer}."
    frame.answer(document, done + (f" {assessed} levels were computed anew under {settings.assurance_policy}." if assessed else ""))


def _assess(frame: Frame, url: str, settings: Settings, clock: Clock) -> int:
    """Compute levels anew that were computed under another policy (decision 0013)."""
    from idp.assurance.policy import load_policy
    from idp.assurance.service import Levels
    from idp.audit.model import Origin
    from idp.storage.postgres import Database

    database = Database(url, name="idp migrate", pool=1)
    try:
        levels = Levels(database, load_policy(settings.assurance_policy), clock)
        return levels.assess_under_policy(lambda done: frame.say(f"{done} levels computed anew"), Origin.operated("migrate"))
    finally:
        database.close()


def _require_own(url: str, settings: Settings) -> None:
    """Stop before anything is migrated that is not ours."""
    from idp.storage.deployment import Deployment, find_deployment, require_same_kind
    from idp.storage.postgres import Database

    database = Database(url, name="idp migrate", pool=1)
    try:
        require_same_kind(find_deployment(database), Deployment(settings.mode, settings.issuer))
    finally:
        database.close()
