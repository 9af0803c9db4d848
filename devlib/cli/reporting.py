"""Commands that collect and export."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from devlib.cli.command import CUSTOMER, DONE, SITE, TRY_LATER, Call, Command, argument
from devlib.cli.output import Output
from devlib.cli.standing_by import StandingBy
from devlib.collect import Collection, StandBy, parse_distance
from devlib.errors import TryLater, UsageError
from devlib.export import ExportKey, Overview, ReportFile, ReportRequest
from devlib.export import Progress as QueueProgress
from devlib.language import Message, message, visible
from devlib.model import DEVICE_LIST, OBSERVATIONS, LineState, state_word
from devlib.storage import LineFilter


def collect(call: Call) -> int:
    """Collect once, or again and again."""
    given = call.arguments
    if given.every:
        _collect_for_ever(call)
        return DONE
    title = message("lines asked")
    with call.open_portal() as portal, call.out.progress(title) as progress:
        collection = portal.collect(given.customer, given.site, progress=progress)
    _show(call, collection)
    return TRY_LATER if collection.failures else DONE


def _collect_for_ever(call: Call) -> None:
    every = parse_distance(call.arguments.every)
    others = StandingBy(call, _standing_by)

    def tell(result: Collection | TryLater | StandBy) -> bool:
        if others.told(result):
            return True
        if isinstance(result, TryLater):
            call.out.fail(result)
        elif isinstance(result, Collection):
            _show(call, result)
        return True

    with call.open_portal() as portal:
        try:
            portal.keep_collecting(every, tell, call.arguments.customer, call.arguments.site)
        except KeyboardInterrupt:
            call.out.say(message("Stopped. What was collected is kept."))


def _standing_by(network: str, leader: str, since: str) -> Message:
    return message(
        "{network} is asked by {leader} since {since}; standing by.",
        network=network, leader=leader, since=since,
    )  # fmt: skip


def _show(call: Call, collection: Collection) -> None:
    snapshot = collection.snapshot
    values = {
        "snapshot": snapshot.id,
        "observed_at": f"{snapshot.observed_at:%Y-%m-%dT%H:%M:%SZ}",
        "rows": snapshot.rows,
        "states": {state.value: count for state, count in collection.states.items()},
        "unanswered": [
            {"network": each.network, "lines": each.lines, "reason": str(each.reason)}
            for each in collection.failures
        ],
    }
    text = message(
        "Snapshot {snapshot} of {observed_at}: {rows} lines, {counts}",
        snapshot=snapshot.id,
        observed_at=values["observed_at"],
        rows=snapshot.rows,
        counts=counts_text(collection.states, call),
    )
    call.out.record(values, text)
    for each in collection.failures:
        call.out.warn(
            message(
                "{lines} lines are unknown, since {network} did not answer: {reason}",
                lines=each.lines,
                network=each.network or "–",
                reason=each.reason,
            )
        )


def counts_text(states: Mapping[LineState, int], call: Call) -> str:
    """Return counts by state as words, such as "12 registered, 3 aged"."""
    words = [
        f"{count} {state_word(state).in_language(call.out.language)}"
        for state, count in states.items()
        if count
    ]
    return ", ".join(words) or "–"


def export(call: Call) -> None:
    """Write the line-state report, or the device list."""
    if call.arguments.devices:
        _export_devices(call)
        return
    given = call.arguments
    title = message("lines asked")
    with call.open_portal() as portal, call.out.progress(title) as progress:
        report = portal.export_line_states(
            _request(call),
            given.folder,
            from_snapshot=given.from_snapshot,
            progress=progress,
            waiting=_Waiting(call.out),
        )
    values = {
        "file": str(report.path.resolve()),
        "rows": report.rows,
        "observed_at": f"{report.observed_at:%Y-%m-%dT%H:%M:%SZ}",
        "states": {state.value: count for state, count in report.states.items()},
    }
    call.out.record(values, _sentence(call, report))


class _Waiting:
    """Says where a waiting export stands: at each change of its place, not each second."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._said: tuple[int, bool] | None = None

    def __call__(self, progress: QueueProgress) -> None:
        if self._said == (progress.place, progress.delayed):
            return
        self._said = (progress.place, progress.delayed)
        seconds = math.ceil(progress.seconds_to_go)
        if progress.place == 0:
            text = message(
                "The same export is running; its rows are shared (about {seconds} s).", seconds=seconds
            )
        elif progress.delayed:
            text = message(
                "Your last export began just now; this one starts in {seconds} s.", seconds=seconds
            )
        else:
            text = message(
                "Waiting at place {place}, about {seconds} s. Ctrl+C cancels.",
                place=progress.place,
                seconds=seconds,
            )
        self._out.warn(text)


def exports(call: Call) -> None:
    """List exports, or free the slot of a frozen one."""
    given = call.arguments
    with call.open_portal() as portal:
        if given.release is not None:
            portal.release_export(given.release, force=given.force)
            call.out.record({"released": given.release}, message("Released {number}.", number=given.release))
            return
        found = portal.exports(given.last)
    live, recent = _live_exports(found), _recent_exports(found)
    if call.out.as_json:
        call.out.frames({"live": live, "recent": recent})
        return
    call.out.say(
        message(
            "{running} running, {waiting} waiting, {following} sharing a running one",
            running=len(found.running),
            waiting=len(found.waiting),
            following=len(found.following),
        )
    )
    if len(live):
        call.out.frame(live)
    call.out.say(message("Lately:"))
    call.out.frame(recent)


def _live_exports(found: Overview) -> pd.DataFrame:
    names = ["ticket", "state", "principal", "customer", "site", "place", "seconds", "silent_for"]
    rows = [
        [
            each.ticket, each.state.value, each.principal, each.key.customer, each.key.site or "*",
            each.place, round(each.seconds, 1), round(each.silent_for, 1),
        ]
        for each in (*found.running, *found.waiting, *found.following)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def _recent_exports(found: Overview) -> pd.DataFrame:
    names = ["at", "ticket", "event", "http", "principal", "customer", "site", "wait_ms", "run_ms"]
    rows: list[list[object]] = []
    for each in found.recent:
        key = ExportKey.from_text(each.key)
        what = [each.at, each.ticket[:8], each.event, each.http]
        whose = [each.principal, key.customer, key.site or "*"]
        rows.append([*what, *whose, each.wait_ms, each.run_ms])
    return pd.DataFrame(rows, columns=names, dtype=object)


def _sentence(call: Call, report: ReportFile) -> Message:
    return message(
        "{file}: {rows} lines of {observed_at}, {counts}",
        file=report.path.resolve(),
        rows=report.rows,
        observed_at=f"{report.observed_at:%Y-%m-%dT%H:%M:%SZ}",
        counts=counts_text(report.states, call),
    )


def _export_devices(call: Call) -> None:
    given = call.arguments
    columns = tuple(given.columns.split(",")) if given.columns else ()
    columns = DEVICE_LIST.names if columns == ("all",) else columns
    with call.open_portal() as portal:
        written = portal.export_devices(
            given.folder, given.customer, given.site, columns=columns, language=call.out.language
        )
    values = {"file": str(written.path.resolve()), "rows": written.rows}
    call.out.record(values, message("{file}: {rows} devices", **values))


def _request(call: Call) -> ReportRequest:
    given = call.arguments
    chosen = LineFilter(
        states=tuple(LineState(name) for name in given.state),
        device_types=tuple(given.type),
        search=given.search,
        condition=given.where,
        firmware=tuple(given.firmware),
        seen_before=_moment(given.seen_before),
    )
    columns = tuple(given.columns.split(",")) if given.columns else ()
    columns = OBSERVATIONS.names if columns == ("all",) else columns
    return ReportRequest(given.customer, given.site, chosen, call.out.language, columns)


def _moment(text: str | None) -> datetime | None:
    """Return a moment that somebody wrote, UTC where no zone is named."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            message("{text} is no moment.", text=visible(text)),
            remedy=message("Write it as 2026-11-02 or 2026-11-02T08:00Z."),
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


COMMANDS = (
    Command(
        "exports",
        message("list running, waiting and recent exports, or free a frozen one"),
        exports,
        (
            argument("--release", metavar="NUMBER", help=message("free the slot of this export (audited)")),
            argument("--force", action="store_true", help=message("also where its holder seems alive")),
            argument("--last", type=int, default=20, help=message("how many ended ones")),
        ),
    ),
    Command(
        "collect",
        message("ask the networks and keep one snapshot"),
        collect,
        (
            CUSTOMER,
            SITE,
            argument("--every", metavar="5m", help=message("again and again, at this distance")),
        ),
    ),
    Command(
        "export",
        message("write the line-state report of a site, or of all sites of a customer, as CSV"),
        export,
        (
            CUSTOMER,
            SITE,
            argument(
                "--state",
                action="append",
                default=[],
                choices=[state.value for state in LineState],
                help=message("only lines in this state; may be repeated"),
            ),
            argument(
                "--type", action="append", default=[], help=message("only this device type; may be repeated")
            ),
            argument("--search", default="", help=message("text in a name, number, address or user agent")),
            argument(
                "--firmware", action="append", default=[], help=message("only this firmware; may be repeated")
            ),
            argument(
                "--seen-before",
                metavar="MOMENT",
                help=message("only lines whose last REGISTER was before this moment (UTC), or never"),
            ),
            argument("--where", default="", metavar="SQL", help=message("SQL condition over the columns")),
            argument("--columns", help=message("columns separated by commas, or all")),
            argument("--folder", type=Path, default=Path(), help=message("where the file goes")),
            argument(
                "--from-snapshot",
                action="store_true",
                help=message("take the newest snapshot, without asking the network"),
            ),
            argument("--devices", action="store_true", help=message("the device list instead")),
        ),
    ),
)
