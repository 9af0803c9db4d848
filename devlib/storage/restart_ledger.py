"""What the inventory keeps of restart runs: each device's place in the plan, and how far it came."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from devlib.errors import NotFound
from devlib.language import message
from devlib.storage.connected import Connected
from devlib.storage.schema import restart_devices, restart_runs


@dataclass(frozen=True, slots=True)
class RestartRun:
    """One run over many devices.

    Args:
        id: its number; 0 before it is kept.
        created_at: when it was planned, UTC.
        principal: who planned it.
        target: what for, in words.
        state: `open`, `done` or `stopped`.
        rate: most NOTIFYs per second.
        canary: devices that must come back before the rest is restarted.
        stop_after: failures after which it stops.
        wait: seconds to wait for a new registration beyond the boot time of the device.
        finished_at: when it ended, UTC.
    """

    id: int
    created_at: datetime
    principal: str
    target: str
    state: str
    rate: float
    canary: int
    stop_after: int
    wait: float
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RestartStep:
    """One device of a run.

    Args:
        position: place in the run, from 0.
        mac: of the device.
        provider: name of its service provider.
        customer: name of its customer.
        line_port: line through which it is addressed; empty where none is registered.
        event: Event header of its NOTIFY.
        boot_seconds: seconds within which it should be back.
        state: `waiting`, `sending`, `accepted` or `ended`.
        outcome: how it ended.
        reason: in words; hostile.
        attempts: NOTIFYs sent so far.
        sent_at: when the last one was sent, UTC.
        call_id_before: Call-ID of its registration before that.
        confirmed_at: when it had registered anew, UTC.
    """

    position: int
    mac: str
    provider: str
    customer: str
    line_port: str
    event: str
    boot_seconds: float
    state: str = "waiting"
    outcome: str = ""
    reason: str = ""
    attempts: int = 0
    sent_at: datetime | None = None
    call_id_before: str | None = None
    confirmed_at: datetime | None = None


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
            raise NotFound(
                message("There is no restart run {number}.", number=number),
                remedy=message("`devlib restarts` lists them."),
            )
        return RestartRun(**row._asdict())

    def restart_runs(self, limit: int = 50) -> list[RestartRun]:
        """Return the last runs, newest first."""
        found = select(restart_runs).order_by(restart_runs.c.id.desc()).limit(limit)
        return [RestartRun(**row._asdict()) for row in self.connection.execute(found)]

    def restart_steps(self, number: int) -> list[RestartStep]:
        """Return the devices of a run, in its order."""
        columns = [each for each in restart_devices.c if each.name != "run_id"]
        found = select(*columns).where(restart_devices.c.run_id == number)
        rows = self.connection.execute(found.order_by(restart_devices.c.position))
        return [RestartStep(**row._asdict()) for row in rows]

    def last_restarts(self) -> dict[str, datetime]:
        """Return when each device was last sent a NOTIFY by any run, by MAC, UTC."""
        sent = restart_devices.c.sent_at
        found = select(restart_devices.c.mac, func.max(sent)).where(sent.is_not(None))
        rows = self.connection.execute(found.group_by(restart_devices.c.mac))
        return dict(row.tuple() for row in rows)


class RestartWriter(Connected):
    """Keeps how far restart runs came."""

    def start_restart_run(self, run: RestartRun, steps: Iterable[RestartStep]) -> int:
        """Keep a plan before anything of it is sent; return its number."""
        values = {name: value for name, value in asdict(run).items() if name != "id"}
        number = self.connection.execute(
            insert(restart_runs).values(values).returning(restart_runs.c.id)
        ).scalar_one()
        rows = [{"run_id": number, **asdict(step)} for step in steps]
        if rows:
            self.connection.execute(insert(restart_devices), rows)
        return int(number)

    def note_restart(self, number: int, position: int, **changes: Any) -> None:  # noqa: ANN401 - columns
        """Keep what changed of one device of a run."""
        where = (restart_devices.c.run_id == number) & (restart_devices.c.position == position)
        self.connection.execute(update(restart_devices).where(where).values(**changes))

    def end_restart_run(self, number: int, state: str) -> None:
        """Keep how a run ended, or that it is open again.

        Args:
            number: of the run.
            state: `open`, `done` or `stopped`.
        """
        finished = None if state == "open" else self._clock.now()
        change = update(restart_runs).where(restart_runs.c.id == number)
        self.connection.execute(change.values(state=state, finished_at=finished))
