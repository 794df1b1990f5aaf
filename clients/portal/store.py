"""What a portal remembers: unfinished journeys to the provider, sessions, logout tokens already heard.

SQLite in the portal's own directory, so that a restart signs nobody out. It knows nothing of HTTP.
Cookie values and states are kept as digests only. Tokens are kept as they are, in a file that only the
portal may read; a real portal encrypts them at rest.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JOURNEY_FOR = timedelta(minutes=15)
"""How long a person may stay at the provider before the portal forgets what they wanted."""
ENDED_FOR = timedelta(days=1)
"""How long the portal still tells a browser that it was signed out, and remembers ended `sid` and `jti`."""
REFRESHING_FOR = timedelta(seconds=30)

SCHEMA = """
CREATE TABLE IF NOT EXISTS journey (
    state_digest BLOB PRIMARY KEY, browser_digest BLOB NOT NULL, purpose TEXT NOT NULL,
    kept TEXT NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY, browser_digest BLOB NOT NULL UNIQUE, sub TEXT NOT NULL, sid TEXT,
    id_token TEXT, access_token TEXT, access_until REAL, refresh_token TEXT, scope TEXT,
    claims TEXT NOT NULL, signed_in_at REAL NOT NULL, until REAL NOT NULL,
    refreshing_until REAL, ended_at REAL, ended_by TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_sid ON session (sid);
CREATE INDEX IF NOT EXISTS session_sub ON session (sub);
CREATE TABLE IF NOT EXISTS heard (jti TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended (sid TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
"""


class LogoutReplayed(Exception):
    """A logout token that was accepted before."""


class SessionAlreadyEnded(Exception):
    """The provider ended this session before its sign-in reached us."""


@dataclass(frozen=True)
class Tokens:
    """What the token endpoint gave, as far as the portal uses it again."""

    id_token: str
    access_token: str
    access_until: datetime
    refresh_token: str | None
    scope: str


@dataclass(frozen=True)
class Session:
    """A person signed in at this portal, or one who was until `ended_at`."""

    id: str
    sub: str
    sid: str | None
    tokens: Tokens | None
    """None once the session has ended."""
    claims: dict[str, Any]
    signed_in_at: datetime
    until: datetime
    ended_at: datetime | None
    ended_by: str | None
    """`provider` (back-channel logout), `person` (signed out here) or `expiry`."""


class Store:
    """One SQLite file; every method is one transaction."""

    def __init__(self, path: Path) -> None:
        """Open `path`, making its tables when they are not there yet."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._path = path
        with self._connection() as db:
            db.execute("PRAGMA journal_mode = WAL")
        with self._connection() as db:
            for statement in SCHEMA.split(";"):
                db.execute(statement)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = NORMAL")  # with WAL: a killed portal loses nothing
            yield db
        finally:
            db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    # Journeys

    def begin_journey(
        self, state: str, *, browser: str, purpose: str, kept: Mapping[str, Any], now: datetime
    ) -> None:
        """Remember what a browser went to the provider for; forget journeys that nobody came back from."""
        with self._writing() as db:
            db.execute("DELETE FROM journey WHERE until < ?", (now.timestamp(),))
            db.execute(
                "INSERT INTO journey (state_digest, browser_digest, purpose, kept, until) VALUES (?, ?, ?, ?, ?)",
                (_digest(state), _digest(browser), purpose, json.dumps(dict(kept)),
                 (now + JOURNEY_FOR).timestamp()),
            )  # fmt: skip

    def take_journey(self, state: str, *, browser: str, purpose: str, now: datetime) -> dict[str, Any] | None:
        """Consume the journey that this browser began with `state`; None when there is none, or no more.

        One statement, so that of two answers with one state only the first is followed. Somebody else's state
        is not consumed: a stranger who learns a state cannot spoil the sign-in it belongs to.
        """
        with self._writing() as db:
            row = db.execute(
                "DELETE FROM journey WHERE state_digest = ? AND browser_digest = ? AND purpose = ?"
                " RETURNING kept, until",
                (_digest(state), _digest(browser), purpose),
            ).fetchone()
        if row is None or row["until"] < now.timestamp():
            return None
        kept: dict[str, Any] = json.loads(row["kept"])
        return kept

    # Sessions

    def open_session(
        self,
        *,
        browser: str,
        instead_of: str | None,
        sub: str,
        sid: str | None,
        tokens: Tokens,
        claims: Mapping[str, Any],
        now: datetime,
        until: datetime,
    ) -> str:
        """Sign `browser` (a new cookie value) in, and forget the session of its former value `instead_of`.

        Raises:
            SessionAlreadyEnded: a logout token for this `sid` came before the answer to the sign-in.
        """
        session_id = str(uuid.uuid4())
        with self._writing() as db:
            if sid is not None and db.execute("SELECT 1 FROM ended WHERE sid = ?", (sid,)).fetchone():
                raise SessionAlreadyEnded
            gone = (now - ENDED_FOR).timestamp()
            db.execute("DELETE FROM session WHERE until < ? OR ended_at < ?", (gone, gone))
            if instead_of is not None:
                db.execute("DELETE FROM session WHERE browser_digest = ?", (_digest(instead_of),))
            db.execute(
                "INSERT INTO session (id, browser_digest, sub, sid, id_token, access_token, access_until,"
                " refresh_token, scope, claims, signed_in_at, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (session_id, _digest(browser), sub, sid, tokens.id_token, tokens.access_token,
                 tokens.access_until.timestamp(), tokens.refresh_token, tokens.scope, json.dumps(dict(claims)),
                 now.timestamp(), until.timestamp()),
            )  # fmt: skip
        return session_id

    def find_session(self, browser: str, *, now: datetime) -> Session | None:
        """Return the session of a cookie value, ended or not; None when the portal knows none."""
        with self._connection() as db:
            row = db.execute(
                "SELECT id, sub, sid, id_token, access_token, access_until, refresh_token, scope, claims,"
                " signed_in_at, until, ended_at, ended_by FROM session WHERE browser_digest = ?",
                (_digest(browser),),
            ).fetchone()
        return None if row is None else _session(row, now)

    def take_refresh_turn(self, session_id: str, *, now: datetime) -> bool:
        """Return whether the caller may refresh now: one at a time, since a refresh token is spent once."""
        with self._writing() as db:
            taken = db.execute(
                "UPDATE session SET refreshing_until = ? WHERE id = ? AND ended_at IS NULL"
                " AND (refreshing_until IS NULL OR refreshing_until < ?) RETURNING id",
                ((now + REFRESHING_FOR).timestamp(), session_id, now.timestamp()),
            ).fetchone()
        return taken is not None

    def give_back_refresh_turn(self, session_id: str) -> None:
        """Let somebody else try: the provider was away and nothing was spent."""
        with self._writing() as db:
            db.execute("UPDATE session SET refreshing_until = NULL WHERE id = ?", (session_id,))

    def keep_refreshed(self, session_id: str, tokens: Tokens, claims: Mapping[str, Any]) -> None:
        """Replace tokens and claims, unless the session ended while they were fetched."""
        with self._writing() as db:
            db.execute(
                "UPDATE session SET id_token = ?, access_token = ?, access_until = ?, refresh_token = ?, scope = ?,"
                " claims = ?, refreshing_until = NULL WHERE id = ? AND ended_at IS NULL",
                (tokens.id_token, tokens.access_token, tokens.access_until.timestamp(), tokens.refresh_token,
                 tokens.scope, json.dumps(dict(claims)), session_id),
            )  # fmt: skip

    def end_session(self, session_id: str, *, by: str, now: datetime) -> None:
        """End one session from this side; its tokens are forgotten, the row stays to be shown."""
        with self._writing() as db:
            _end(db, "id = ?", (session_id,), by=by, now=now)

    def end_by_provider(self, *, jti: str, sid: str | None, sub: str | None, until: datetime, now: datetime) -> int:
        """End what a logout token names and return how many sessions that was (Back-Channel Logout §2.7).

        With a `sid`, that session alone (and of `sub`, when both are named); with a `sub` alone, all of the person's.

        Raises:
            LogoutReplayed: the token was accepted before.
        """
        with self._writing() as db:
            db.execute("DELETE FROM heard WHERE until < ?", (now.timestamp(),))
            db.execute("DELETE FROM ended WHERE until < ?", (now.timestamp(),))
            # Kept until the token has expired by itself: after that its `exp` refuses it.
            first = db.execute(
                "INSERT INTO heard (jti, until) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING jti",
                (jti, until.timestamp()),
            ).fetchone()
            if first is None:
                raise LogoutReplayed
            if sid is None:
                return _end(db, "sub = ?", (sub or "",), by="provider", now=now)
            db.execute(
                "INSERT INTO ended (sid, until) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (sid, (now + ENDED_FOR).timestamp()),
            )
            if sub is None:
                return _end(db, "sid = ?", (sid,), by="provider", now=now)
            return _end(db, "sid = ? AND sub = ?", (sid, sub), by="provider", now=now)


def _end(db: sqlite3.Connection, where: str, values: tuple[str, ...], *, by: str, now: datetime) -> int:
    ended = db.execute(
        "UPDATE session SET ended_at = ?, ended_by = ?, id_token = NULL, access_token = NULL,"
        f" refresh_token = NULL, claims = '{{}}' WHERE ended_at IS NULL AND {where} RETURNING id",
        (now.timestamp(), by, *values),
    ).fetchall()
    return len(ended)


def _session(row: sqlite3.Row, now: datetime) -> Session:
    ended_at = None if row["ended_at"] is None else _instant(row["ended_at"])
    ended_by = row["ended_by"]
    until = _instant(row["until"])
    if ended_at is None and until <= now:
        ended_at, ended_by = until, "expiry"
    tokens = None
    if ended_at is None:
        tokens = Tokens(
            row["id_token"], row["access_token"], _instant(row["access_until"]), row["refresh_token"], row["scope"]
        )
    return Session(
        id=row["id"],
        sub=row["sub"],
        sid=row["sid"],
        tokens=tokens,
        claims=json.loads(row["claims"]),
        signed_in_at=_instant(row["signed_in_at"]),
        until=until,
        ended_at=ended_at,
        ended_by=ended_by,
    )


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
