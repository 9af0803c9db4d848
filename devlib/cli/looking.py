"""Commands that look: sites, types, devices, status, sql."""

from collections.abc import Iterable

from devlib.cli.command import CUSTOMER, DONE, FAILED, MAC, SITE, TRY_LATER, Call, Command, argument
from devlib.cli.output import local, visible
from devlib.collect import DeviceStatus, LineStatus
from devlib.language import Message, message
from devlib.model import DEVICE_LIST, SITE_TYPES, SUPPORTED_DEVICES, DeviceKind, LineState

_SCREEN_ROWS = 200


def sites(call: Call) -> None:
    """List the sites, with the types approved for each."""
    with call.open_portal() as portal:
        found = portal.sites(call.arguments.customer)
    if not call.out.as_json:
        # A person wants a line for each site; a program gets a record for each approved type.
        found = found.groupby(["customer", "site"], as_index=False, sort=False).agg({"device_type": _joined})
    call.out.frame(found, SITE_TYPES)


def _joined(names: Iterable[str | None]) -> str:
    return ", ".join(name for name in names if name)


def types(call: Call) -> None:
    """List the device types."""
    with call.open_portal() as portal:
        found = portal.types(call.arguments.customer, call.arguments.site)
        call.out.frame(found, SUPPORTED_DEVICES)


def devices(call: Call) -> None:
    """List devices."""
    given = call.arguments
    names = given.columns.split(",") if given.columns else None
    with call.open_portal() as portal:
        frame = portal.devices(
            given.customer,
            given.site,
            device_type=given.type,
            search=given.search,
            min_available=given.available,
            **({} if names is None else {"columns": None if names == ["all"] else names}),
        )
        call.out.frame(frame, DEVICE_LIST, limit=_SCREEN_ROWS)


def sql(call: Call) -> None:
    """Run SQL."""
    with call.open_portal() as portal:
        call.out.frame(portal.sql(call.arguments.query), limit=call.arguments.rows)


def status(call: Call) -> int:
    """Ask the network for one device; the exit code says whether all its lines are registered."""
    with call.open_portal() as portal:
        found = portal.status(call.arguments.mac)
        kind = portal.services.catalogue.find(found.device.device_type)
    dect = kind is not None and kind.kind is DeviceKind.DECT_BASE
    if call.out.as_json:
        call.out.data(_status_values(found, dect=dect))
    else:
        for sentence in _status_sentences(found, dect=dect):
            call.out.say(sentence)
    if found.state is LineState.UNKNOWN:
        return TRY_LATER
    return DONE if found.state is LineState.REGISTERED else FAILED


def _status_values(found: DeviceStatus, *, dect: bool) -> dict[str, object]:
    values: dict[str, object] = {
        "mac": str(found.device.mac),
        "device_type": found.device.device_type,
        "customer": found.device.customer,
        "site": found.device.site,
        "state": found.state,
        "registered": found.registered,
        "assigned": len(found.lines),
        "network": found.network,
        "observed_at": found.observed_at.isoformat(),
        "lines": [_line_values(each) for each in found.lines],
    }
    if dect:
        # The article: shown for DECT devices, and for no others.
        values["multicell_station_id"] = found.device.base_station_id
        values["chain_id"] = found.device.chain_id
    return values


def _line_values(each: LineStatus) -> dict[str, object]:
    binding = each.binding
    return {
        "port": each.line.port,
        "line_port": each.line.line_port,
        "user_id": each.line.user.user_id,
        "state": each.state,
        "evidence": each.evidence,
        "expires_at": each.expires_at,
        "bindings": each.bindings,
        "user_agent": binding.user_agent if binding else None,
        "contact": binding.contact if binding else None,
        "state_before": each.state_before,
        "state_known_at": each.state_known_at,
        "reason": each.reason,
    }


def _status_sentences(found: DeviceStatus, *, dect: bool) -> list[Message]:
    device = found.device
    lines = [
        message("{mac}  {type}  {customer} / {site}", mac=device.mac, type=device.device_type,
                customer=device.customer, site=device.site),
    ]  # fmt: skip
    if found.state is None:
        lines.append(message("No line of it is assigned to a user, so there is nothing to register."))
    else:
        lines.append(
            message(
                "{state}: {registered} of {assigned} lines registered (asked {network} at {at})",
                state=state_word(found.state),
                registered=found.registered,
                assigned=len(found.lines),
                network=found.network or "–",
                at=f"{local(found.observed_at):%H:%M:%S}",
            )
        )
    lines += [_line_sentence(each) for each in found.lines]
    if dect:
        lines.append(message("Multicell station ID: {id}", id=device.base_station_id or "–"))
        lines.append(message("Chain ID: {id}", id=device.chain_id or "–"))
    return lines


def _line_sentence(each: LineStatus) -> Message:
    if each.reason is not None:
        known = message("never known") if each.state_before is None else state_word(each.state_before)
        since = "–" if each.state_known_at is None else f"{local(each.state_known_at):%Y-%m-%d %H:%M}"
        return message(
            "  port {port}  {line_port}  unknown: {reason} Last known: {known}, {since}.",
            port=each.line.port, line_port=each.line.line_port, reason=each.reason, known=known, since=since,
        )  # fmt: skip
    expires = "–" if each.expires_at is None else f"{local(each.expires_at):%Y-%m-%d %H:%M:%S}"
    agent = each.binding.user_agent if each.binding else None
    return message(
        "  port {port}  {line_port}  {state}  expires {expires}  {agent}",
        port=each.line.port,
        line_port=each.line.line_port,
        state=state_word(each.state),
        expires=expires,
        agent=visible(agent or ""),
    )


def state_word(state: LineState) -> Message:
    """Return the word of a state for people."""
    return {
        LineState.REGISTERED: message("registered"),
        LineState.AGED: message("aged"),
        LineState.UNREGISTERED: message("unregistered"),
        LineState.UNKNOWN: message("unknown"),
    }[state]


COMMANDS = (
    Command("sites", message("list sites and the device types approved for each"), sites, (CUSTOMER,)),
    Command("types", message("list device types"), types, (CUSTOMER, SITE)),
    Command(
        "devices",
        message("list devices: MAC address, device type, available lines, site"),
        devices,
        (
            CUSTOMER,
            SITE,
            argument("--type", help=message("only this device type")),
            argument("--search", default="", help=message("part of a MAC address, type or name")),
            argument("--available", type=int, help=message("only with at least so many free lines")),
            argument("--columns", help=message("columns separated by commas, or all")),
        ),
    ),
    Command("status", message("ask the network for one device now"), status, (MAC,)),
    Command(
        "sql",
        message("run SQL over line_states, observations, state_periods, devices, sites, snapshots"),
        sql,
        (
            argument("query", help=message("one SELECT in DuckDB's dialect")),
            argument("--rows", type=int, default=_SCREEN_ROWS, help=message("most rows on the screen")),
        ),
    ),
)
