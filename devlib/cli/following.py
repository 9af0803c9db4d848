"""The command that follows event feeds."""

from devlib.cli.command import CUSTOMER, DONE, SITE, Call, Command
from devlib.cli.output import local, visible
from devlib.cli.reporting import counts_text
from devlib.cli.standing_by import StandingBy
from devlib.collect import Flush, FlushKind, StandBy
from devlib.errors import TryLater
from devlib.language import Message, message


def follow(call: Call) -> int:
    """Follow until Ctrl+C, with one line for each thing done."""
    others = StandingBy(call, _standing_by)

    def tell(result: Flush | TryLater | StandBy) -> bool:
        if others.told(result):
            return True
        if isinstance(result, TryLater):
            call.out.fail(result)
        elif isinstance(result, Flush):
            _show(call, result)
        return True

    with call.open_portal() as portal:
        try:
            portal.follow(tell, call.arguments.customer, call.arguments.site)
        except KeyboardInterrupt:
            call.out.say(message("Stopped. What was told is kept."))
    return DONE


def _standing_by(network: str, leader: str, since: str) -> Message:
    return message(
        "{network} is followed by {leader} since {since}; standing by.",
        network=network, leader=leader, since=since,
    )  # fmt: skip


def _show(call: Call, flush: Flush) -> None:
    values = {
        "at": f"{flush.at:%Y-%m-%dT%H:%M:%SZ}",
        "kind": flush.kind.value,
        "network": flush.network,
        "snapshot": flush.snapshot,
        "rows": flush.rows,
        "states": {state.value: count for state, count in flush.states.items()},
        "put_off": flush.put_off,
        "unknown_line_ports": flush.unknown,
        "reason": None if flush.reason is None else str(flush.reason),
        "unanswered": [
            {"network": each.network, "lines": each.lines, "reason": str(each.reason)}
            for each in flush.failures
        ],
    }
    call.out.record(values, _sentence(call, flush))
    for each in flush.failures:
        call.out.warn(
            message(
                "{lines} lines are unknown, since {network} did not answer: {reason}",
                lines=each.lines,
                network=each.network or "–",
                reason=each.reason,
            )
        )


def _sentence(call: Call, flush: Flush) -> Message:
    at = f"{local(flush.at):%H:%M:%S}"
    if flush.kind is FlushKind.LOST:
        return message(
            "{at}  {network}: the feed is lost, nothing is heard ({reason})",
            at=at, network=visible(flush.network), reason=flush.reason or "–",
        )  # fmt: skip
    if flush.kind is FlushKind.RECONCILED:
        return message(
            "{at}  all {rows} lines read: {counts}",
            at=at, rows=flush.rows, counts=counts_text(flush.states, call),
        )  # fmt: skip
    return message(
        "{at}  {network}: {rows} lines changed, {put_off} refreshed, {unknown} events of unknown line ports",
        at=at, network=visible(flush.network), rows=flush.rows, put_off=flush.put_off, unknown=flush.unknown,
    )  # fmt: skip


COMMANDS = (
    Command(
        "follow",
        message("follow what networks tell by themselves; changes are in the lake within two seconds"),
        follow,
        (CUSTOMER, SITE),
    ),
)
