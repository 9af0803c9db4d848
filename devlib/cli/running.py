"""The command that runs a runbook: runbook."""

import json
from pathlib import Path

from devlib.cli.command import DONE, FAILED, Call, Command, argument
from devlib.errors import UsageError
from devlib.language import message, visible


def runbook(call: Call) -> int:
    """Run a runbook, or list them all."""
    given = call.arguments
    folder = Path(given.folder) if given.folder else None
    if given.list:
        return _list(call, folder)
    if given.name is None:
        raise UsageError(
            message("No runbook is named."), remedy=message("`devlib runbook --list` names them.")
        )
    with call.open_portal() as portal:
        run = portal.run_runbook(
            given.name, _parameters(given.param), folder=folder, language=call.out.language
        )
    values = {"runbook": run.name, "passed": run.passed, "failure": run.failure, "notebook": str(run.path)}
    text = (
        message("{runbook}: passed. {path}", runbook=run.name, path=run.path)
        if run.passed
        else message(
            "{runbook}: failed. {failure} {path}", runbook=run.name, failure=run.failure, path=run.path
        )
    )
    call.out.record(values, text)
    return DONE if run.passed else FAILED


def _list(call: Call, folder: Path | None) -> int:
    with call.open_portal() as portal:
        books = portal.runbooks(folder)
    if call.out.as_json:
        call.out.data(
            [{"name": each.name, "title": each.title, "parameters": dict(each.parameters)} for each in books]
        )
        return DONE
    for each in books:
        written = " ".join(
            f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in each.parameters.items()
        )
        call.out.say(message("{name}: {title}", name=each.name, title=each.title))
        call.out.say(message("    {parameters}", parameters=written))
    return DONE


def _parameters(written: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in written:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                message("{text} is no parameter.", text=visible(text)),
                remedy=message("Write it as --param name=value."),
            )
        found[name.strip()] = value
    return found


COMMANDS = (
    Command(
        "runbook",
        message("run a runbook from top to bottom; the exit code is that of its Check"),
        runbook,
        (
            argument("name", nargs="?", help=message("name of the runbook")),
            argument(
                "--param",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help=message("a parameter of the runbook; lists with commas; never a secret"),
            ),
            argument("--list", action="store_true", help=message("list the runbooks and their parameters")),
            argument("--folder", help=message("folder with the notebooks of the runbooks")),
        ),
    ),
)
