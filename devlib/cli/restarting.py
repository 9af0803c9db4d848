"""Commands that restart devices: one, a scope, and what became of it."""

from collections.abc import Callable, Mapping

from devlib.cli.command import CUSTOMER, DONE, FAILED, MAC, SITE, TRY_LATER, Call, Command, argument
from devlib.errors import UsageError
from devlib.fleet import (
    RestartOptions,
    RestartPlan,
    RestartProgress,
    RestartReport,
    RestartResult,
    result_words,
)
from devlib.language import Message, message
from devlib.model import RESTART_DEVICES, RESTART_RUNS
from devlib.portal import Portal
from devlib.storage import RunState

_REBOOT_WAIT = 120.0
_MOST_SHOWN = 50
_PLANNED = (
    "mac", "device_type", "site", "line_port", "event", "boot_seconds", "canary", "outcome", "reason",
)  # fmt: skip
_RUN = ("mac", "device_type", "site", "line_port", "state", "outcome", "reason", "sent_at", "ended_at")


def reboot(call: Call) -> int:
    """Restart one device."""
    wait = 0.0 if call.arguments.no_wait else _REBOOT_WAIT
    with call.open_portal() as portal:
        done = portal.reboot(call.arguments.mac, wait=wait, force=call.arguments.force)
    values = {"mac": str(done.device.mac), "result": done.result.value, "line_port": done.line_port}
    text = message(
        "{mac}: {result}. {reason}",
        mac=done.device.mac,
        result=result_words(done.result),
        reason=done.reason or "",
    )
    call.out.record(values | {"reason": str(done.reason or "")}, text)
    if done.result in {RestartResult.CONFIRMED, RestartResult.ACCEPTED}:
        return DONE
    later = {RestartResult.UNREACHABLE, RestartResult.SKIPPED}
    return TRY_LATER if done.result in later else FAILED


def restart(call: Call) -> int:
    """Plan a restart and show it; with --yes, do it; with --resume, go on with one."""
    given = call.arguments
    with call.open_portal() as portal:
        if given.resume is not None:
            return _follow(call, lambda tell: portal.resume_restart(given.resume, tell))
        _require_place(call)
        plan = portal.plan_restart(
            given.customer, given.site, device_type=given.type, search=given.search, options=_options(call)
        )
        if given.dry_run or not given.yes:
            _show_plan(call, portal, plan)
            return DONE
        return _follow(call, lambda tell: portal.restart(plan, tell))


def restarts(call: Call) -> int:
    """List restart runs, or the devices of one."""
    number = call.arguments.number
    with call.open_portal() as portal:
        if number is None:
            call.out.frame(portal.restarts(), RESTART_RUNS, _MOST_SHOWN)
            return DONE
        report = portal.restart_run(number)
        frame = portal.restart_devices(report)
    if call.out.as_json:
        call.out.frame(frame)
    else:
        call.out.frame(frame[list(_RUN)], RESTART_DEVICES)
        call.out.say(_totals(report))
    return DONE


def _require_place(call: Call) -> None:
    given = call.arguments
    if given.customer is None and given.site is None:
        raise UsageError(
            message("Say which devices are to be restarted."),
            remedy=message("Give --site or --customer; or --resume with the number of a run."),
        )


def _options(call: Call) -> RestartOptions:
    given = call.arguments
    named = {
        "rate": given.rate,
        "canary": given.canary,
        "stop_after": given.stop_after,
        "stop_share": None if given.stop_share is None else given.stop_share / 100,
        "grace": given.grace,
        "boot_seconds": given.boot_seconds,
        "patience": given.patience,
    }
    return RestartOptions(**{name: value for name, value in named.items() if value is not None})


def _show_plan(call: Call, portal: Portal, plan: RestartPlan) -> None:
    frame = portal.restart_devices(plan)
    if call.out.as_json:
        values = {"rate": plan.rate, "seconds": round(plan.seconds), "to_send": len(plan.to_send)}
        call.out.data(values | {"devices": call.out.records(frame)})
        return
    call.out.frame(frame[list(_PLANNED)], RESTART_DEVICES)
    call.out.say(
        message(
            "{count} of {all} devices would be restarted, at most {rate} per second; about {minutes} min.",
            count=len(plan.to_send),
            all=len(plan.steps),
            rate=f"{plan.rate:g}",
            minutes=max(1, round(plan.seconds / 60)),
        )
    )
    call.out.say(message("Nothing was sent. Say --yes to restart them."))


def _follow(call: Call, work: Callable[[Callable[[RestartProgress], None]], RestartReport]) -> int:
    """Run `work` with a progress line, and print what became of it; return the exit code."""
    number: list[int] = []
    with call.out.progress(message("Devices")) as draw:

        def tell(progress: RestartProgress) -> None:
            number[:] = [progress.number]
            draw(sum(progress.outcomes.values()), progress.devices)

        try:
            report = work(tell)
        except KeyboardInterrupt:
            if number:
                call.out.warn(
                    message("Interrupted. Go on with: devlib restart --resume {number}", number=number[0])
                )
            raise
    call.out.record(_values(report), _totals(report))
    if report.run.state is RunState.STOPPED:
        call.out.warn(
            message(
                "Stopped: {reason} Go on with: devlib restart --resume {number}",
                reason=report.run.reason or "",
                number=report.run.id,
            )
        )
    return _exit_code(report)


def _values(report: RestartReport) -> dict[str, object]:
    run = report.run
    outcomes: Mapping[RestartResult, int] = report.outcomes
    return {
        "run": run.id,
        "state": run.state.value,
        "reason": str(run.reason or ""),
        "left": report.left,
        "outcomes": {each.value: count for each, count in outcomes.items()},
    }


def _totals(report: RestartReport) -> Message:
    counts = report.outcomes
    sent = counts[RestartResult.CONFIRMED] + report.failed
    return message(
        "Run {number}: {confirmed} confirmed, {failed} failed (accepted {accepted}, refused {refused}, "
        "no answer {silent}, unroutable {unroutable}), {unsent} not sent, {left} left.",
        number=report.run.id,
        confirmed=counts[RestartResult.CONFIRMED],
        failed=report.failed,
        accepted=counts[RestartResult.ACCEPTED],
        refused=counts[RestartResult.REFUSED],
        silent=counts[RestartResult.NO_ANSWER],
        unroutable=counts[RestartResult.UNROUTABLE],
        unsent=sum(counts.values()) - sent,
        left=report.left,
    )


def _exit_code(report: RestartReport) -> int:
    if report.failed:
        return FAILED
    away = report.outcomes[RestartResult.UNREACHABLE]
    return TRY_LATER if away or report.run.state is not RunState.DONE else DONE


COMMANDS = (
    Command(
        "reboot",
        message("restart one device through the network"),
        reboot,
        (
            MAC,
            argument("--no-wait", action="store_true", help=message("do not wait for its return")),
            argument("--force", action="store_true", help=message("also if it was restarted a moment ago")),
        ),
    ),
    Command(
        "restart",
        message("restart the devices of a site or customer; without --yes, only show the plan"),
        restart,
        (
            CUSTOMER,
            SITE,
            argument("--type", help=message("only devices of this type")),
            argument("--search", default="", help=message("only devices with this in MAC, type or name")),
            argument("--yes", action="store_true", help=message("do it")),
            argument("--dry-run", action="store_true", help=message("only show the plan (the default)")),
            argument(
                "--rate", type=float, help=message("most restarts per second; never above the network's")
            ),
            argument("--canary", type=int, help=message("devices that must be back before the rest (3)")),
            argument("--stop-after", type=int, help=message("failures at which it stops (20); 0 for never")),
            argument(
                "--stop-share",
                type=float,
                help=message("percentage of failures above which it stops (25); 0 for never"),
            ),
            argument("--grace", type=float, help=message("seconds to wait beyond the boot time (60)")),
            argument(
                "--boot-seconds", type=float, help=message("boot time of the devices; by default by vendor")
            ),
            argument(
                "--patience",
                type=float,
                help=message("seconds to wait for a network that does not answer (1800)"),
            ),
            argument("--resume", type=int, metavar="RUN", help=message("go on with a run that stopped")),
        ),
    ),
    Command(
        "restarts",
        message("list restart runs, or the devices of one"),
        restarts,
        (argument("number", type=int, nargs="?", help=message("number of the run")),),
    ),
)
