"""Exports: which run, wait and ended lately, and why there are limits."""

from collections.abc import Sequence

import ipywidgets
import pandas as pd

from devlib.config import ExportPolicy
from devlib.export import ExportKey, Overview
from devlib.language import Message, message
from devlib.model import OBSERVATIONS, Column, ColumnType, Table
from devlib.portal import Portal
from devlib.storage import frame_pages
from devlib.ui.figures import Tile, number_text
from devlib.ui.grid import Grid
from devlib.ui.page import Visit
from devlib.ui.tiles import Tiles

_TEXT, _INTEGER, _REAL, _MOMENT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.REAL, ColumnType.MOMENT
_CUSTOMER, _SITE = OBSERVATIONS.column("customer"), OBSERVATIONS.column("site")
_WHO = Column("principal", _TEXT, "Who", "Qui", "Account of the asker.")
# fmt: off
LIVE = Table(
    "live_exports",
    "Exports that run, wait, or share a running one.",
    (
        Column("phase", _TEXT, "Now", "En ce moment", "What it does."),
        Column("place", _INTEGER, "Place", "Place", "Place in the queue; empty where it does not wait."),
        _CUSTOMER, _SITE, _WHO,
        Column("seconds", _REAL, "For (s)", "Depuis (s)", "Since its start, or since its arrival."),
        Column("seconds_to_go", _REAL, "To go (s)", "Reste (s)", "Estimate until the rows are there."),
    ),
)
RECENT = Table(
    "recent_exports",
    "What happened to exports lately.",
    (
        Column("at", _MOMENT, "When", "Quand", "When it happened (UTC)."),
        Column("event", _TEXT, "What", "Quoi", "What happened."),
        Column("http", _INTEGER, "Answer", "Réponse", "HTTP status of the answer."),
        _CUSTOMER, _SITE, _WHO,
        Column("wait_ms", _INTEGER, "Waited (ms)", "Attente (ms)", "Time in the queue."),
        Column("run_ms", _INTEGER, "Ran (ms)", "Durée (ms)", "Time of the real run."),
    ),
)
# fmt: on
_SHOWN = 200


class ExportsPage:
    """The page of one visit.

    Args:
        visit: who looks.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        language, words = visit.language, visit.words
        self.tiles = Tiles(language)
        found = visit.portal.exports(_SHOWN)
        self.live = Grid(
            frame_pages(self._live(found)), language, label=words(message("Running and waiting")), table=LIVE,
            height=240, searchable=False, empty=message("No export runs or waits now."),
        )  # fmt: skip
        self.recent = Grid(
            frame_pages(self._recent(found)),
            language,
            label=words(message("Lately")),
            table=RECENT,
            height=420,
            empty=message("No export yet."),
        )
        self._figures(found)
        visit.every_tick(self._refresh)

    def widgets(self) -> Sequence[ipywidgets.Widget]:
        """Return the page from top to bottom."""
        return [self.tiles, self.live, self.recent]

    def _refresh(self) -> None:
        found = self._visit.portal.exports(_SHOWN)
        self.live.show(frame_pages(self._live(found)), keeps_place=True)
        self.recent.show(frame_pages(self._recent(found)), keeps_place=True)
        self._figures(found)

    def _figures(self, found: Overview) -> None:
        language, words = self._visit.language, self._visit.words
        labels = (
            (len(found.running), message("running")),
            (len(found.waiting), message("waiting")),
            (len(found.following), message("sharing a running one")),
        )
        tiles = [Tile(number_text(count, language), words(label)) for count, label in labels]
        self.tiles.say(tiles, words(limits_text(self._visit.portal)))

    def _phase(self, name: str) -> str:
        return self._visit.words(_PHASES[name]) if name in _PHASES else name

    def _live(self, found: Overview) -> pd.DataFrame:
        rows = [
            [self._phase(each.state.value), each.place or None, each.key.customer, each.key.site or "*",
             each.principal, round(each.seconds, 1), round(each.seconds_to_go, 1)]
            for each in (*found.running, *found.waiting, *found.following)
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=list(LIVE.names))
        return frame.astype({"place": "Int64", "seconds": "Float64", "seconds_to_go": "Float64"})

    def _recent(self, found: Overview) -> pd.DataFrame:
        rows: list[list[object]] = []
        for each in found.recent:
            key = ExportKey.from_text(each.key)
            what = [each.at.replace(tzinfo=None), self._phase(each.event), each.http]
            rows.append([*what, key.customer, key.site or "*", each.principal, each.wait_ms, each.run_ms])
        frame = pd.DataFrame(rows, columns=list(RECENT.names))
        numbers = {"http": "Int64", "wait_ms": "Int64", "run_ms": "Int64", "at": "datetime64[us]"}
        return frame.astype(numbers)


def limits_text(portal: Portal) -> Message:
    """Return the limits of exports in words."""
    policy: ExportPolicy = portal.services.settings.export
    return message(
        "At most {running} exports run at the same time and {waiting} wait; one login starts one every {period} s. "
        "The same export of two readers runs once. A full queue answers 429: try again when a place is free. "
        "Whoever waits longer than {timeout} s gets 408.",
        running=policy.max_running,
        waiting=policy.max_waiting,
        period=f"{policy.period:g}",
        timeout=f"{policy.queue_timeout:g}",
    )


_PHASES: dict[str, Message] = {
    "waiting": message("waiting"),
    "following": message("sharing a running one"),
    "running": message("running"),
    "started": message("started"),
    "done": message("done"),
    "cached": message("rows of a moment ago"),
    "rejected": message("refused: the queue is full"),
    "expired": message("waited too long"),
    "failed": message("failed"),
    "cancelled": message("cancelled"),
}


def build(visit: Visit) -> Sequence[ipywidgets.Widget]:
    """Return the page's widgets."""
    return ExportsPage(visit).widgets()
