"""Moving to PostgreSQL and a bucket as a process that is killed with -9, and goes on until all is equal."""

import os
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from bucket_fixture import bucket_server
from machines_stage import CUSTOMERS, PROVIDER, Machine, Stage, opened
from postgresql_fixture import postgresql

from devlib.model import EVERYTHING, OBSERVATIONS
from devlib.storage import Collected
from devlib.storage.copy_tables import TABLES, checksum
from devlib.storage.copying import living_files

__all__ = ["bucket_server", "postgresql"]

pytestmark = [pytest.mark.postgresql, pytest.mark.bucket, pytest.mark.torture, pytest.mark.timeout(7200)]

LINES = int(os.environ.get("DEVLIB_MIGRATION_LINES", "800"))
DAYS = 30
START = datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
_ROWS = """
    SELECT {columns} FROM (
        SELECT i + 1 AS line_key, '{provider}' AS provider, 'Lyon' AS site,
            list_extract({customers}, 1 + i // {each}) AS customer,
            printf('80:5E:C0:%02X:%02X:%02X', i // 65536, i // 256 % 256, i % 256) AS mac,
            'Yealink T46S' AS device_type, 1 AS port, printf('%d@x.example', i + 1) AS line_port,
            CASE WHEN hash(i, {day}) % 20 = 0 THEN 'aged' ELSE 'registered' END AS state,
            'live' AS evidence, TIMESTAMP '{at}' AS observed_at,
            TIMESTAMP '{at}' - to_seconds((hash(i, {day}) % 3600)::BIGINT) AS last_registered_at
        FROM range({lines}) AS numbers(i)
    ) ORDER BY customer, line_key
"""


def write_days(services):
    """Write a snapshot of every line for each of 30 days."""
    names = ("line_key", "provider", "customer", "site", "mac", "device_type", "port", "line_port", "state",
             "evidence", "observed_at", "last_registered_at")  # fmt: skip
    columns = ", ".join(
        each.name if each.name in names else f"NULL::{each.type} AS {each.name}" for each in OBSERVATIONS
    )
    for day in range(DAYS):
        moment = START + timedelta(days=day)
        sql = _ROWS.format(
            columns=columns, provider=PROVIDER, customers=list(CUSTOMERS), each=LINES // 4, day=day,
            at=moment.replace(tzinfo=None), lines=LINES,
        )  # fmt: skip
        services.lake.write(sql, {}, {}, Collected(None, None, None, moment))


def contents(services):
    """Return digests of all tables but the audit, and names with sizes of all files."""
    with services.inventory.frozen() as connection:
        tables = {each.name: checksum(connection, each) for each in TABLES if "audit" not in each.name}
        return tables, living_files(connection)


@pytest.mark.slow
def test_a_move_that_is_killed_three_times_ends_equal(tmp_path, postgresql, bucket_server, monkeypatch):
    """Killed in its tables, in its files and in its comparison, the same command ends with all equal."""
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    stage = Stage(
        tmp_path, f"sqlite:///{tmp_path}/inventory.db", str(tmp_path / "lake"), bucket_server.environment
    )
    stage.seed(LINES // 4)
    with opened(stage.settings()) as services:
        write_days(services)
        before = contents(services)
    target = {"database": postgresql.new_database(), "lake": bucket_server.new_address()}
    command = ["migrate", "--json", "--to", target["database"], "--lake", target["lake"]]
    parts = ("customers", "files", "files compared", None)
    seconds = [run_until(Machine(stage, "mover", command), part) for part in parts]
    sys.stdout.write(f"\n{LINES} lines, {DAYS} snapshots: seconds of each attempt {seconds}\n")
    new = stage.settings("new").model_copy(update=target)
    with opened(stage.settings()) as services, opened(new) as moved:
        assert contents(services) == contents(moved) == before
        names = living_files_of(moved)
        assert moved.lake.files.present(names) == names
        expected = counts(services)
        assert counts(moved) == expected
        assert sum(expected.values()) == LINES * DAYS
        with moved.inventory.read() as reader:
            assert reader.check_audit().whole


def living_files_of(services):
    with services.inventory.frozen() as connection:
        return living_files(connection)


def counts(services):
    """Return rows by day and state, as DuckDB reads them."""
    with services.inventory.read() as reader:
        found = services.lake.relation(list(reader.manifest(EVERYTHING)))
    with services.lake.connection() as cursor:
        sql = (
            "SELECT observed_at, state, count(*), sum(hash(line_port, last_registered_at)::HUGEINT) "
            f"FROM {found} GROUP BY ALL"
        )
        return {row[:2] + row[3:]: row[2] for row in cursor.execute(sql).fetchall()}


def run_until(machine, part):
    """Run a command until it tells of a part of the work, and kill it there; without one, to its end."""
    begun = time.monotonic()
    machine.start()
    while machine.is_running and not any(each.get("part") == part for each in machine.records() if part):
        time.sleep(0.02)
    if part is None:
        machine.kill()  # it has ended: only what it said is read
        assert any("rows" in each for each in machine.records()), machine.lines[-5:]
    else:
        assert machine.is_running, machine.lines[-5:]
        machine.kill()
        assert not any("rows" in each for each in machine.records())
    return round(time.monotonic() - begun, 1)
