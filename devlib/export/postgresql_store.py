"""The tables of the PostgreSQL coordinator, and what one step reads and writes there."""

from typing import Any

import psycopg

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

LOCKS = 0x646576
"""First number of the advisory locks that show that a process lives; the second one is the process's."""

_SETUP = 0

# A schema of its own, so that the migrations of the inventory never meet these tables. UNLOGGED: after a
# crash of the server they are empty, and so is every queue in them.
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS devlib_export;
CREATE UNLOGGED TABLE IF NOT EXISTS devlib_export.admission (
    name text PRIMARY KEY, version integer NOT NULL, doc text NOT NULL) WITH (fillfactor = 10);
CREATE UNLOGGED TABLE IF NOT EXISTS devlib_export.idempotency (
    principal text, idempotency text, ticket text, payload text, state text, why text, ref text,
    expires double precision, PRIMARY KEY (principal, idempotency));
CREATE UNLOGGED TABLE IF NOT EXISTS devlib_export.event (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, ticket text, principal text,
    session text, customer text, key text, event text, http integer, why text, wait_ms bigint,
    run_ms bigint);
"""

_LOCK_ROW = "SELECT version, doc FROM devlib_export.admission WHERE name = 'export' FOR UPDATE"
_NEW_ROW = "INSERT INTO devlib_export.admission VALUES ('export', %s, %s) ON CONFLICT DO NOTHING"
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_ALIVE = """SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_EVENT = "at, ticket, principal, session, customer, key, event, http, why, wait_ms, run_ms"
_INSERT_EVENT = f"INSERT INTO devlib_export.event ({_EVENT}) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)"  # noqa: S608
_KEEP = """INSERT INTO devlib_export.idempotency VALUES (%s,%s,%s,%s,%s,%s,%s,%s)
    ON CONFLICT (principal, idempotency) DO UPDATE SET ticket = excluded.ticket, payload = excluded.payload,
    state = excluded.state, why = excluded.why, ref = excluded.ref, expires = excluded.expires"""


def prepare(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Make the tables where they are missing, one process at a time."""
    # Nothing here is worth waiting for the disk.
    connection.execute("SET synchronous_commit = off")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS + 1, _SETUP))
        known = connection.execute("SELECT to_regclass('devlib_export.event')").fetchone()
        if known == (None,):
            connection.execute(_SCHEMA)


class PostgresqlStore:
    """The locked row of one transaction, in a pipeline: nothing is sent before something is fetched.

    Args:
        connection: in a transaction.
        clock: wall clock for the events.
    """

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._now = 0.0
        self._alive: frozenset[int] = frozenset()

    def load(self) -> tuple[AdmissionState, float]:
        """Lock the row, and read state, moment and living processes under the lock."""
        row = self._read()
        if row is None:
            self._connection.execute(_NEW_ROW, (FORMAT, to_json(AdmissionState())))
            row = self._read()
        if row is None or row[0] != FORMAT:
            return AdmissionState(), self._now
        try:
            return from_json(row[1]), self._now
        except ValueError:
            # As with a broken file: what cannot be read is worth nothing.
            return AdmissionState(), self._now

    def _read(self) -> tuple[Any, ...] | None:
        # The server runs the three in this order, each after the lock of the first.
        locked = self._connection.execute(_LOCK_ROW)
        moment = self._connection.execute(_NOW)
        alive = self._connection.execute(_ALIVE, (LOCKS,))
        (self._now,) = moment.fetchall()[0]
        self._alive = frozenset(number for (number,) in alive.fetchall())
        return locked.fetchone()

    def dead(self, owners: frozenset[str]) -> frozenset[str]:
        """Return the owners whose advisory lock is free."""
        return frozenset(owner for owner in owners if int(owner.partition("-")[2]) not in self._alive)

    def earlier(self, principal: str, idempotency: str) -> Outcome | None:
        """Return the stored outcome of an idempotency key."""
        row = self._connection.execute(
            "SELECT ticket, payload, state, why, ref FROM devlib_export.idempotency"
            " WHERE principal = %s AND idempotency = %s AND expires > %s",
            (principal, idempotency, self._now),
        ).fetchone()
        return Outcome(row[0], row[1], TicketState(row[2]), row[3], row[4]) if row else None

    def save(self, state: AdmissionState, happenings: tuple[Happening, ...], bells: tuple[str, ...]) -> None:
        """Write state, events and outcomes, and notify; all of it counts from the commit on."""
        run = self._connection.execute
        run("UPDATE devlib_export.admission SET version = %s, doc = %s", (FORMAT, to_json(state)))
        for each in happenings:
            run(_INSERT_EVENT, self._row(each))
            if each.outcome is not None:
                run(_KEEP, _outcome(each, each.outcome, state.now))
        if happenings:
            run("DELETE FROM devlib_export.event WHERE number <= "
                "(SELECT max(number) FROM devlib_export.event) - %s", (EVENTS_KEPT,))  # fmt: skip
            run("DELETE FROM devlib_export.idempotency WHERE expires <= %s", (state.now,))
        for channel in bells:
            run("SELECT pg_notify(%s, '')", (channel,))

    def _row(self, each: Happening) -> tuple[object, ...]:
        return (self._clock.now(), each.ticket, each.principal, each.session, each.customer, each.key,
                each.event, each.http, each.why, each.wait_ms, each.run_ms)  # fmt: skip

    def recent(self, count: int) -> tuple[RecentExport, ...]:
        """Return the newest events."""
        rows = self._connection.execute(
            f"SELECT {_EVENT} FROM devlib_export.event ORDER BY number DESC LIMIT %s",  # noqa: S608
            (count,),
        ).fetchall()
        return tuple(RecentExport(*row) for row in rows)


def _outcome(each: Happening, outcome: Outcome, now: float) -> tuple[object, ...]:
    return (each.principal, each.idempotency, outcome.ticket, outcome.payload, str(outcome.state),
            str(outcome.why), outcome.ref, now + OUTCOME_KEPT)  # fmt: skip
