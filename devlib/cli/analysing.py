"""Commands that ask about history: history, changes, outages, flapping, aged, compare, census, capacity."""

from collections.abc import Callable
from datetime import datetime

import pandas as pd

from devlib.cli.command import CUSTOMER, SITE, Argument, Call, Command, argument
from devlib.cli.moments import parse_moment, parse_span
from devlib.language import message
from devlib.model import (
    AGED_LINES,
    AVAILABILITY,
    CAPACITY,
    COMPARISON,
    COMPARISON_SUMMARY,
    FIRMWARE_CENSUS,
    FLAPPING_LINES,
    LINE_HISTORY,
    OUTAGES,
    STATE_CHANGES,
    STATE_COUNTS,
    STATES_AT,
    TIME_IN_STATE,
    USER_AGENT_CENSUS,
    LineState,
    Table,
)
from devlib.portal import Portal

Ask = Callable[[Portal, datetime | None, datetime | None], pd.DataFrame]

_SCREEN_ROWS = 200
_HIDDEN = frozenset({"provider", "line_key", "user_id", "phone_number", "port"})


def history(call: Call) -> None:
    """Show the life of a line, or of the lines of a device."""
    _answer(call, LINE_HISTORY, lambda p, since, until: p.line_history(call.arguments.line, since, until))


def changes(call: Call) -> None:
    """Show changes of states."""
    given = call.arguments
    states = [LineState(each) for each in given.state]

    def ask(portal: Portal, since: datetime | None, until: datetime | None) -> pd.DataFrame:
        return portal.state_changes(since, until, states=states, customer=given.customer, site=given.site)

    _answer(call, STATE_CHANGES, ask)


def outages(call: Call) -> None:
    """Show when many lines of one site fell together."""
    given = call.arguments
    tolerance = parse_span(given.tolerance)

    def ask(portal: Portal, since: datetime | None, until: datetime | None) -> pd.DataFrame:
        return portal.outages(
            since, until, share=given.share / 100, least=given.lines, tolerance=tolerance,
            customer=given.customer, site=given.site,
        )  # fmt: skip

    _answer(call, OUTAGES, ask)


def flapping(call: Call) -> None:
    """Show lines that changed again and again."""
    given = call.arguments

    def ask(portal: Portal, since: datetime | None, until: datetime | None) -> pd.DataFrame:
        return portal.flapping_lines(
            since, until, changes=given.changes, customer=given.customer, site=given.site
        )

    _answer(call, FLAPPING_LINES, ask)


def aged(call: Call) -> None:
    """Show lines that became aged."""
    given = call.arguments
    _answer(
        call,
        AGED_LINES,
        lambda p, since, until: p.aged_lines(since, until, customer=given.customer, site=given.site),
    )


def states(call: Call) -> None:
    """Show lines by state, now or at a moment."""
    given = call.arguments
    by = [each.strip() for each in given.by.split(",") if each.strip()]
    with call.open_portal() as portal:
        now = portal.services.clock.now()
        at = None if given.at is None else parse_moment(given.at, now)
        if given.lines:
            found = portal.states_at(at or now, customer=given.customer, site=given.site)
        else:
            found = portal.state_counts(by, customer=given.customer, site=given.site, at=at)
    _show(call, found, STATES_AT if given.lines else STATE_COUNTS)


def compare(call: Call) -> None:
    """Compare two moments."""
    given = call.arguments
    with call.open_portal() as portal:
        now = portal.services.clock.now()
        first, second = (parse_moment(each, now) for each in (given.first, given.second))
        ask = portal.compare if given.lines else portal.comparison_summary
        found = ask(first, second, customer=given.customer, site=given.site)
    if given.lines and not given.all:
        found = found[found["change"] != "same"]
    _show(call, found, COMPARISON if given.lines else COMPARISON_SUMMARY)


def census(call: Call) -> None:
    """Show firmware or user agents."""
    given = call.arguments
    with call.open_portal() as portal:
        ask = portal.user_agent_census if given.user_agents else portal.firmware_census
        found = ask(customer=given.customer, site=given.site)
    _show(call, found, USER_AGENT_CENSUS if given.user_agents else FIRMWARE_CENSUS)


def capacity(call: Call) -> None:
    """Show lines free and used."""
    with call.open_portal() as portal:
        found = portal.capacity(customer=call.arguments.customer, site=call.arguments.site)
    _show(call, found, CAPACITY)


def availability(call: Call) -> None:
    """Show the share registered, in one figure for each group or over time."""
    given = call.arguments
    bucket = None if given.every is None else parse_span(given.every)

    def ask(portal: Portal, since: datetime | None, until: datetime | None) -> pd.DataFrame:
        if bucket is None:
            return portal.time_in_state(since, until, by=given.by, customer=given.customer, site=given.site)
        return portal.availability(
            since, until, by=given.by, bucket=bucket, customer=given.customer, site=given.site
        )

    _answer(call, TIME_IN_STATE if bucket is None else AVAILABILITY, ask)


def compact(call: Call) -> None:
    """Compact the closed days now."""
    with call.open_portal() as portal:
        done = portal.compact()
    values = {
        "snapshots": done.snapshots,
        "day_files": len(done.files),
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "expired": done.expired,
    }
    text = message(
        "{snapshots} snapshots of closed days compacted into {day_files} files; {expired} expired.", **values
    )
    call.out.record(values, text)


def _answer(call: Call, table: Table, ask: Ask) -> None:
    given = call.arguments
    with call.open_portal() as portal:
        now = portal.services.clock.now()
        since = parse_moment(given.since, now)
        until = None if given.until is None else parse_moment(given.until, now)
        found = ask(portal, since, until)
    _show(call, found, table)


def _show(call: Call, frame: pd.DataFrame, table: Table) -> None:
    """Print the answer; on a screen without the columns that only programs need."""
    shown = frame if call.out.as_json else frame[[n for n in frame.columns if n not in _HIDDEN]]
    call.out.frame(shown, table, limit=_SCREEN_ROWS)


_SINCE = argument(
    "--since", default="24h", help=message("beginning: 24h, 7d, 2026-11-25 or 2026-11-25T08:30, local time")
)
_UNTIL = argument("--until", help=message("end, written alike; by default the last observation"))
_WINDOW: tuple[Argument, ...] = (_SINCE, _UNTIL, CUSTOMER, SITE)
_STATES = [state.value for state in LineState if state is not LineState.UNKNOWN]

COMMANDS = (
    Command(
        "history",
        message("the life of a line, or of the lines of a device: spans in each state, with evidence"),
        history,
        (argument("line", help=message("line port user@domain, or MAC address")), _SINCE, _UNTIL),
    ),
    Command(
        "changes",
        message("lines that changed their state: from what, to what, when, on what evidence"),
        changes,
        (
            *_WINDOW,
            argument(
                "--state",
                action="append",
                default=[],
                choices=_STATES,
                help=message("only changes into this state; may be repeated"),
            ),
        ),
    ),
    Command(
        "outages",
        message("when many lines of one site fell together, and when they were back"),
        outages,
        (
            *_WINDOW,
            argument(
                "--share",
                type=float,
                default=50.0,
                help=message("least share of the site's lines, in percent"),
            ),
            argument("--lines", type=int, default=3, help=message("fewest lines")),
            argument(
                "--tolerance", default="30m", help=message("longest time between two falls of one outage")
            ),
        ),
    ),
    Command(
        "flapping",
        message("lines that changed their state again and again"),
        flapping,
        (*_WINDOW, argument("--changes", type=int, default=4, help=message("fewest changes"))),
    ),
    Command("aged", message("lines that became aged, and whether they are registered again"), aged, _WINDOW),
    Command(
        "states",
        message("lines by state, now or at a moment, by site, model, firmware or other columns"),
        states,
        (
            argument("--by", default="customer,site", help=message("columns separated by commas")),
            argument(
                "--at", help=message("moment, written as for --since of other commands; by default now")
            ),
            argument("--lines", action="store_true", help=message("each line instead of counts")),
            CUSTOMER,
            SITE,
        ),
    ),
    Command(
        "compare",
        message("what is different between two moments"),
        compare,
        (
            argument(
                "first",
                help=message("the earlier moment: 24h, 7d, 2026-11-25 or 2026-11-25T08:30, local time"),
            ),
            argument("second", nargs="?", default="now", help=message("the later one; by default now")),
            argument("--lines", action="store_true", help=message("each line instead of counts")),
            argument("--all", action="store_true", help=message("with --lines: unchanged lines too")),
            CUSTOMER,
            SITE,
        ),
    ),
    Command(
        "census",
        message("which firmware runs on which models"),
        census,
        (
            argument(
                "--user-agents", action="store_true", help=message("what phones say of themselves instead")
            ),
            CUSTOMER,
            SITE,
        ),
    ),
    Command("capacity", message("lines free and used, by site and device type"), capacity, (CUSTOMER, SITE)),
    Command(
        "availability",
        message("time in each state and the share registered; unknown time is told and left out"),
        availability,
        (
            *_WINDOW,
            argument(
                "--by",
                default="site",
                choices=("line", "site", "customer", "provider", "all"),
                help=message("one row for each of these"),
            ),
            argument("--every", help=message("over time, in spans such as 15m, 1h or 1d")),
        ),
    ),
    Command(
        "compact",
        message("compact the closed days now, and take away those older than the retention"),
        compact,
    ),
)
