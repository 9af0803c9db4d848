"""The ledger of restarts: each run, each device's place in it and how far it came, and who runs it now."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, or_, select, text, update

from devlib.errors import Conflict, NotFound
from devlib.language import message
from devlib.storage.connected import Connected, in_batches
from devlib.storage.restart_records import (
    RestartRun,
    RestartStep,
    RunState,
    StepState,
    kept_message,
    kept_scope,
    read_message,
    read_scope,
)
from devlib.storage.schema import restart_devices, restart_runs

_BATCH = 1_000
# Any number besides those of the migrations and the imports.
_TURNS = 0x72657374617274
_RUN = tuple(each.name for each in fields(RestartRun))
_STEP = tuple(each.name for each in fields(RestartStep))


class RestartReader(Connected):
    """Answers questions about restart runs."""

    def restart_run(self, number: int) -> RestartRun:
        """Return one run.

        Raises:
            NotFound: there is none of that number.
        """
        found = select(restart_runs).where(restart_runs.c.id == number)
        row = self.connection.execute(found).one_or_none()
        if row is None:
            raise no_run(number)
        return _run(row)

    def restart_runs(self, limit: int = 1_000) -> list[RestartRun]:
        """Return the last runs, newest first."""
        found = select(restart_runs).order_by(restart_runs.c.id.desc()).limit(limit)
        return [_run(row) for row in self.connection.execute(found)]

    def restart_steps(self, number: int) -> list[RestartStep]:
        """Return the devices of a run, in its order."""
        found = select(*(restart_devices.c[name] for name in _STEP)).where(restart_devices.c.run_id == number)
        return [_step(row) for row in self.connection.execute(found.order_by(restart_devices.c.position))]

    def restart_totals(self, numbers: Iterable[int]) -> dict[int, dict[str, int]]:
        """Return for each of these runs how many devices have each outcome; under "" those without one."""
        totals: dict[int, dict[str, int]] = {}
        columns = restart_devices.c
        for batch in in_batches(numbers, _BATCH):
            found = select(columns.run_id, columns.outcome, func.count()).where(columns.run_id.in_(batch))
            for number, outcome, count in self.connection.execute(
                found.group_by(columns.run_id, columns.outcome)
            ):
                totals.setdefault(number, {})[outcome] = count
        return totals

    def last_restarts(
        self,
        macs: Iterable[str],
        *,
        since: datetime,
        untouched: Iterable[str] = (),
        without: int = 0,
    ) -> dict[str, datetime]:
        """Return when each of these devices was last sent a NOTIFY by any run, by MAC, UTC.

        Args:
            macs: which devices.
            since: the earliest moment that matters, UTC.
            untouched: outcomes after which a device surely did not restart: these do not count.
            without: number of a run that does not count; 0 for none.
        """
        columns = restart_devices.c
        chosen = [
            columns.sent_at >= since,
            columns.outcome.not_in(list(untouched)),
            columns.run_id != without,
        ]
        found: dict[str, datetime] = {}
        for batch in in_batches(macs, _BATCH):
            found |= self._last(columns.mac, [*chosen, columns.mac.in_(batch)])
        return found

    def last_sent(self, networks: Sequence[str], *, since: datetime, without: int) -> dict[str, datetime]:
        """Return when any other run last sent a NOTIFY through each of these networks since then, UTC."""
        columns = restart_devices.c
        return self._last(
            columns.network,
            [columns.sent_at >= since, columns.run_id != without, columns.network.in_(networks)],
        )

    def _last(self, column: ColumnElement[str], chosen: list[ColumnElement[bool]]) -> dict[str, datetime]:
        found = select(column, func.max(restart_devices.c.sent_at)).where(*chosen).group_by(column)
        return {row[0]: row[1] for row in self.connection.execute(found)}


class RestartWriter(Connected):
    """Keeps how far restart runs came, and which process runs each."""

    def start_restart_run(self, run: RestartRun, steps: Iterable[RestartStep]) -> int:
        """Keep a plan before anything of it is sent; return its number."""
        values = {name: value for name, value in _run_values(run).items() if name != "id"}
        number = self.connection.execute(
            insert(restart_runs).values(values).returning(restart_runs.c.id)
        ).scalar_one()
        for batch in in_batches(steps, _BATCH):
            rows = [{"run_id": number, **_step_values(_all_of(step))} for step in batch]
            self.connection.execute(insert(restart_devices), rows)
        return int(number)

    def take_turn_in_restarts(self) -> None:
        """Let one process at a time decide what is sent next; on SQLite, a block of `write()` does that."""
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(select(text(f"pg_advisory_xact_lock({_TURNS})")))

    def note_restarts(self, number: int, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Keep what changed of the devices of a run, by position."""
        columns = restart_devices.c
        for position, values in changes.items():
            where = (columns.run_id == number) & (columns.position == position)
            self.connection.execute(update(restart_devices).where(where).values(_step_values(values)))

    def hold_restart_run(
        self, number: int, holder: str, until: datetime, gone: Callable[[str], bool] | None = None
    ) -> None:
        """Make `holder` the one process that runs it, or prolong that.

        Args:
            number: of the run.
            holder: name of the process.
            until: when others may take it over, unless it is prolonged before, UTC.
            gone: whether the process of that name has ended for sure; `None` where `holder` must have it
                already.

        Raises:
            Conflict: another process runs it.
        """
        columns = restart_runs.c
        may = columns.holder == holder
        if gone is not None:
            before = self.connection.scalar(select(columns.holder).where(columns.id == number))
            now = self._clock.now()
            may = or_(may, columns.holder.is_(None), columns.held_until < now)
            if before is not None and gone(before):
                may = or_(may, columns.holder == before)
        change = update(restart_runs).where(columns.id == number, may)
        if self.connection.execute(change.values(holder=holder, held_until=until)).rowcount == 0:
            raise Conflict(
                message("Another process runs the restart run {number}.", number=number),
                remedy=message("Watch it with `devlib restarts {number}`.", number=number),
            )

    def change_restart_run(self, number: int, **values: Any) -> None:  # noqa: ANN401 - columns
        """Keep what changed of a run itself: `state`, `reason`, `holder`, `finished_at`."""
        if "reason" in values:
            values["reason"] = kept_message(values["reason"])
        self.connection.execute(update(restart_runs).where(restart_runs.c.id == number).values(**values))


def no_run(number: int) -> NotFound:
    """Return the error for a run that there is not, or not in the scope of the one who asks."""
    return NotFound(
        message("There is no restart run {number}.", number=number),
        remedy=message("`devlib restarts` lists them."),
    )


def _run(row: Row[Any]) -> RestartRun:
    values = {name: getattr(row, name) for name in _RUN}
    read = {"scope": read_scope(row.scope), "reason": read_message(row.reason), "state": RunState(row.state)}
    return RestartRun(**(values | read))


def _run_values(run: RestartRun) -> dict[str, Any]:
    values = {name: getattr(run, name) for name in _RUN}
    return values | {"scope": kept_scope(run.scope), "reason": kept_message(run.reason)}


def _step(row: Row[Any]) -> RestartStep:
    values = row._asdict()
    values["reason"] = read_message(values["reason"])
    values["calls_before"] = tuple(json.loads(values["calls_before"]))
    values["state"] = StepState(values["state"])
    return RestartStep(**values)


def _all_of(step: RestartStep) -> dict[str, Any]:
    return {name: getattr(step, name) for name in _STEP}


def _step_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    if "calls_before" in values:
        values["calls_before"] = json.dumps(values["calls_before"])
    if "reason" in values:
        values["reason"] = kept_message(values["reason"])
    return values
