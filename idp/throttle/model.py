"""How often a thing may be guessed or asked for, as pure values.

Owns the kinds of guesses and of volumes, their limits and the refusals. Must not know what a guess is checked against.
Account limits are the same in every mode; only limits by address and browser are raised in demo and test mode (law 11).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final

from idp.audit.model import Event
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from uuid import UUID

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
UNLIMITED: Final = 2**31 - 1


class GuessKind(StrEnum):
    """What is guessed. Each kind counts by itself, so that a flood of one never locks another."""

    PASSWORD = "password"  # noqa: S105 - a kind, not a secret
    OTP = "otp"
    RECOVERY_CODE = "recovery_code"


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a guess counts: at an account, at an account from a known device, or at an identifier that names no account."""

    account_id: UUID | None = None
    device_id: UUID | None = None
    identifier: str | None = None

    @classmethod
    def of_account(cls, account_id: UUID) -> Lane:
        """Return the lane of an account: whoever guesses, from whatever device."""
        return cls(account_id=account_id)

    @classmethod
    def of_device(cls, account_id: UUID, device_id: UUID) -> Lane:
        """Return the lane of a device that this account signed in from before: strangers cannot exhaust it."""
        return cls(account_id=account_id, device_id=device_id)

    @classmethod
    def of_identifier(cls, identifier: str) -> Lane:
        """Return the lane of an identifier that names no account, in canonical form; it is counted like an account."""
        return cls(identifier=identifier)


@dataclass(frozen=True, slots=True)
class GuessLimit:
    """How many guesses: `short` in `short_for`, `long` in `long_for`, `consecutive` ever.

    Windows begin with their first guess. With the last guess of the long window begins a pause of at least `pause_for`,
    doubled from the second time on without a success between.
    """

    short: int
    short_for: timedelta
    long: int
    long_for: timedelta
    pause_for: timedelta = timedelta(0)
    consecutive: int = UNLIMITED
    success_clears_long: bool = False


_ONE_TIME: Final = GuessLimit(short=5, short_for=15 * MINUTE, long=10, long_for=DAY, consecutive=100)

LIMITS: Final = {
    GuessKind.PASSWORD: GuessLimit(
        short=5, short_for=15 * MINUTE, long=10, long_for=HOUR, pause_for=30 * MINUTE, success_clears_long=True
    ),
    GuessKind.OTP: _ONE_TIME,
    GuessKind.RECOVERY_CODE: _ONE_TIME,
}
"""Limits by account. A password has no consecutive limit here: what strangers do from unknown devices must not disable it."""

KNOWN_DEVICE_LIMIT: Final = GuessLimit(
    short=10, short_for=15 * MINUTE, long=40, long_for=HOUR, consecutive=100, success_clears_long=True
)
"""Passwords from a known device: its own lane. When it is exhausted, the device is like an unknown one."""


def limit_of(kind: GuessKind, lane: Lane) -> GuessLimit:
    """Return the limit that applies to guesses of `kind` in `lane`."""
    if kind is GuessKind.PASSWORD and lane.device_id is not None:
        return KNOWN_DEVICE_LIMIT
    return LIMITS[kind]


class VolumeKind(StrEnum):
    """What is counted by address (or by address and client); `OPEN`, what is given back when it ends, by browser."""

    SIGN_IN = "sign_in"
    AUTHORIZE = "authorize"
    ACTIVATION = "activation"
    CLIENT_REFUSED = "client_refused"
    CODE_REFUSED = "code_refused"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class VolumeLimit:
    """At most `count` in `window`, which begins with the first."""

    count: int
    window: timedelta


VOLUMES: Final = {
    VolumeKind.SIGN_IN: (VolumeLimit(20, MINUTE), VolumeLimit(100, HOUR)),
    VolumeKind.AUTHORIZE: (VolumeLimit(60, MINUTE),),
    VolumeKind.ACTIVATION: (VolumeLimit(5, MINUTE), VolumeLimit(20, HOUR)),
    VolumeKind.CLIENT_REFUSED: (VolumeLimit(10, MINUTE),),
    VolumeKind.CODE_REFUSED: (VolumeLimit(20, MINUTE),),
    VolumeKind.OPEN: (VolumeLimit(20, 30 * MINUTE),),
}
"""Limits by address or browser. Several limits of one kind hold together."""

_NEIGHBOURHOOD: Final = 10
"""How many times the limit of one IPv6 network holds for all networks of its /48 together."""


def networks_of(address: str) -> tuple[tuple[str, int], ...]:
    """Return what an address is counted as, each with how many times the limit it may have.

    An IPv4 address is itself; an IPv6 one is its /64, which is one house, and its /48, of which one customer may have all; what is
    neither shares one bucket.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return (("unknown", 1),)
    if isinstance(parsed, ipaddress.IPv4Address):
        return ((str(parsed), 1),)
    if parsed.ipv4_mapped is not None:
        return ((str(parsed.ipv4_mapped), 1),)
    house, neighbourhood = (ipaddress.IPv6Network((parsed, length), strict=False) for length in (64, 48))
    return (str(house), 1), (str(neighbourhood), _NEIGHBOURHOOD)


class TooManyGuesses(Refusal):
    """The allowance is used up; nothing was checked. `retry_after` is when a guess may be made again."""

    code = "throttle.too_many_guesses"

    def __init__(self, detail: str = "", *, retry_after: timedelta) -> None:
        """Refuse for `retry_after`; at least a second."""
        super().__init__(detail)
        self.retry_after = max(retry_after, timedelta(seconds=1))


class AuthenticatorDisabled(TooManyGuesses):
    """A hundred failures in a row: off until it is bound anew or its guesses are given back (NIST SP 800-63B-4 §3.2.2)."""

    code = "throttle.authenticator_disabled"


class TooMuchVolume(Refusal):
    """Too much of one kind from one place: an address, a browser, or a client at an address. `retry_after` is when the window ends."""

    code = "throttle.too_much_volume"

    def __init__(self, detail: str = "", *, retry_after: timedelta) -> None:
        """Refuse for `retry_after`; at least a second."""
        super().__init__(detail)
        self.retry_after = max(retry_after, timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class GuessesExhausted(Event):
    """An account's allowance of guesses was used up. Written with the guess that used it up, once for each window."""

    kind: ClassVar[str] = "throttle.guesses_exhausted"

    guesses_of: str
    from_known_device: bool


@dataclass(frozen=True, slots=True)
class GuessesReset(Event):
    """An account got its guesses back, of every kind and from every device: an operator gave them, or the person `activated` it."""

    kind: ClassVar[str] = "throttle.guesses_reset"

    reason: str


@dataclass(frozen=True, slots=True)
class VolumesReset(Event):
    """An operator had every count by address and browser forgotten: of these kinds, so many counters."""

    kind: ClassVar[str] = "throttle.volumes_reset"

    kinds: frozenset[str]
    counters: int
    reason: str
