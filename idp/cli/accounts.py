"""`idp accounts`: enter people, hand over activation codes, look, lock and unlock."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import click

from idp.accounts.model import AccountShown, DeclarationRefused, Lock, PersonDeclaration, PersonType
from idp.cli.composition import opened_rooms
from idp.cli.documents import read_json
from idp.cli.evidence import evidence
from idp.cli.frame import Frame, Words, answering, counted, local, operated, pairs, read_instant
from idp.cli.subjects import account_id_of, id_of, of_account
from idp.enrolment.model import CODE_LIVES_FOR
from idp.reference.model import Sex

if TYPE_CHECKING:
    from typing import TextIO
    from uuid import UUID

    from idp.assurance.model import Assessment
    from idp.audit.model import Origin

Word = TypeVar("Word", bound=StrEnum)

_FIELDS: Final = (
    "person_type", "personal_number", "full_name", "birth_date", "sex", "nationality", "phone", "email", "address", "locale",
)
_NEEDED: Final = ("personal_number", "full_name", "birth_date", "sex")


@click.group()
def accounts() -> None:
    """People and their accounts. ACCOUNT is a personal number or an account id."""


accounts.add_command(evidence)


@accounts.command("add")
@click.option("--from", "source", type=click.File(encoding="utf-8"), help="Read the fields from a JSON file; - is standard input.")
@click.option("--type", "person_type", type=click.Choice([each.value for each in PersonType]), help="Who it is to the law [citizen].")
@click.option("--number", "personal_number", help="Personal number. Other accounts of this machine see options: prefer --from.")
@click.option("--name", "full_name", help="Full name, as the identity card has it.")
@click.option("--born", "birth_date", metavar="YYYY-MM-DD")
@click.option("--sex", type=click.Choice([each.value for each in Sex]))
@click.option("--nationality", metavar="XX", help="ISO 3166-1 alpha-2 [the country of this installation].")
@click.option("--phone", help="As people here write it, or with the country's code.")
@click.option("--email", help="One address.")
@click.option("--address", help="Place of residence.")
@click.option("--locale", metavar="xx", help="Language the person is spoken to in [that of the country].")
@operated
@answering
def add(frame: Frame, origin: Origin, source: TextIO | None, **given: str | None) -> None:
    """Enter a person and make their account, which they activate with a code (`idp accounts activate`)."""
    declaration = _declaration(_read(source) | {name: value for name, value in given.items() if value is not None})
    with opened_rooms() as rooms:
        account_id = rooms.accounts.add(declaration, origin)
        shown = rooms.accounts.show(account_id)
    document = {"account_id": account_id, "holder_id": shown.holder_id, "state": shown.state, "number": shown.masked_number}
    frame.answer(document, [f"Entered {shown.full_name} ({shown.masked_number}).", f"Account {account_id}, not active yet."])


def _read(source: TextIO | None) -> dict[str, Any]:
    if source is None:
        return {}
    try:
        read = read_json(source.read())
    except UnicodeDecodeError:
        raise click.BadParameter("is not in UTF-8", param_hint="--from") from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--from") from None
    if not isinstance(read, dict):
        raise click.BadParameter(f"must be one object of texts, among {', '.join(_FIELDS)}", param_hint="--from")
    unknown = [ascii(name) for name in read if name not in _FIELDS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: not known; there are {', '.join(_FIELDS)}", param_hint="--from")
    no_texts = [name for name, value in read.items() if not isinstance(value, str)]
    if no_texts:
        raise click.BadParameter(f"{', '.join(no_texts)}: not a text; leave out what is not known", param_hint="--from")
    return read


def _declaration(given: dict[str, Any]) -> PersonDeclaration:
    missing = [name for name in _NEEDED if not given.get(name)]
    if missing:
        raise click.UsageError(f"Missing: {', '.join(missing)}. Give --number, --name, --born and --sex, or --from FILE.")
    try:
        birth_date = date.fromisoformat(given.pop("birth_date"))
    except ValueError:
        raise DeclarationRefused("birth_date", "not a day such as 1990-01-31") from None
    person_type = _word("person_type", PersonType, given.pop("person_type", PersonType.CITIZEN))
    sex = _word("sex", Sex, given.pop("sex"))
    return PersonDeclaration(person_type=person_type, sex=sex, birth_date=birth_date, **given)


def _word(field: str, words: type[Word], told: str) -> Word:
    try:
        return words(told)
    except ValueError:
        raise DeclarationRefused(field, f"not one of {', '.join(words)}") from None


@accounts.command("activate")
@of_account
@operated
@answering
def activate(frame: Frame, origin: Origin, account: str) -> None:
    """Print a code with which the person, and nobody else, sets password and second factor. Earlier codes are void."""
    with opened_rooms() as rooms:
        account_id = account_id_of(rooms, account)
        code = rooms.activation.issue(account_id, by=origin.operator, origin=origin)
        good_until = rooms.clock.now() + CODE_LIVES_FOR
        address = rooms.issuer + "/activate"
        zone = ZoneInfo(rooms.zone)
    document = {"account_id": account_id, "code": code, "address": address, "good_until": good_until}
    frame.answer(
        document,
        [f"Activation code  {code}", f"To be typed at   {address}", f"Good until       {local(good_until, zone)}", "Shown this once."],
    )


@accounts.command("show")
@of_account
@operated
@answering
def show(frame: Frame, origin: Origin, account: str) -> None:
    """Show an account: number and channels masked, level, second factor, locks."""
    with opened_rooms() as rooms:
        account_id = account_id_of(rooms, account)
        shown = rooms.accounts.look_up(account_id, "account", origin)
        level = rooms.levels.current(shown.holder_id)
        methods = sorted(rooms.authenticators.possible(account_id))
        zone = ZoneInfo(rooms.zone)
    document = _document(shown, level, methods)
    said = {
        "account": shown.account_id,
        "holder": shown.holder_id,
        "state": f"{shown.state}{', locked' if shown.is_locked else ''}",
        "name": shown.full_name,
        "person": shown.person_type,
        "number": shown.masked_number,
        "phone": shown.masked_phone,
        "email": shown.masked_email,
        "level": f"{level.ial} (policy {level.policy_version})",
        "can prove": methods,
        "entered": shown.created_at.astimezone(zone),
        "activated": shown.activated_at and shown.activated_at.astimezone(zone),
    }
    frame.answer(document, [*pairs(said), *(_line(each, zone) for each in shown.locks)])


def _document(shown: AccountShown, level: Assessment, methods: list[str]) -> dict[str, object]:
    return {
        "account_id": shown.account_id,
        "holder_id": shown.holder_id,
        "state": shown.state,
        "is_locked": shown.is_locked,
        "person_type": shown.person_type,
        "full_name": shown.full_name,
        "number": shown.masked_number,
        "phone": shown.masked_phone,
        "email": shown.masked_email,
        "locale": shown.locale,
        "created_at": shown.created_at,
        "activated_at": shown.activated_at,
        "not_before": shown.not_before,
        "ial": level.ial,
        "ial_until": level.until,
        "policy_version": level.policy_version,
        "methods": methods,
        "locks": [{name: getattr(lock, name) for name in Lock.__slots__} for lock in shown.locks],
    }


def _line(lock: Lock, zone: ZoneInfo) -> str:
    until = f" until {local(lock.until, zone)}" if lock.until else ""
    lifted = f"; lifted {local(lock.lifted_at, zone)} by {lock.lifted_by}" if lock.lifted_at else ""
    return f"lock {lock.id}: {lock.reason} ({lock.legal_basis}), placed {local(lock.placed_at, zone)} by {lock.placed_by}{until}{lifted}"


@accounts.command("lock")
@of_account
@click.option("--reason", required=True, type=Words(), help="Why, for the record.")
@click.option("--legal-basis", required=True, type=Words(), help="On what legal basis, such as a decree and its article.")
@click.option("--until", metavar="INSTANT", help="When it ends by itself (ISO 8601); else it holds until it is lifted.")
@operated
@answering
def lock(frame: Frame, origin: Origin, account: str, reason: str, legal_basis: str, until: str | None) -> None:
    """Lock an account: dead at once, everywhere. Its sessions end and the portals they reached are told."""
    with opened_rooms() as rooms:
        account_id = account_id_of(rooms, account)
        ends_at = read_instant(until, ZoneInfo(rooms.zone))
        lock_id = rooms.accounts.lock(account_id, reason=reason, legal_basis=legal_basis, until=ends_at, origin=origin)
        ended = rooms.sessions.end_dead(origin, account_id)
    document = {"account_id": account_id, "lock_id": lock_id, "until": ends_at}
    frame.answer(document, f"Locked ({lock_id})." + (f" {counted(ended, 'session')} ended." if ended else ""))


@accounts.command("unlock")
@of_account
@click.option("--lock", "lock_id", callback=id_of, metavar="ID", help="Lift this one alone; else all.")
@operated
@answering
def unlock(frame: Frame, origin: Origin, account: str, lock_id: UUID | None) -> None:
    """Lift one lock, or all of them. What a lock killed stays dead: the person signs in anew."""
    with opened_rooms() as rooms:
        account_id = account_id_of(rooms, account)
        left = rooms.accounts.unlock(account_id, lock_id, origin=origin)
    frame.answer({"account_id": account_id, "locks_left": left}, f"Lifted; still held by {counted(left, 'lock')}." if left else "Unlocked.")
