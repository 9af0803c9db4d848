"""What the command prints: tables and sentences for people, JSON for programs.

Text from phones and files goes to the terminal as plain text: control characters are made visible, and
markup is never read from it.
"""

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as ScreenTable
from rich.text import Text

from devlib.errors import DevlibError
from devlib.language import Language, Message, message, translate
from devlib.language import visible as quoted
from devlib.model import Table

_STATE_STYLES = {"registered": "green", "aged": "yellow", "unregistered": "red", "unknown": "magenta"}
_WIDEST = 60
_LONGEST = 2_000
_FILE_WIDTH = 2_000  # a table in a file or a pipe is not folded


class Output:
    """The two streams of one call of the command.

    Args:
        language: of sentences and headers.
        as_json: whether results are printed as JSON; sentences then go to standard error.
    """

    def __init__(self, language: Language, *, as_json: bool) -> None:
        self.language: Language = language
        self.as_json = as_json
        width = None if sys.stdout.isatty() else _FILE_WIDTH
        self._screen = Console(file=sys.stdout, highlight=False, width=width)
        self._aside = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def say(self, text: Message) -> None:
        """Print a sentence."""
        console = self._aside if self.as_json else self._screen
        console.print(Text(visible(text.in_language(self.language))))

    def warn(self, text: Message) -> None:
        """Print a sentence to standard error."""
        self._aside.print(Text(visible(text.in_language(self.language)), style="yellow"))

    def fail(self, error: DevlibError) -> None:
        """Print an error: what, where, and what to do."""
        if self.as_json:
            print(json.dumps(problem(error, self.language), ensure_ascii=False), file=sys.stderr)  # noqa: T201
            return
        first, *rest = error.in_language(self.language).split("\n")
        self._aside.print(Text(visible(first), style="bold red"))
        for line in rest:
            self._aside.print(Text(visible(line)))
        if (again := _again(error)) is not None:
            self._aside.print(Text(again.in_language(self.language)))

    def record(self, values: Mapping[str, object], text: Message) -> None:
        """Print one result: its values as JSON, or a sentence."""
        if self.as_json:
            self.data(dict(values))
        else:
            self.say(text)

    def data(self, value: object) -> None:
        """Print a value as JSON."""
        print(json.dumps(value, ensure_ascii=False, default=str))  # noqa: T201 - this is the command's output

    def frame(self, frame: pd.DataFrame, table: Table | None = None, limit: int | None = None) -> None:
        """Print a frame: as a list of records in JSON, or as a table.

        Args:
            frame: the rows.
            table: gives the headers in the reader's language; without it, names are headers.
            limit: most rows on the screen; JSON has all.
        """
        if self.as_json:
            self.data(self.records(frame))
            return
        headers = [_header(str(name), table, self.language) for name in frame.columns]
        shown = frame if limit is None else frame.head(limit)
        self._screen.print(_screen_table(headers, shown.itertuples(index=False)))
        if len(shown) < len(frame):
            left = translate("… and {count} more rows", self.language).format(count=len(frame) - len(shown))
            self._screen.print(Text(left, style="dim"))

    def records(self, frame: pd.DataFrame) -> list[dict[str, object]]:
        """Return the rows of a frame as they are printed in JSON."""
        return [_plain(row) for row in frame.to_dict("records")]

    def frames(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Print several frames as one JSON object of lists of records."""
        self.data({name: self.records(each) for name, each in frames.items()})

    @contextmanager
    def progress(self, title: Message) -> Iterator[Any]:
        """Give a function (done, total) that draws a bar on a terminal, and nothing elsewhere."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._aside, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(title.in_language(self.language), total=None)

            def draw(done: int, total: int | None = None) -> None:
                bar.update(task, completed=done, total=total)

            yield draw


def problem(error: DevlibError, language: Language) -> dict[str, object]:
    """Return an error as the values that a program needs."""
    return {
        "error": type(error).__name__,
        "status": error.http_status,
        "what": error.what.in_language(language),
        "where": error.where,
        "remedy": error.remedy.in_language(language) if error.remedy else "",
        "retry_after": error.retry_after,
    }


def _again(error: DevlibError) -> Message | None:
    """Return when to try again, where the error knows it and its remedy does not say it."""
    if error.retry_after is None:
        return None
    said = {str(round(error.retry_after)), str(math.ceil(error.retry_after))}
    if error.remedy is not None and said & set(re.findall(r"\d+", str(error.remedy))):
        return None
    return message("Try again in {seconds} s.", seconds=math.ceil(error.retry_after))


def missing(value: object) -> bool:
    """Return whether a cell of a frame is empty."""
    return value is None or value is pd.NA or value is pd.NaT or value != value  # noqa: PLR0124 - not a number


def visible(text: str) -> str:
    """Return `text` with control characters (terminal escapes among them) written out."""
    return "\n".join(quoted(line, limit=_LONGEST) for line in text.split("\n"))


def _header(name: str, table: Table | None, language: Language) -> str:
    try:
        return table.column(name).header(language) if table else name
    except KeyError:
        return name


def _screen_table(headers: Sequence[str], rows: Iterator[tuple[object, ...]]) -> ScreenTable:
    drawn = ScreenTable(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        drawn.add_column(Text(header), overflow="fold", max_width=_WIDEST)
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    return drawn


def _cell(value: object) -> Text:
    if missing(value):
        return Text("")
    if isinstance(value, datetime):
        return Text(f"{local(value):%Y-%m-%d %H:%M:%S}")
    text = visible(str(value))
    return Text(text, style=_STATE_STYLES.get(text, ""))


def local(moment: datetime) -> datetime:
    """Return a UTC moment (with or without its zone) in the time zone of this machine."""
    plain = moment.to_pydatetime() if isinstance(moment, pd.Timestamp) else moment
    return plain.replace(tzinfo=UTC).astimezone()


def _plain(row: Mapping[Any, Any]) -> dict[str, object]:
    return {str(name): _plain_value(value) for name, value in row.items()}


def _plain_value(value: object) -> object:
    if missing(value):
        return None
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value.item() if hasattr(value, "item") else value
