"""Commands that change the fleet: add, remove, assign, release, template, import."""

from pathlib import Path

from devlib.cli.command import CUSTOMER, DONE, FAILED, MAC, Call, Command, argument
from devlib.errors import UsageError
from devlib.fleet import ImportMode, ImportReport
from devlib.language import message
from devlib.model import LineType, User
from devlib.storage import NewLine


def add(call: Call) -> None:
    """Add one device."""
    given = call.arguments
    with call.open_portal() as portal:
        device = portal.add(
            given.mac,
            given.site,
            given.type,
            customer=given.customer,
            name=given.name,
            description=given.description,
            base_station_id=given.station_id,
            chain_id=given.chain_id,
        )
    values = {"mac": str(device.mac), "device_type": device.device_type, "site": device.site}
    call.out.record(values, message("Added {mac}, {device_type}, at {site}.", **values))


def remove(call: Call) -> None:
    """Remove one device."""
    with call.open_portal() as portal:
        device = portal.remove(call.arguments.mac)
    values = {"mac": str(device.mac), "site": device.site, "lines": len(device.lines)}
    call.out.record(values, message("Removed {mac} from {site}, with {lines} assigned lines.", **values))


def assign(call: Call) -> None:
    """Assign a line to a user."""
    given = call.arguments
    user = User(given.user, given.first_name, given.last_name, given.phone, given.extension)
    kind = LineType.SHARED if given.shared else LineType.PRIMARY
    with call.open_portal() as portal:
        line = portal.assign(given.mac, NewLine(given.line_port, user, kind, given.port))
    values = {"mac": str(line.mac), "port": line.port, "line_port": line.line_port, "user": line.user.user_id}
    call.out.record(values, message("Port {port} of {mac} is {line_port}, held by {user}.", **values))


def release(call: Call) -> None:
    """Release a line."""
    with call.open_portal() as portal:
        line = portal.release(call.arguments.mac, call.arguments.port)
    values = {"mac": str(line.mac), "port": line.port, "line_port": line.line_port}
    call.out.record(values, message("Port {port} of {mac} is free again.", **values))


def template(call: Call) -> None:
    """Write the bulk template and what belongs to it."""
    with call.open_portal() as portal:
        written = portal.template(call.arguments.folder, call.arguments.customer)
    names = [str(path) for path in written]
    call.out.record({"files": names}, message("Written: {names}", names=", ".join(names)))


def import_file(call: Call) -> int:
    """Import a bulk file."""
    given = call.arguments
    wished = [mode for flag, mode in _MODES if getattr(given, flag)]
    if len(wished) > 1:
        raise UsageError(message("Choose one of --check, --valid-rows and --all-or-nothing."))
    mode = wished[0] if wished else ImportMode.ALL_OR_NOTHING
    title = message("rows checked")
    with call.open_portal() as portal, call.out.progress(title) as progress:
        report = portal.import_devices(
            given.file, customer=given.customer, mode=mode, result=given.result, progress=progress
        )
    _show_import(call, report, mode)
    return FAILED if report.refused else DONE


def _show_import(call: Call, report: ImportReport, mode: ImportMode) -> None:
    if call.out.as_json:
        call.out.data(report.values(call.out.language))
        return
    for sentence in report.sentences():
        call.out.say(sentence)
    if mode is ImportMode.CHECK:
        call.out.say(message("This was a check: nothing was changed."))
    elif report.refused and mode is ImportMode.ALL_OR_NOTHING:
        call.out.say(
            message("Nothing was imported. Correct the rows, or import the others with --valid-rows.")
        )


_MODES = (
    ("check", ImportMode.CHECK),
    ("valid_rows", ImportMode.VALID_ROWS),
    ("all_or_nothing", ImportMode.ALL_OR_NOTHING),
)

COMMANDS = (
    Command(
        "add",
        message("add one device to a site"),
        add,
        (
            MAC,
            argument("--site", required=True, help=message("name of the site")),
            argument("--type", required=True, help=message("device type, approved for the site")),
            CUSTOMER,
            argument("--name", default="", help=message("what you call the device")),
            argument("--description", default="", help=message("free text")),
            argument("--station-id", default="", help=message("multicell station ID (DECT only)")),
            argument("--chain-id", default="", help=message("ID of the multicell chain (DECT only)")),
        ),
    ),
    Command("remove", message("remove one device, with its lines"), remove, (MAC,)),
    Command(
        "assign",
        message("assign a line of a device to a user"),
        assign,
        (
            MAC,
            argument("--user", required=True, help=message("account of the user")),
            argument("--line-port", required=True, help=message("SIP address user@domain")),
            argument("--port", type=int, help=message("port of the device; by default the lowest free one")),
            argument("--first-name", default="", help=message("first name of the user")),
            argument("--last-name", default="", help=message("last name of the user")),
            argument("--phone", default="", help=message("telephone number, +33…")),
            argument("--extension", default="", help=message("short number")),
            argument("--shared", action="store_true", help=message("the line is shared")),
        ),
    ),
    Command(
        "release",
        message("release a line"),
        release,
        (MAC, argument("--port", type=int, required=True, help=message("port of the device"))),
    ),
    Command(
        "template",
        message("write the bulk template, supported devices, sites and instructions"),
        template,
        (
            argument("folder", type=Path, nargs="?", default=Path(), help=message("where the files go")),
            CUSTOMER,
        ),
    ),
    Command(
        "import",
        message("import devices from a CSV file"),
        import_file,
        (
            argument("file", type=Path, help=message("the CSV file")),
            CUSTOMER,
            argument("--check", action="store_true", help=message("only say what would change")),
            argument("--valid-rows", action="store_true", help=message("import the rows that are right")),
            argument("--all-or-nothing", action="store_true", help=message("the default")),
            argument("--result", type=Path, help=message("write one result row for each row of the file")),
        ),
    ),
)
