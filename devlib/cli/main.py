"""The command `devlib`: parse, open the portal, run, and turn errors into exit codes."""

import argparse
import sys
from collections.abc import Sequence

from devlib.cli import changing, looking, machine, organising, reporting
from devlib.cli.command import DONE, FAILED, Call, build_parser
from devlib.cli.output import Output
from devlib.config import Settings, load_settings
from devlib.errors import ConfigurationError, DevlibError
from devlib.language import Language, choose_language
from devlib.portal import connect

COMMANDS = (
    *machine.COMMANDS,
    *reporting.COMMANDS,
    *looking.COMMANDS,
    *changing.COMMANDS,
    *organising.COMMANDS,
)
_INTERRUPTED = 130


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
    call = Call(parsed, settings, out, lambda: connect(principal=parsed.principal, settings=settings))
    try:
        return parsed.run(call) or DONE
    except DevlibError as error:
        out.fail(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to tell it.
        sys.stderr.close()
        return FAILED


def _wished_language(given: Sequence[str], default: Language) -> Language:
    """Read `--language` before the parser exists, since its help is in that language."""
    for place, word in enumerate(given):
        if word == "--language" and place + 1 < len(given):
            return choose_language(given[place + 1])
        if word.startswith("--language="):
            return choose_language(word.partition("=")[2])
    return default
