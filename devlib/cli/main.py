"""The command `devlib`: parse, open the portal, run, and turn errors into exit codes."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from devlib.cli import (
    analysing,
    changing,
    copying,
    examining,
    following,
    lab,
    looking,
    machine,
    organising,
    probing,
    reporting,
    restarting,
    running,
    serving,
)
from devlib.cli.command import DONE, FAILED, Call, build_parser
from devlib.cli.output import Output
from devlib.config import Settings, load_settings
from devlib.errors import ConfigurationError, DevlibError
from devlib.language import Language, choose_language, message
from devlib.portal import Portal, connect

COMMANDS = (
    *machine.COMMANDS,
    *reporting.COMMANDS,
    *following.COMMANDS,
    *looking.COMMANDS,
    *examining.COMMANDS,
    *analysing.COMMANDS,
    *probing.COMMANDS,
    *changing.COMMANDS,
    *restarting.COMMANDS,
    *running.COMMANDS,
    *organising.COMMANDS,
    *lab.COMMANDS,
    *serving.COMMANDS,
    *copying.COMMANDS,
)
_INTERRUPTED = 130
_SHOWS_STATES = frozenset(
    {
        "collect", "follow", "export", "status", "probe", "reboot", "restart", "sql", "dect", "findings",
        "history", "changes", "outages", "flapping", "aged", "states", "compare", "census", "availability",
    }
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line, without the program's name; by default the process's own.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 3 refused or try later, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        settings = load_settings()
    except ConfigurationError as error:
        Output(_wished_language(given, "en"), as_json="--json" in given).fail(error)
        return error.exit_code
    language = _wished_language(given, settings.language)
    parsed = build_parser(COMMANDS, language).parse_args(given)
    return _run(parsed, settings.model_copy(update={"language": language}), language)


def _run(parsed: argparse.Namespace, settings: Settings, language: Language) -> int:
    out = Output(language, as_json=parsed.json)
    opened: list[Portal] = []

    def open_portal() -> Portal:
        opened.append(connect(principal=parsed.principal, settings=settings))
        return opened[-1]

    try:
        with _stopping_in_order():
            code = int(parsed.run(Call(parsed, settings, out, open_portal)) or DONE)
        _name_the_simulator(parsed, settings, out)
    except DevlibError as error:
        out.fail(error)
        code = error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to tell it.
        sys.stderr.close()
        return FAILED
    for text in (text for portal in opened for text in portal.warnings):
        out.warn(text)
    return code


@contextmanager
def _stopping_in_order() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl+C does: what is under way is closed and audited."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as `signal` calls it
    raise KeyboardInterrupt


def _wished_language(given: Sequence[str], default: Language) -> Language:
    """Read `--language` before the parser exists, since its help is in that language."""
    for place, word in enumerate(given):
        if word == "--language" and place + 1 < len(given):
            return choose_language(given[place + 1])
        if word.startswith("--language="):
            return choose_language(word.partition("=")[2])
    return default


def _name_the_simulator(parsed: argparse.Namespace, settings: Settings, out: Output) -> None:
    """Say beside the result of a person that no phone gave it; programs read the network's name in it."""
    simulated = any(each.kind == "simulator" for each in settings.networks)
    if simulated and parsed.command in _SHOWS_STATES and not parsed.json:
        out.warn(message("These states come from the simulator, not from phones."))
