"""Authenticators: methods, forms of what is typed, refusals and events. Pure.

Must not know where secrets are stored or how they are sealed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from idp.audit.model import Event
from idp.kernel.refusals import Refusal, Unavailable

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Method:
    """A way to prove something: its kind of factor, what `amr` says of it, and whether a sign-in may begin with it."""

    name: str
    factor: str
    amr: str
    begins: bool


PASSWORD: Final = "password"  # noqa: S105 - the name of a method
OTP: Final = "otp"
RECOVERY_CODE: Final = "rc"

METHODS: Final = {
    PASSWORD: Method(PASSWORD, factor="knowledge", amr="pwd", begins=True),
    OTP: Method(OTP, factor="possession", amr="otp", begins=False),
    RECOVERY_CODE: Method(RECOVERY_CODE, factor="possession", amr="otp", begins=False),
}
"""Every method. A recovery code is a look-up secret, something one has (NIST SP 800-63B-4 §3.1.2). RFC 8176 has no word of its
own for it; used once and then never again it is a one-time password, so clients read `otp`, and the login event says `rc`."""


@dataclass(frozen=True, slots=True)
class Held:
    """A means of proof that an account has: its method, since when, and how many recovery codes are left (None: not counted)."""

    method: str
    since: datetime
    left: int | None = None


def has_second(methods: frozenset[str]) -> bool:
    """Tell whether one of `methods` is a second factor: what a person has, beside what they know."""
    return any(not METHODS[method].begins for method in methods)


# passwords -----------------------------------------------------------------------------------------------------

MIN_PASSWORD: Final = 10
"""Code points. NIST asks for 8 beside a second factor and for 15 alone; here both happen, and ten is what people bear."""

MAX_PASSWORD_BYTES: Final = 1024
"""UTF-8 bytes. A longer one is refused, never cut."""

MIN_CONTEXT_WORD: Final = 4
"""Shorter words (a syllable of a name) stand in too many good passphrases to be refused."""


def normalise_password(text: str) -> bytes:
    """Return a password as it is hashed: NFC in UTF-8 (NIST SP 800-63B-4 §3.1.1.2 allows NFC or NFKC).

    NFC, since Vietnamese keyboards write the same letter composed or decomposed, and since NFKC would make distinct
    passwords (full-width, superscript) equal. Nothing is cut or folded.
    """
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")


def check_password(text: str, *, common: frozenset[str], context: tuple[str, ...] = ()) -> None:
    """Let a new password pass, or say why not. There are no rules of composition (ASVS 6.2.5).

    `common` holds what is guessed first, in the form of `comparable`: whole passwords, and words that are found with digits and
    signs around them. `context` are words of the person: number, name; a year or another number beside them adds nothing.

    Raises:
        PasswordTooShort, PasswordTooLong, PasswordTooCommon, PasswordOfContext: one for each reason.
    """
    normalised = unicodedata.normalize("NFC", text)
    if len(normalise_password(text)) > MAX_PASSWORD_BYTES:
        raise PasswordTooLong
    if len(normalised) < MIN_PASSWORD:
        raise PasswordTooShort
    if any(unicodedata.category(each) in {"Cc", "Cs"} for each in normalised):
        raise PasswordUnreadable
    plain = comparable(text)
    if {plain, _core(plain), _core(plain).replace(" ", "")} & common or _is_trivial(plain):
        raise PasswordTooCommon
    own = {_letters_and_digits(comparable(each)) for phrase in context for each in (phrase, *phrase.split())} - {""}
    if _is_of_own_words(_letters_and_digits(plain), own):
        raise PasswordOfContext


def comparable(text: str) -> str:
    """Return a password as lists of common ones compare it: without case, accents and outer spaces."""
    folded = unicodedata.normalize("NFKD", text.casefold().replace("\N{LATIN SMALL LETTER D WITH STROKE}", "d"))
    return "".join(each for each in folded if unicodedata.category(each) != "Mn").strip()


def _letters_and_digits(text: str) -> str:
    return "".join(each for each in text if each.isalnum())


def _is_of_own_words(bare: str, own: set[str]) -> bool:
    """Tell whether hardly a letter is left of it without the longer words, or none without all of them; only letters count."""
    pieces = [bare]
    for word in sorted((each for each in own if len(each) >= MIN_CONTEXT_WORD), key=len, reverse=True):
        pieces = [part for piece in pieces for part in piece.split(word)]
    left = sum(each.isalpha() for piece in pieces for each in piece)
    if len(pieces) > 1 and left < MIN_CONTEXT_WORD:
        return True
    letters = "".join(each for each in bare if each.isalpha())
    ends = {0}
    for at in range(len(letters)):
        if at in ends:
            ends |= {at + len(word) for word in own if letters.startswith(word, at)}
    return bool(letters) and len(letters) in ends


_RUNS: Final = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujm",
)
_FEW: Final = 3


def _is_trivial(plain: str) -> bool:
    """Tell whether it is a run of a keyboard or alphabet, a short piece repeated, or made of hardly any characters."""
    if len(set(plain)) <= _FEW:
        return True
    if any(plain in run or plain in run[::-1] for run in _RUNS):
        return True
    return any(plain == (plain[:size] * len(plain))[: len(plain)] for size in range(1, MIN_CONTEXT_WORD + 1))


def _core(plain: str) -> str:
    """Return what is left of a password without the digits and signs that people put around a word."""
    return plain.strip("0123456789 !@#$%^&*()-_=+[]{};:'\",.<>/?\\|`~")


class PasswordRefused(Refusal):
    """A password may not be set. Subclasses say why; a page shows each its own sentence."""

    code = "authenticators.password_refused"


class PasswordTooShort(PasswordRefused):
    """Fewer than `MIN_PASSWORD` characters."""

    code = "authenticators.password_too_short"


class PasswordTooLong(PasswordRefused):
    """More than `MAX_PASSWORD_BYTES` bytes."""

    code = "authenticators.password_too_long"


class PasswordUnreadable(PasswordRefused):
    """It holds control characters, which no keyboard types the same way twice."""

    code = "authenticators.password_unreadable"


class PasswordTooCommon(PasswordRefused):
    """It is among those guessed first, or a run, or made of hardly any different characters."""

    code = "authenticators.password_too_common"


class PasswordOfContext(PasswordRefused):
    """It is little more than the person's own number or name, or the name of this service."""

    code = "authenticators.password_of_context"


class HashSlotsBusy(Unavailable):
    """Every place at the hash is taken; nothing was checked, and no guess is to be counted for it."""

    code = "authenticators.hash_slots_busy"


# one-time passwords --------------------------------------------------------------------------------------------

STEP_SECONDS: Final = 30
DIGITS: Final = 6
WINDOW: Final = 1
"""Steps before and after the present one whose codes are taken (RFC 6238 §5.2)."""

PENDING_FOR: Final = timedelta(hours=1)
"""How long an authenticator may wait for its first code."""

MOST_TOTPS: Final = 2

_CODE: Final = re.compile(r"[0-9]{6}")


def read_otp(typed: str) -> str | None:
    """Return the six ASCII digits that were typed, spaces aside; None for anything else.

    Python and PyOTP take digits of every script (full-width, Arabic); here a code has one spelling.
    """
    code = typed.replace(" ", "") if len(typed) <= 2 * DIGITS else ""
    return code if _CODE.fullmatch(code) else None


@dataclass(frozen=True, slots=True)
class TotpTaken:
    """A time step was consumed: by which authenticator, and which step."""

    totp_id: UUID
    step: int


@dataclass(frozen=True, slots=True)
class TotpOffered:
    """A new authenticator, waiting for its first code. `secret` is base32; `uri` is what a QR code shows."""

    id: UUID
    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class RecoveryCodeTaken:
    """A recovery code was consumed; `left` others are there."""

    left: int


class TotpRefused(Refusal):
    """The code is not one of this authenticator now, or the authenticator is gone."""

    code = "authenticators.totp_refused"


class TooManyTotps(Refusal):
    """The account has as many authenticators as it may."""

    code = "authenticators.too_many_totps"


class SecondFactorHeld(Refusal):
    """The account has a second factor already: it is proved before another one is set up (law 3)."""

    code = "authenticators.second_factor_held"


# recovery codes ------------------------------------------------------------------------------------------------

RECOVERY_CODES: Final = 10
CODE_BYTES: Final = 15
"""120 bits: more than the 112 from which NIST lets look-up secrets be stored without a password hash (§3.1.2.2)."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUP: Final = 4
_LETTERS: Final = CODE_BYTES * 8 // 5
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_NOT_READ: Final = str.maketrans("", "", "- \t\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}\N{EN DASH}")
_MAX_TYPED: Final = 64


def write_code(raw: bytes) -> str:
    """Return 15 bytes as people type them: Crockford's base32 in six groups of four."""
    number = int.from_bytes(raw, "big")
    letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LETTERS)))
    return "-".join(letters[start : start + _GROUP] for start in range(0, _LETTERS, _GROUP))


def read_code(typed: str) -> str | None:
    """Return a typed code in its one spelling, without hyphens; None for what cannot be one.

    Case, hyphens and spaces do not count, O is 0, I and L are 1 (Crockford).
    """
    bare = typed.translate(_NOT_READ) if len(typed) <= _MAX_TYPED else ""
    if not bare.isascii():
        return None  # some letters of other scripts have an ASCII upper case
    letters = bare.upper().translate(_READ_AS)
    return letters if len(letters) == _LETTERS and set(letters) <= set(_ALPHABET) else None


# events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProofRefused(Event):
    """What was given did not match. For a password the account may be none: the identifier named nobody."""

    kind: ClassVar[str] = "authenticators.proof_refused"

    method: str


@dataclass(frozen=True, slots=True)
class PasswordSet(Event):
    """The person set their password."""

    kind: ClassVar[str] = "authenticators.password_set"

    first: bool


@dataclass(frozen=True, slots=True)
class TotpAdded(Event):
    """An authenticator for one-time passwords was confirmed by its first code, and counts from now on."""

    kind: ClassVar[str] = "authenticators.totp_added"

    totp_id: UUID


@dataclass(frozen=True, slots=True)
class TotpRemoved(Event):
    """An authenticator for one-time passwords was removed."""

    kind: ClassVar[str] = "authenticators.totp_removed"

    totp_id: UUID


@dataclass(frozen=True, slots=True)
class RecoveryCodesMade(Event):
    """Recovery codes were made; all earlier ones are void."""

    kind: ClassVar[str] = "authenticators.recovery_codes_made"

    count: int


@dataclass(frozen=True, slots=True)
class RecoveryCodeUsed(Event):
    """A recovery code was used up; `left` others are there."""

    kind: ClassVar[str] = "authenticators.recovery_code_used"

    left: int


@dataclass(frozen=True, slots=True)
class DeviceRemembered(Event):
    """A browser was remembered as one from which this account signs in."""

    kind: ClassVar[str] = "authenticators.device_remembered"

    device_id: UUID


@dataclass(frozen=True, slots=True)
class DeviceForgotten(Event):
    """A remembered browser is like any other again."""

    kind: ClassVar[str] = "authenticators.device_forgotten"

    device_id: UUID
