"""What a command of `devlib` is: its word, its arguments, and what it runs."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devlib.cli.output import Output
from devlib.config import Settings
from devlib.language import Language, Message, message
from devlib.portal import Portal

DONE, FAILED, WRONG_USAGE, TRY_LATER = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its flags or name, its help, and what argparse is told besides."""

    flags: tuple[str, ...]
    help: Message
    options: Mapping[str, Any] = field(default_factory=dict)


def argument(*flags: str, help: Message, **options: Any) -> Argument:  # noqa: A002, ANN401 - argparse's words
    """Return an `Argument`; written like a call of `add_argument`."""
    return Argument(flags, help, options)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the command, with everything that its code needs."""

    arguments: argparse.Namespace
    settings: Settings
    out: Output
    open_portal: Callable[[], Portal]


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `run` returns the exit code, `None` for done."""

    name: str
    help: Message
    run: Callable[[Call], int | None]
    arguments: tuple[Argument, ...] = ()


GENERAL = (
    argument("--json", help=message("print results as JSON"), action="store_true"),
    argument("--language", help=message("language of sentences and headers"), choices=("en", "fr")),
    argument("--as", help=message("act as a stored identity"), dest="principal", metavar="PRINCIPAL"),
)
CUSTOMER = argument("--customer", help=message("name of the customer; not needed where you may see only one"))
SITE = argument("--site", help=message("name of the site; by default all sites"))
MAC = argument("mac", help=message("MAC address of the device, as you read it"))


def build_parser(commands: tuple[Command, ...], language: Language) -> argparse.ArgumentParser:
    """Return the parser of `devlib`, with its help in `language`."""

    def words(text: Message) -> str:
        return text.in_language(language).replace("%", "%%")

    parser = argparse.ArgumentParser(
        prog="devlib",
        description=words(message("Line states of desk phones, ATAs and DECT bases, over real networks.")),
        epilog=words(message("Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused or try later.")),
    )
    for each in GENERAL:
        parser.add_argument(*each.flags, help=words(each.help), **each.options)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands:
        text = words(command.help)
        subparser = subparsers.add_parser(command.name, help=text, description=text)
        subparser.set_defaults(run=command.run)
        for each in (*command.arguments, *GENERAL):
            # A general option may stand before or after the word; unset, it must not undo the other place.
            unset = {"default": argparse.SUPPRESS} if each in GENERAL else {}
            subparser.add_argument(*each.flags, help=words(each.help), **(dict(each.options) | unset))
    return parser
