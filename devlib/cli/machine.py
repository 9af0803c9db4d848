"""Commands about this machine: doctor, demo."""

import asyncio
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from devlib.cli.command import DONE, FAILED, Call, Command, argument
from devlib.collect import run_blocking
from devlib.errors import DevlibError, NotAllowed, StorageUnavailable
from devlib.language import Message, message
from devlib.network import Examined, Part, capability_words, examine
from devlib.portal import Portal
from devlib.storage import SQLITE_VERSION, WAL_SAFE_SINCE


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that doctor looked at."""

    subject: str
    works: bool
    needed: bool
    text: Message
    more: Mapping[str, object] = field(default_factory=dict)


def doctor(call: Call) -> int:
    """Tell what works here and what to install for the rest."""
    findings = list(_look(call))
    if call.out.as_json:
        call.out.data(
            [
                {
                    "subject": each.subject,
                    "works": each.works,
                    "needed": each.needed,
                    "text": each.text.in_language(call.out.language),
                    **each.more,
                }
                for each in findings
            ]
        )
    else:
        for each in findings:
            mark = "ok  " if each.works else ("FAIL" if each.needed else "–   ")
            call.out.say(
                message("{mark}  {subject}: {text}", mark=mark, subject=each.subject, text=each.text)
            )
    return FAILED if any(each.needed and not each.works for each in findings) else DONE


def _look(call: Call) -> Iterator[Finding]:
    yield Finding("DEVLIB_HOME", works=True, needed=True, text=message("{path}", path=call.settings.home))
    try:
        with call.open_portal() as portal:
            yield _database(portal)
            yield _lake(portal)
            yield _exports(portal)
            yield from _networks(portal)
    except NotAllowed:
        # Who may not look at all is told that, and not that the database is broken.
        raise
    except DevlibError as error:
        yield Finding("database", works=False, needed=True, text=error.what)
    yield from _programs()


def _database(portal: Portal) -> Finding:
    mode = portal.services.inventory.journal_mode_in_use()
    if not mode:
        return Finding("database", works=True, needed=True, text=message("PostgreSQL answers."))
    safe = SQLITE_VERSION >= WAL_SAFE_SINCE
    text = message(
        "SQLite {version}, journal mode {mode} ({why})",
        version=".".join(map(str, SQLITE_VERSION)),
        mode=mode,
        why=message("newer than the WAL-reset defect")
        if safe
        else message("WAL is used from SQLite 3.51.3 on, which mends the WAL-reset defect"),
    )
    return Finding("database", works=True, needed=True, text=text)


def _lake(portal: Portal) -> Finding:
    try:
        text = portal.services.lake.files.try_out()
    except StorageUnavailable as error:
        return Finding("lake", works=False, needed=True, text=error.what)
    return Finding("lake", works=True, needed=True, text=text)


def _exports(portal: Portal) -> Finding:
    try:
        found = portal.services.coordinator.overview(1)
    except DevlibError as error:
        return Finding("exports", works=False, needed=True, text=error.what)
    text = message(
        "{running} running, {waiting} waiting", running=len(found.running), waiting=len(found.waiting)
    )
    return Finding("exports", works=True, needed=True, text=text)


def _networks(portal: Portal) -> Iterator[Finding]:
    """Try all networks at the same time: a dead one costs its own limit, and nobody else's."""
    services = portal.services

    async def ask() -> list[Examined]:
        return await asyncio.gather(*(examine(each, services.clock) for each in services.settings.networks))

    for found in run_blocking(ask()):
        yield _network(found)
        if len(found.parts) > 1:
            yield from (_part(found.name, each) for each in found.parts)


def _network(found: Examined) -> Finding:
    words = capability_words(found.capabilities)
    text = message(
        "{detail} Tells {can}; does not tell {cannot}.",
        detail=found.parts[0].detail,
        can=_listed([word for _, word, has in words if has]),
        cannot=_listed([word for _, word, has in words if not has]),
    )
    if not found.works:
        text = message(
            "no answer of {parts} (tried for {seconds} s).",
            parts=", ".join(each.name for each in found.parts if each.is_set and not each.works),
            seconds=round(found.seconds, 1),
        )
    more = {"capabilities": {name: has for name, _, has in words}, "seconds": round(found.seconds, 3)}
    return Finding(f"network {found.name}", works=found.works, needed=True, text=text, more=more)


def _listed(words: Sequence[Message]) -> Message:
    values = {f"word{place}": word for place, word in enumerate(words)}
    return Message(", ".join(f"{{{name}}}" for name in values) or "–", values)


def _part(network: str, part: Part) -> Finding:
    text = part.detail
    if part.without is not None:
        text = message("{reason} {without}", reason=part.detail, without=part.without)
    return Finding(
        f"network {network} {part.name}",
        works=part.works,
        needed=part.is_set,
        text=text,
        more={"is_set": part.is_set},
    )


def _programs() -> Iterator[Finding]:
    for program, package, use in (
        ("kamailio", "kamailio kamailio-extra-modules", message("for `make demo NETWORK=kamailio`")),
        ("chromium", "chromium", message("for the browser tests")),
    ):
        found = shutil.which(program) is not None
        text = (
            message("{use}", use=use)
            if found
            else message("not installed; {use}: apt-get install {package}", use=use, package=package)
        )
        yield Finding(program, works=found, needed=False, text=text)
    for module in ("voila", "jupyterlab"):
        found = importlib.util.find_spec(module) is not None
        text = (
            message("installed") if found else message("not installed: pip install {module}", module=module)
        )
        yield Finding(module, works=found, needed=False, text=text)


def demo(call: Call) -> int:
    """Hand over to the demonstration, which is a door of its own."""
    given = call.arguments
    command = [sys.executable, "-m", "devlib.demo", "--network", given.network, "--lines", str(given.lines)]
    command += ["--language", call.out.language]
    command += ["--practice"] if given.practice else []
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module


def dashboards(call: Call) -> int:
    """Hand over to the dashboards' server, which is a door of its own."""
    given = call.arguments
    command = [
        sys.executable,
        "-P",
        "-m",
        "devlib.ui.server",
        "--port",
        str(given.port),
        "--base",
        given.base,
    ]
    command += ["--language", call.out.language]
    command += ["--folder", given.folder] if given.folder else []
    command += ["--as", given.principal] if given.principal else []
    command += [flag for flag, on in (("--no-browser", given.no_browser), ("--link", given.link)) if on]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module


COMMANDS = (
    Command("doctor", message("tell what works on this machine, and what to install"), doctor),
    Command(
        "dashboards",
        message("serve the dashboards on 127.0.0.1, with a link that signs in"),
        dashboards,
        (
            argument("--port", type=int, default=8866, help=message("port of 127.0.0.1")),
            argument("--no-browser", action="store_true", help=message("open no browser")),
            argument(
                "--link",
                action="store_true",
                help=message("only print a link that signs in to the dashboards that run on this port"),
            ),
            argument("--base", default="/", help=message("path under which a proxy shows them")),
            argument("--folder", help=message("folder with the notebooks of the dashboards")),
        ),
    ),
    Command(
        "demo",
        message("a seeded fleet, 30 days of snapshots and one report"),
        demo,
        (
            argument(
                "--network",
                choices=("simulator", "kamailio"),
                default="simulator",
                help=message("simulated, or a real Kamailio with real SIP registrations"),
            ),
            argument("--lines", type=int, default=5000, help=message("about how many lines")),
            argument(
                "--practice",
                action="store_true",
                help=message("instead: the home for practice of the notebooks, in which time stands still"),
            ),
        ),
    ),
)
