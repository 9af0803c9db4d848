"""The command that asks phones whether they answer."""

import pandas as pd

from devlib.cli.command import CUSTOMER, DONE, FAILED, SITE, TRY_LATER, Call, Command, argument
from devlib.cli.output import visible
from devlib.collect import ProbedLine
from devlib.language import Message, message
from devlib.network import ReachOutcome
from devlib.portal import reach_counts

_SCREEN_ROWS = 200
# What needs somebody comes first.
_ORDER = (
    ReachOutcome.SILENT,
    ReachOutcome.UNROUTABLE,
    ReachOutcome.UNREACHABLE,
    ReachOutcome.NOT_REGISTERED,
    ReachOutcome.ANSWERS,
)


def probe(call: Call) -> int:
    """Probe one device or a place; the exit code of a single device says whether all its lines answer."""
    given = call.arguments
    title = message("lines probed")
    with call.open_portal() as portal, call.out.progress(title) as progress:
        found = portal.probe(given.customer, given.site, given.mac, progress=progress)
    counts = reach_counts(found)
    if call.out.as_json:
        call.out.data(
            {
                "counts": {outcome.value: counts.get(outcome, 0) for outcome in ReachOutcome},
                "lines": [_values(each) for each in found],
            }
        )
    else:
        _show(call, found)
    if ReachOutcome.UNREACHABLE in counts:
        return TRY_LATER
    return FAILED if given.mac is not None and set(counts) - {ReachOutcome.ANSWERS} else DONE


def _values(line: ProbedLine) -> dict[str, object]:
    reach = line.reach
    return {
        "customer": line.customer,
        "site": line.site,
        "mac": line.mac,
        "device_type": line.device_type,
        "port": line.port,
        "line_port": line.line_port,
        "network": line.network,
        "outcome": line.outcome.value,
        "code": reach.code if reach else None,
        "seconds": round(reach.seconds, 4) if reach and reach.seconds is not None else None,
        "user_agent": reach.user_agent if reach else None,
        "reason": str(reach.reason) if reach and reach.reason is not None else None,
    }


def _show(call: Call, found: list[ProbedLine]) -> None:
    if found:
        shown = sorted(found, key=lambda line: _ORDER.index(line.outcome))
        names = ["site", "mac", "line_port", "outcome", "code", "ms", "user_agent"]
        rows = [_row(call, each) for each in shown]
        call.out.frame(pd.DataFrame(rows, columns=names, dtype=object), limit=_SCREEN_ROWS)
    counts = reach_counts(found)
    words = [
        f"{counts[outcome]} {_outcome_word(outcome).in_language(call.out.language)}"
        for outcome in reversed(_ORDER)
        if outcome in counts
    ]
    call.out.say(message("{lines} lines probed: {counts}", lines=len(found), counts=", ".join(words) or "–"))
    for reason in dict.fromkeys(
        str(each.reach.reason.in_language(call.out.language))
        for each in found
        if each.outcome is ReachOutcome.UNREACHABLE and each.reach and each.reach.reason
    ):
        call.out.warn(message("Nothing is known of some lines: {reason}", reason=visible(reason)))


def _row(call: Call, line: ProbedLine) -> list[object]:
    reach = line.reach
    took = None if reach is None or reach.seconds is None else round(1000 * reach.seconds, 1)
    code = reach.code if reach else None
    said = visible(reach.user_agent or "") if reach else ""
    word = _outcome_word(line.outcome).in_language(call.out.language)
    return [line.site, line.mac, line.line_port, word, code, took, said]


def _outcome_word(outcome: ReachOutcome) -> Message:
    return {
        ReachOutcome.ANSWERS: message("registered and answers"),
        ReachOutcome.SILENT: message("registered, silent"),
        ReachOutcome.NOT_REGISTERED: message("not registered"),
        ReachOutcome.UNROUTABLE: message("registered, not routed"),
        ReachOutcome.UNREACHABLE: message("network unreachable"),
    }[outcome]


COMMANDS = (
    Command(
        "probe",
        message("ask phones whether they answer: tells registered ones that are silent"),
        probe,
        (
            argument("mac", nargs="?", help=message("MAC address of one device; by default all lines")),
            CUSTOMER,
            SITE,
        ),
    ),
)
