"""The bulk file: template, upload, row errors in the page, result to take away."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import ipywidgets
import pandas as pd

from devlib.fleet import ImportMode, ImportReport
from devlib.language import Message, message
from devlib.portal import ROLE_ACTS, Act
from devlib.storage import frame_pages
from devlib.ui.actions import Actions, Button, Field
from devlib.ui.downloads import Download
from devlib.ui.grid import Grid
from devlib.ui.page import Row, Stack, Visit
from devlib.ui.uploads import Upload

_PROBLEMS = ("row", "field", "code", "severity", "message")


class ImportPanel:
    """The import of one visit.

    Args:
        visit: who imports.
        changed: called after a change of the fleet.
    """

    def __init__(self, visit: Visit, changed: Callable[[], None]) -> None:
        self._visit = visit
        self._changed = changed
        self._folder = TemporaryDirectory(prefix="devlib-import-")
        self._file: Path | None = None
        self._customer: str | None = None
        language, words = visit.language, visit.words
        self.template = Download(
            self._templates, "devlib-templates.zip", language, words(message("Download the template"))
        )
        self.upload = Upload(language, words(message("File to import (CSV)")), self._arrived)
        self.acts = Actions(language, words(message("Import")), self._act)
        self.problems = Grid(
            frame_pages(_problem_frame(())), language, label=words(message("Problems in the file")),
            columns=_PROBLEMS, height=260, searchable=False,
        )  # fmt: skip
        self.result = Download(
            self._result, "import-result.csv", language, words(message("Download the result"))
        )
        self._after = Stack([])

    def widgets(self) -> Sequence[ipywidgets.Widget]:
        """Return the panel from top to bottom; nothing of it for those who may not import."""
        if Act.IMPORT not in ROLE_ACTS[self._visit.portal.identity.role]:
            return []
        beside = Row([self.acts, Stack([self.template, self.upload])])
        beside.add_class("dl-beside")
        return [beside, self._after]

    def offer(self, customers: Sequence[str], chosen: str | None) -> None:
        """Offer the customers into whose fleet one can import."""
        self._customers = tuple(customers) if chosen is None else (chosen,)
        self._offer()

    def _offer(self) -> None:
        words = self._visit.words
        confirm = message("Import this file? Devices will be added.")
        buttons = [
            Button("check", words(message("Check only"))),
            Button("all", words(message("Import all or nothing")), words(confirm)),
            Button("valid", words(message("Import the valid rows")), words(confirm)),
        ]
        title = message("Import: choose a file first") if self._file is None else message("Import")
        field = Field("customer", words(message("Customer")), self._customers, needed=True)
        self.acts.offer(buttons if self._file is not None else [], [field], title=words(title))

    def _arrived(self, path: Path, name: str) -> None:
        self._file = path
        self._offer()
        self.acts.say("done", [self._visit.words(message("{name} is here. Check it first.", name=name))])

    def _act(self, name: str, values: Mapping[str, str]) -> None:
        modes = {"check": ImportMode.CHECK, "all": ImportMode.ALL_OR_NOTHING, "valid": ImportMode.VALID_ROWS}
        mode, source, portal = modes[name], self._file, self._visit.portal
        if source is None:
            return
        result = Path(self._folder.name) / "import-result.csv"

        def run() -> ImportReport:
            return portal.import_devices(source, customer=values["customer"], mode=mode, result=result)

        self._visit.later(run, self._done, self.acts)

    def _done(self, report: ImportReport) -> None:
        words = self._visit.words
        sentences = [each for each in report.sentences() if str(report.result) not in str(each)]
        rows = report.values(self._visit.language)["problems"]
        shown = len(report.problems)
        told = [words(each) for each in sentences[: len(sentences) - shown] if shown] or [
            *map(words, sentences)
        ]
        self.acts.say("warning" if report.refused else "done", [*told, words(_ending(report))])
        self.problems.show(frame_pages(_problem_frame(rows if isinstance(rows, list) else ())))
        self._after.children = [self.problems, self.result] if report.problems else [self.result]
        if report.mode is not ImportMode.CHECK:
            self._changed()

    def _templates(self) -> bytes:
        folder = Path(self._folder.name) / "template"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in self._visit.portal.template(folder, None):
                archive.write(path, path.name)
        return packed.getvalue()

    def _result(self) -> Path:
        return Path(self._folder.name) / "import-result.csv"


def _ending(report: ImportReport) -> Message:
    if report.mode is ImportMode.CHECK:
        return message("This was a check: nothing was changed.")
    if report.refused and report.mode is ImportMode.ALL_OR_NOTHING:
        return message("Nothing was imported. Correct the rows, or import only the valid ones.")
    return message("The import is done.")


def _problem_frame(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(_PROBLEMS)).astype({"row": "Int64"})
