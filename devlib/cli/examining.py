"""Commands that hold what phones say against the inventory: dect, findings."""

from devlib.cli.command import CUSTOMER, SITE, Call, Command, argument
from devlib.errors import NotFound
from devlib.language import message
from devlib.model import DECT_HANDSETS, DECT_STATIONS, FINDINGS, UNRECOGNISED

_SCREEN_ROWS = 200


def dect(call: Call) -> None:
    """List DECT base stations, or their handsets."""
    given = call.arguments
    with call.open_portal() as portal:
        stations = portal.dect_stations(given.customer, given.site, given.station)
        if given.station is not None and stations.empty:
            raise NotFound(
                message("There is no DECT station {id} here.", id=given.station[:80]),
                remedy=message("`devlib dect` lists the stations that you may see."),
            )
        if given.handsets:
            handsets = portal.dect_handsets(given.customer, given.site, given.station)
            call.out.frame(handsets, DECT_HANDSETS, limit=_SCREEN_ROWS)
        else:
            call.out.frame(stations, DECT_STATIONS, limit=_SCREEN_ROWS)


def findings(call: Call) -> None:
    """List where phones contradict the inventory."""
    given = call.arguments
    with call.open_portal() as portal:
        unknown = portal.unrecognised(given.customer, given.site)
        if given.unrecognised:
            call.out.frame(unknown, UNRECOGNISED, limit=_SCREEN_ROWS)
            return
        found = portal.findings(given.customer, given.site)
    call.out.frame(found, FINDINGS, limit=_SCREEN_ROWS)
    if found.empty:
        call.out.say(message("No phone contradicts the inventory."))
    lines = int(unknown["lines"].sum())
    if lines:
        call.out.say(
            message(
                "Of {lines} registered lines the user agent is not recognised; "
                "`devlib findings --unrecognised` lists them.",
                lines=lines,
            )
        )


COMMANDS = (
    Command(
        "dect",
        message("list DECT base stations: chain, station ID, handsets assigned and there now"),
        dect,
        (
            CUSTOMER,
            SITE,
            argument("--station", help=message("only the base with this multicell station ID")),
            argument(
                "--handsets",
                action="store_true",
                help=message("their handsets instead: home base, current base, since when"),
            ),
        ),
    ),
    Command(
        "findings",
        message("list where phones contradict the inventory, from the last collections"),
        findings,
        (
            CUSTOMER,
            SITE,
            argument(
                "--unrecognised",
                action="store_true",
                help=message("instead of these: user agents that are not recognised"),
            ),
        ),
    ),
)
