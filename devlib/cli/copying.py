"""Commands that copy everything that is kept: to other machines, into a backup, and back."""

from collections.abc import Callable
from pathlib import Path

from devlib.cli.command import Call, Command, argument
from devlib.clock import SystemClock
from devlib.language import message
from devlib.portal import restore
from devlib.storage import Copied, CopyStep

_EVERY = 100  # files between two lines


def migrate(call: Call) -> None:
    """Copy everything to another database and another folder or bucket."""
    given = call.arguments
    with call.open_portal() as portal:
        _done(call, portal.migrate(given.to, given.lake, _teller(call)))
    call.out.say(
        message(
            "Now set DEVLIB_DATABASE and DEVLIB_LAKE to the new ones everywhere; the old ones were only read."
        )
    )


def backup(call: Call) -> None:
    """Copy everything into a folder."""
    with call.open_portal() as portal:
        _done(call, portal.back_up(Path(call.arguments.folder).absolute(), _teller(call)))


def bring_back(call: Call) -> None:
    """Copy a backup into the empty inventory and lake of the settings."""
    folder = Path(call.arguments.folder).absolute()
    _done(call, restore(call.settings, folder, SystemClock(), _teller(call)))


def _teller(call: Call) -> Callable[[CopyStep], None]:
    def tell(step: CopyStep) -> None:
        last = step.total is None or step.done in (step.total, 1) or step.done % _EVERY == 0
        if last:
            total = "" if step.total is None else f" / {step.total}"
            values = {"part": step.part, "done": step.done, "total": step.total}
            call.out.record(
                values, message("{part}: {done}{total}", part=step.part, done=step.done, total=total)
            )

    return tell


def _done(call: Call, copied: Copied) -> None:
    values = {"rows": copied.rows, "files": copied.files, "bytes": copied.bytes, "missing": copied.missing}
    text = message(
        "Copied and compared: {rows} rows, {files} files of {megabytes} MB.",
        rows=copied.rows, files=copied.files, megabytes=copied.bytes >> 20,
    )  # fmt: skip
    call.out.record(values, text)
    if copied.missing:
        call.out.warn(
            message("{count} files that the manifest names were missing before.", count=copied.missing)
        )


_FOLDER = argument("folder", help=message("folder of the backup"))
COMMANDS = (
    Command(
        "migrate",
        message("copy inventory and lake to another database and lake; go on where it was interrupted"),
        migrate,
        (
            argument("--to", required=True, metavar="URL", help=message("URL of an empty database")),
            argument("--lake", required=True, help=message("an empty folder, or s3://BUCKET/PREFIX")),
        ),
    ),
    Command(
        "backup",
        message("copy inventory, lake and settings into a folder; again: only what is new"),
        backup,
        (_FOLDER,),
    ),
    Command(
        "restore",
        message("copy a backup into the empty inventory and lake of the settings"),
        bring_back,
        (_FOLDER,),
    ),
)
