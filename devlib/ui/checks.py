"""What the Check of a runbook asks: each passes with a sentence, or raises an error that ends the run."""

from collections.abc import Callable, Iterable
from datetime import UTC, timedelta
from html import escape
from typing import Any

import pandas as pd

from devlib.collect import DeviceStatus
from devlib.errors import CheckFailed, DevlibError, UsageError
from devlib.export import ReportFile
from devlib.fleet import ImportReport, Restart, RestartPlan, RestartReport, RestartResult, result_words
from devlib.language import Message, message
from devlib.model import LineState, Mac, state_word
from devlib.portal import Portal
from devlib.ui.notebook import language_now

_NAMED = 5


class Passed:
    """A check that passed; shows its sentence.

    Args:
        text: what was found to hold.
    """

    def __init__(self, text: Message) -> None:
        self._text = text

    def __repr__(self) -> str:
        return message("Passed: {text}", text=self._text).in_language(language_now())

    def _repr_html_(self) -> str:
        return f"<p><b style='color:#1a7f37'>✔</b> {escape(repr(self))}</p>"


class Refused:
    """An error that was met on purpose; shows its HTTP status, what it says, and when to try again.

    Args:
        error: the error.
    """

    def __init__(self, error: DevlibError) -> None:
        self.error = error

    @property
    def status(self) -> int:
        """The HTTP status of the error."""
        return self.error.http_status

    def __repr__(self) -> str:
        return f"{self.status} {type(self.error).__name__}: {self.error.in_language(language_now())}"


def refused(act: Callable[..., object], *arguments: object, **named: object) -> Refused:
    """Call something that must be refused, and return the error, so that a notebook can show it.

    Args:
        act: what is called.
        arguments: with these.
        named: and these by name.

    Raises:
        CheckFailed: it was not refused.
    """
    try:
        act(*arguments, **named)
    except DevlibError as error:
        return Refused(error)
    raise CheckFailed(message("This was done, though it should have been refused."))


class Told:
    """Sentences about what was done, one to a line.

    Args:
        sentences: in order.
    """

    def __init__(self, sentences: Iterable[Message]) -> None:
        self._sentences = tuple(sentences)

    def __repr__(self) -> str:
        return "\n".join(each.in_language(language_now()) for each in self._sentences)

    def _repr_html_(self) -> str:
        return "<br>".join(map(escape, repr(self).split("\n")))


def tell(done: ImportReport | DeviceStatus | Restart) -> Told:
    """Show what came of an act, in sentences.

    Args:
        done: what the portal gave back.
    """
    if isinstance(done, ImportReport):
        return Told(done.sentences())
    if isinstance(done, Restart):
        return Told([_restart_words(done)])
    return Told(
        message(
            "{line_port}: {state} ({evidence}). {reason}",
            line_port=each.line.line_port,
            state=state_word(each.state),
            evidence=each.evidence.value,
            reason=each.reason or "",
        )
        for each in done.lines
    )


def _restart_words(done: Restart) -> Message:
    return message(
        "{mac}: {result}. {reason}",
        mac=done.device.mac,
        result=result_words(done.result),
        reason=done.reason or "",
    )


def restart(portal: Portal, plan: RestartPlan, *, dry_run: bool) -> RestartReport | RestartPlan:
    """Do a restart, or leave it at its plan.

    Args:
        portal: who restarts.
        plan: of `portal.plan_restart`.
        dry_run: send nothing.
    """
    return plan if dry_run else portal.restart(plan)


def check_registered(status: DeviceStatus) -> Passed:
    """Check that every assigned line of a device is registered.

    Args:
        status: of `portal.status`.

    Raises:
        CheckFailed: one is not, or none is assigned.
    """
    wanting = [each for each in status.lines if each.state is not LineState.REGISTERED]
    where = str(status.device.mac)
    if not status.lines:
        raise CheckFailed(
            message("No line of this device is assigned."),
            where=where,
            remedy=message("Assign one: `devlib assign`, or the runbook register-one-device."),
        )
    if wanting:
        raise CheckFailed(
            message(
                "{count} of {lines} lines are not registered: {names}.",
                count=len(wanting),
                lines=len(status.lines),
                names=_named(f"{each.line.line_port} ({each.state})" for each in wanting),
            ),
            where=where,
            remedy=message("Read the reason beside the line; then power, cable, account, registrar."),
        )
    return Passed(
        message("lines of {mac} that are registered: {lines} of {lines}.", lines=len(status.lines), mac=where)
    )


def check_devices(portal: Portal, macs: Iterable[str | Mac]) -> Passed:
    """Check that devices are in the inventory.

    Args:
        portal: who looks.
        macs: their addresses, as people write them.

    Raises:
        CheckFailed: one is not there.
    """
    wanted = _addresses(macs)
    if missing := wanted - set(portal.devices()["mac"]):
        raise CheckFailed(
            message(
                "{count} devices are not in the inventory: {names}.",
                count=len(missing),
                names=_named(missing),
            ),
            remedy=message("Read the result of the step before, and do it again."),
        )
    return Passed(message("devices in the inventory: {count}.", count=len(wanted)))


def check_gone(portal: Portal, macs: Iterable[str | Mac]) -> Passed:
    """Check that devices are no longer in the inventory.

    Args:
        portal: who looks.
        macs: their addresses, as people write them.

    Raises:
        CheckFailed: one is still there.
    """
    wanted = _addresses(macs)
    if left := wanted & set(portal.devices()["mac"]):
        raise CheckFailed(
            message(
                "{count} devices are still in the inventory: {names}.", count=len(left), names=_named(left)
            ),
            remedy=message("Remove them again; somebody may have added them meanwhile."),
        )
    return Passed(message("devices that are gone: {count}.", count=len(wanted)))


def check_import(report: ImportReport) -> Passed:
    """Check that no row of a bulk file was refused.

    Args:
        report: of `portal.import_devices`.

    Raises:
        CheckFailed: a row was refused, or there was none.
    """
    if report.refused or not report.rows:
        raise CheckFailed(
            message("{refused} of {rows} rows were refused.", refused=report.refused, rows=report.rows),
            remedy=message("Correct these rows in the file and import the whole file again."),
        )
    return Passed(message("{rows} rows, none refused, {added} added.", rows=report.rows, added=report.added))


def check_report(report: ReportFile, portal: Portal, customer: str, site: str | None = None) -> Passed:
    """Check that a whole line-state report says what the newest snapshot says.

    Args:
        report: of `portal.export_line_states`, without a filter.
        portal: who looks.
        customer: whose report it is.
        site: of which site; `None` for all.

    Raises:
        CheckFailed: it has other counts, or no lines.
    """
    counted = portal.line_states(customer, site)["state"].value_counts().to_dict()
    written = {state.value: lines for state, lines in report.states.items() if lines}
    if not report.rows or counted != written:
        raise CheckFailed(
            message(
                "The report says {written}, the newest snapshot {counted}.", written=written, counted=counted
            ),
            where=report.path.name,
            remedy=message(
                "The states changed meanwhile: export again. If it stays so, tell the developers."
            ),
        )
    return Passed(message("report and snapshot agree on {rows} lines.", rows=report.rows))


def check_restart(report: RestartReport | RestartPlan | Restart) -> Passed:
    """Check that a restart is done, and that every device that was sent a NOTIFY came back.

    Args:
        report: of `portal.restart` or `portal.reboot`; a plan passes where it has a device to restart.

    Raises:
        CheckFailed: it stopped, a device did not come back, or there is none to restart.
    """
    if isinstance(report, Restart):
        if report.result is not RestartResult.CONFIRMED:
            raise CheckFailed(_restart_words(report), remedy=message("Look at the device itself."))
        return Passed(message("devices that came back: {confirmed}; none failed.", confirmed=1))
    if isinstance(report, RestartPlan):
        if not report.to_send:
            raise CheckFailed(
                message("No device of this plan can be restarted."),
                remedy=message(
                    "A device that is not registered hears no NOTIFY: switch its power off and on."
                ),
            )
        return Passed(
            message(
                "this was a dry run; devices that would be restarted: {count}.", count=len(report.to_send)
            )
        )
    if report.failed or report.left:
        raise CheckFailed(
            message("{failed} devices failed, {left} are left.", failed=report.failed, left=report.left),
            where=str(report.run.id),
            remedy=message("Look at the devices; then go on with `portal.resume_restart`."),
        )
    confirmed = sum(step.outcome == "confirmed" for step in report.steps)
    return Passed(message("devices that came back: {confirmed}; none failed.", confirmed=confirmed))


def check_some(rows: pd.DataFrame, what: str) -> Passed:
    """Check that something was found.

    Args:
        rows: what was looked for.
        what: its name, for the error.

    Raises:
        CheckFailed: nothing was found.
    """
    if rows.empty:
        raise CheckFailed(
            message("Nothing was found: {what}.", what=what),
            remedy=message("Check the parameters at the top: names, numbers and the scope of your account."),
        )
    return Passed(message("{what}, rows: {count}.", count=len(rows), what=what))


def check_health(
    portal: Portal,
    customer: str | None = None,
    site: str | None = None,
    *,
    least: float = 0.9,
    oldest_minutes: float = 60.0,
) -> Passed:
    """Check that the fleet is well: fresh states, networks that answer, enough lines registered at each site.

    Args:
        portal: who looks.
        customer: only this one's sites; empty or `None` for all.
        site: only this one.
        least: share of the lines of each site, 0 to 1, that must be registered.
        oldest_minutes: age that the states may have.

    Raises:
        CheckFailed: names everything that is not well.
        UsageError: the share is none.
    """
    if not 0 <= least <= 1:
        raise UsageError(message("{least} is no share from 0 to 1.", least=least))
    counts = portal.summary(customer or None, site or None)
    if counts.empty:
        raise CheckFailed(
            message("No snapshot yet. Collect one with `devlib collect`."),
        )
    age = portal.clock.now() - counts["observed_at"].min().to_pydatetime().replace(tzinfo=UTC)
    down = counts[counts["registered"] < least * counts["lines"]]
    unknown = int(counts["unknown"].sum())
    if age > timedelta(minutes=oldest_minutes) or len(down) or unknown:
        raise CheckFailed(
            message(
                "{sites} sites are below {least} % registered ({names}); {unknown} lines are unknown; "
                "the oldest state is {minutes} minutes old.",
                sites=len(down),
                least=round(least * 100),
                names=_named(down.sort_values("share")["site"]),
                unknown=unknown,
                minutes=round(age.total_seconds() / 60),
            ),
            remedy=message("Go on with the runbook a-site-is-down."),
        )
    return Passed(message("sites that are well: {sites}.", sites=len(counts)))


def _addresses(macs: Iterable[str | Mac]) -> set[str]:
    return {str(each if isinstance(each, Mac) else Mac.parse(each)) for each in macs}


def _named(names: Iterable[Any]) -> str:
    every = sorted(map(str, names))
    return ", ".join(every[:_NAMED]) + (", …" if len(every) > _NAMED else "") if every else "–"
