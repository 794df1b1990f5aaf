"""The services of a serving process, built by one plain function: no container, no registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idp.accounts.service import Accounts
from idp.assurance.policy import load_policy
from idp.assurance.service import Levels
from idp.authenticators.hashing import HashSlots
from idp.authenticators.service import Authenticators, KnownDevices, Passwords, RecoveryCodes, Totp
from idp.clients.assertions import Assertions
from idp.clients.service import Clients
from idp.egress import Destinations
from idp.enrolment.service import Activation
from idp.grants.model import Lifetimes
from idp.grants.service import Grants
from idp.interactions.service import Interactions
from idp.interactions.signing_in import SignIn
from idp.jobs import Jobs
from idp.keys.ring import KeyRing
from idp.oidc.claims import CLAIMS_OF_SCOPE
from idp.oidc.engine import Engine
from idp.reference.countries import get_country
from idp.sessions.model import SessionPolicy
from idp.sessions.service import Sessions
from idp.storage.ephemeral import Ephemeral
from idp.storage.postgres import Database
from idp.throttle.service import Guesses, Volumes

if TYPE_CHECKING:
    from uuid import UUID

    from idp.kernel.clock import Clock
    from idp.keys.model import KeyEncryption
    from idp.reference.model import Country


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Everything that pages, endpoints and commands ask things of."""

    issuer: str
    zone: str
    country: Country
    clock: Clock
    database: Database
    ephemeral: Ephemeral
    keys: KeyRing
    accounts: Accounts
    authenticators: Authenticators
    passwords: Passwords
    totp: Totp
    recovery_codes: RecoveryCodes
    devices: KnownDevices
    guesses: Guesses
    volumes: Volumes
    levels: Levels
    clients: Clients
    activation: Activation
    sessions: Sessions
    grants: Grants
    interactions: Interactions
    sign_in: SignIn
    engine: Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the rooms are built from: plain values, read from settings by whoever composes."""

    issuer: str
    zone: str
    country: str
    assurance_policy: str
    database_url: str
    redis_url: str
    key_encryption: KeyEncryption
    session_policy: SessionPolicy
    lifetimes: Lifetimes
    hash_slots: int
    volume_factor: int
    egress_allow: tuple[str, ...] = ()
    name: str = "idp"


def build_rooms(wanted: Wanted, clock: Clock) -> Rooms:
    """Return the services of one process. Nothing is connected before it is needed."""
    database = Database(wanted.database_url, name=wanted.name)
    ephemeral = Ephemeral(wanted.redis_url)
    keys = KeyRing(database, wanted.key_encryption, clock)
    sealer = keys.sealer
    country = get_country(wanted.country)
    accounts = Accounts(database, sealer, clock, country)
    authenticators = Authenticators(database)
    passwords = Passwords(database, sealer, clock, HashSlots(wanted.hash_slots), country)
    totp = Totp(database, sealer, clock)
    recovery_codes = RecoveryCodes(database, sealer, clock)
    devices = KnownDevices(database, clock)
    guesses = Guesses(database, sealer, clock)
    volumes = Volumes(ephemeral, clock, factor=wanted.volume_factor)
    clients = Clients(database, clock, country, CLAIMS_OF_SCOPE, Destinations.read(wanted.egress_allow))

    def wants_telling(client_id: UUID) -> bool:
        return clients.get(client_id).backchannel_logout_uri is not None

    sessions = Sessions(database, clock, Jobs(), wanted.session_policy, wants_telling=wants_telling)
    grants = Grants(database, clock, wanted.lifetimes)
    return Rooms(
        issuer=wanted.issuer,
        zone=wanted.zone,
        country=country,
        clock=clock,
        database=database,
        ephemeral=ephemeral,
        keys=keys,
        accounts=accounts,
        authenticators=authenticators,
        passwords=passwords,
        totp=totp,
        recovery_codes=recovery_codes,
        devices=devices,
        guesses=guesses,
        volumes=volumes,
        levels=Levels(database, load_policy(wanted.assurance_policy), clock),
        clients=clients,
        activation=Activation(
            database,
            clock,
            accounts=accounts,
            authenticators=authenticators,
            passwords=passwords,
            totp=totp,
            recovery_codes=recovery_codes,
            devices=devices,
            guesses=guesses,
        ),
        sessions=sessions,
        grants=grants,
        interactions=Interactions(ephemeral, clock, volumes),
        sign_in=SignIn(
            database,
            accounts=accounts,
            authenticators=authenticators,
            passwords=passwords,
            totp=totp,
            recovery_codes=recovery_codes,
            devices=devices,
            guesses=guesses,
            sessions=sessions,
        ),
        engine=Engine(
            issuer=wanted.issuer,
            clients=clients,
            assertions=Assertions(database),
            grants=grants,
            keys=keys,
            clock=clock,
            zone=wanted.zone,
        ),
    )
