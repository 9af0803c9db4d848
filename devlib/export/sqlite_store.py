"""The open file of the SQLite coordinator, and what one step reads and writes there."""

import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from devlib.clock import Clock
from devlib.export.admission import (
    FORMAT,
    AdmissionState,
    Happening,
    Outcome,
    TicketState,
    from_json,
    to_json,
)
from devlib.export.coordinator_base import EVENTS_KEPT, OUTCOME_KEPT
from devlib.export.coordinator_values import RecentExport
from devlib.export.ownership import is_dead

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS admission (name TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS idempotency (
    principal TEXT, idempotency TEXT, ticket TEXT, payload TEXT, state TEXT, why TEXT, ref TEXT, expires REAL,
    PRIMARY KEY (principal, idempotency));
CREATE TABLE IF NOT EXISTS export_event (
    number INTEGER PRIMARY KEY, at TEXT, ticket TEXT, principal TEXT, session TEXT, customer TEXT, key TEXT,
    event TEXT, http INT, why TEXT, wait_ms INT, run_ms INT);
PRAGMA user_version = {FORMAT};
"""

_EVENT = "at, ticket, principal, session, customer, key, event, http, why, wait_ms, run_ms"


class SqliteStore:
    """The open file; used under the turnstile only.

    Args:
        path: made where it is missing.
        owners: the folder of the files that show which processes live.
        clock: of this machine.

    Raises:
        ValueError: the file is of another version.
        sqlite3.DatabaseError: the file is none of SQLite's.
    """

    def __init__(self, path: Path, owners: Path, clock: Clock) -> None:
        self._owners = owners
        self._clock = clock
        self._state = AdmissionState()
        # One connection for all threads of the process: the turnstile lets one thread in at a time.
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise
        path.chmod(0o600)
        self.identity = identity_of(path)

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = PERSIST")
        run("PRAGMA synchronous = OFF")
        version = run("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            if run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise ValueError(f"a coordinator file of version {version}")
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def begin(self) -> None:
        """Begin a step: lock the file and read the state."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            row = self._connection.execute("SELECT doc FROM admission").fetchone()
            self._state = from_json(row[0]) if row else AdmissionState()
        except BaseException:
            self.rollback()
            raise

    def commit(self) -> None:
        """Make what was saved last."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo what was saved."""
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def load(self) -> tuple[AdmissionState, float]:
        """Return the state and the moment."""
        return self._state, self._clock.monotonic()

    def dead(self, owners: frozenset[str]) -> frozenset[str]:
        """Return the owners whose lock is free."""
        return frozenset(owner for owner in owners if is_dead(self._owners, owner))

    def earlier(self, principal: str, idempotency: str) -> Outcome | None:
        """Return the stored outcome of an idempotency key."""
        row = self._connection.execute(
            "SELECT ticket, payload, state, why, ref FROM idempotency"
            " WHERE principal = ? AND idempotency = ? AND expires > ?",
            (principal, idempotency, self._clock.monotonic()),
        ).fetchone()
        return Outcome(row[0], row[1], TicketState(row[2]), row[3], row[4]) if row else None

    def save(self, state: AdmissionState, happenings: tuple[Happening, ...], bells: tuple[str, ...]) -> None:
        """Write state, events and outcomes."""
        del bells  # rung after the lock is free
        run = self._connection.execute
        run("INSERT OR REPLACE INTO admission VALUES ('export', ?)", (to_json(state),))
        for each in happenings:
            run(f"INSERT INTO export_event ({_EVENT}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", self._row(each))  # noqa: S608
            if each.outcome is not None:
                self._keep(each, each.outcome, state.now)
        if happenings:
            run("DELETE FROM export_event WHERE number <= (SELECT max(number) FROM export_event) - ?",
                (EVENTS_KEPT,))  # fmt: skip

    def _row(self, each: Happening) -> tuple[object, ...]:
        at = self._clock.now().isoformat()
        return (at, each.ticket, each.principal, each.session, each.customer, each.key,
                each.event, each.http, each.why, each.wait_ms, each.run_ms)  # fmt: skip

    def _keep(self, each: Happening, outcome: Outcome, now: float) -> None:
        self._connection.execute("DELETE FROM idempotency WHERE expires <= ?", (now,))
        self._connection.execute(
            "INSERT OR REPLACE INTO idempotency VALUES (?,?,?,?,?,?,?,?)",
            (each.principal, each.idempotency, outcome.ticket, outcome.payload, outcome.state,
             outcome.why, outcome.ref, now + OUTCOME_KEPT),
        )  # fmt: skip

    def recent(self, count: int) -> tuple[RecentExport, ...]:
        """Return the newest events."""
        rows = self._connection.execute(
            f"SELECT {_EVENT} FROM export_event ORDER BY number DESC LIMIT ?",  # noqa: S608
            (count,),
        ).fetchall()
        return tuple(RecentExport(datetime.fromisoformat(at), *rest) for at, *rest in rows)


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what tells two files of one name apart; `None` where there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None
