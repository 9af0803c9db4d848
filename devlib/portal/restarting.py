"""The acts that restart devices: one, or a whole scope, planned first and run then."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pandas as pd

from devlib.errors import TryLater
from devlib.fleet import (
    Beside,
    Restart,
    Restarting,
    RestartOptions,
    RestartPlan,
    RestartProgress,
    RestartReport,
    device_rows,
    run_rows,
    until_interrupted,
)
from devlib.model import Mac, Scope
from devlib.portal.acts import Act, Doing
from devlib.portal.desk import Desk, outside
from devlib.storage import DeviceFilter, RestartRun, no_run, to_frame

_MOST_RUNS = 1_000


class RestartDesk(Desk):
    """Restarts of devices."""

    def reboot(self, mac: str | Mac, *, wait: float = 0.0, force: bool = False) -> Restart:
        """Restart one device through its registrar.

        Args:
            mac: the device.
            wait: seconds to wait for its new registration, which alone proves the restart; 0 for none.
            force: also if it was restarted a moment ago, and may still be booting.

        Returns:
            What became of it: confirmed, accepted but unconfirmed, refused, no answer, not registered, …
        """
        with self._gate.act(Act.REBOOT, str(mac)) as doing:
            if force:
                doing.note("forced")
            device = self._device(mac)
            outcome = self._restarting().one(device, self.identity.principal, wait=wait, force=force)
            doing.note(outcome.result.value)
            return outcome

    def plan_restart(
        self,
        customer: str | None = None,
        site: str | None = None,
        *,
        device_type: str | None = None,
        search: str = "",
        options: RestartOptions | None = None,
    ) -> RestartPlan:
        """Work out what a restart would do: networks are asked who is registered, and nothing is sent.

        Args:
            customer: only this one's devices.
            site: only this site's.
            device_type: only this type, by any name that people use for it.
            search: a part of the MAC, type or name.
            options: rate, canary, limits; by default the cautious ones.

        Returns:
            Each device once, in the order of sending; `restart_devices` shows it as a frame.
        """
        with self._gate.act(Act.REBOOT, f"plan {customer or '*'} / {site or '*'}") as doing:
            place = None if customer is None and site is None else self._place(customer, site)
            kind = self._services.catalogue.get(device_type).name if device_type else None
            words = [place.text if place else "* / *", kind, search]
            plan = self._restarting().plan(
                place.scope if place else self.identity.scope,
                ", ".join(each for each in words if each),
                DeviceFilter(device_type=kind, search=search),
                options or RestartOptions(),
            )
            doing.note(f"{len(plan.to_send)} of {len(plan.steps)} devices")
            return plan

    def restart(
        self,
        plan: RestartPlan,
        tell: Callable[[RestartProgress], None] | None = None,
        *,
        beside: Beside = asyncio.to_thread,
    ) -> RestartReport:
        """Restart the devices of a plan; each is looked up again before its NOTIFY.

        Args:
            plan: of `plan_restart`.
            tell: is given the progress now and then.
            beside: runs the writing while phones are heard.

        Returns:
            The run, done or stopped, with one outcome for each device; a stopped one can be resumed.

        Raises:
            NotAllowed: the plan reaches beyond the scope, or role or scope changed meanwhile.
        """
        with self._gate.act(Act.REBOOT, plan.target) as doing:
            self._require_within(plan.scope)
            restarting = self._restarting(beside)
            number = restarting.start(plan, self.identity.principal)
            doing.note(f"run {number}, {len(plan.to_send)} of {len(plan.steps)} devices")
            self._gate.record(Act.REBOOT, plan.target, "started", doing.detail)
            return self._run(restarting, number, plan.scope, doing, tell, force=plan.options.force)

    def resume_restart(
        self,
        number: int,
        tell: Callable[[RestartProgress], None] | None = None,
        *,
        beside: Beside = asyncio.to_thread,
    ) -> RestartReport:
        """Go on with a run that stopped, was interrupted, or whose process was killed.

        Args:
            number: of the run.
            tell: is given the progress now and then.
            beside: runs the writing while phones are heard.

        Raises:
            NotFound: the scope has no such run.
            Conflict: it is done, or another process runs it.
        """
        with self._gate.act(Act.REBOOT, f"run {number}") as doing:
            run = self._seen_run(number)
            self._gate.record(Act.REBOOT, f"run {number}", "resumed", run.target)
            return self._run(self._restarting(beside), number, run.scope, doing, tell)

    def restarts(self) -> pd.DataFrame:
        """Return the restart runs of the scope, newest first, with the columns of `RESTART_RUNS`."""
        with self._gate.act(Act.REBOOT, "runs"), self._services.inventory.read() as reader:
            runs = [
                run for run in reader.restart_runs(_MOST_RUNS) if run.scope.lies_within(self.identity.scope)
            ]
            totals = reader.restart_totals(run.id for run in runs)
            return to_frame(run_rows(runs, totals, self._services.settings.language))

    def restart_run(self, number: int) -> RestartReport:
        """Return one run with its devices, as far as it is.

        Raises:
            NotFound: the scope has no such run.
        """
        with self._gate.act(Act.REBOOT, f"see run {number}"):
            run = self._seen_run(number)
            with self._services.inventory.read() as reader:
                return RestartReport(run, tuple(reader.restart_steps(number)))

    def restart_devices(self, plan: RestartPlan | RestartReport) -> pd.DataFrame:
        """Return the devices of a plan or a run as a frame with the columns of `RESTART_DEVICES`."""
        return to_frame(device_rows(plan.steps, self._services.settings.language))

    def _restarting(self, beside: Beside = asyncio.to_thread) -> Restarting:
        services = self._services
        return Restarting(
            services.inventory, services.networks, services.catalogue, services.clock, beside=beside
        )

    def _run(
        self,
        restarting: Restarting,
        number: int,
        scope: Scope,
        doing: Doing,
        tell: Callable[[RestartProgress], None] | None,
        *,
        force: bool = False,
    ) -> RestartReport:
        def note(progress: RestartProgress) -> None:
            doing.detail = f"run {number}: {dict(progress.outcomes)}, {progress.waiting} waiting"
            if tell is not None:
                tell(progress)
            # A store that is away for a while must not end the run; a role that is taken away must.
            with suppress(TryLater):
                self._gate.authorise(Act.REBOOT)
                self._require_within(scope)

        report = until_interrupted(lambda halted: restarting.run(number, note, halted, force=force))
        if report.run.reason is not None:
            doing.note(str(report.run.reason))
        return report

    def _seen_run(self, number: int) -> RestartRun:
        with self._services.inventory.read() as reader:
            run = reader.restart_run(number)
        if not run.scope.lies_within(self.identity.scope):
            raise no_run(number)
        return run

    def _require_within(self, scope: Scope) -> None:
        """Make sure that a plan lies in the scope, as it is stored now.

        Raises:
            NotAllowed: it reaches beyond.
        """
        if not scope.lies_within(self.identity.scope):
            raise outside()
