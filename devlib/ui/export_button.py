"""The download of exactly what is filtered: the server exports it, in the queue like every other export."""

import traitlets

from devlib.language import Language, Message, message
from devlib.ui.link import LineQuery
from devlib.ui.widget import Widget


class ExportButton(Widget):
    """A button that starts an export on the server, shows where it stands, and fetches its file.

    Args:
        language: of its texts and of the file's headers.
        query: what to export.
    """

    script = "export.js"

    query = traitlets.Dict().tag(sync=True)
    past = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, language: Language, query: LineQuery) -> None:
        super().__init__(language, _words(), query=query.to_values())

    def show(self, query: LineQuery, *, past: bool = False) -> None:
        """Export something else when the button is pressed next.

        Args:
            query: what.
            past: whether it is of a moment of the past: an export asks the networks now, and is not offered.
        """
        self.query = query.to_values()
        self.past = past

    def plain(self) -> str:
        """Return the label."""
        return str(self.texts["export"])


def _words() -> dict[str, Message]:
    return {
        "export": message("Download these lines (CSV)"),
        "past": message(
            "A download asks the networks now, so there is none of the past. "
            "On the command line: devlib states --lines --at MOMENT"
        ),
        "starting": message("The export is being started…"),
        "asked": message(
            "The network is being asked: {done} of {total} lines", done="{done}", total="{total}"
        ),
        "sharing": message(
            "The same export is running; its rows are shared (about {seconds} s).", seconds="{seconds}"
        ),
        "delayed": message(
            "Your last export began just now; this one starts in {seconds} s.", seconds="{seconds}"
        ),
        "waiting": message(
            "Waiting at place {place}, about {seconds} s.", place="{place}", seconds="{seconds}"
        ),
        "cancel": message("Cancel"),
        "done": message("{rows} lines: {name}", rows="{rows}", name="{name}"),
        "again": message("Fetch the file again"),
        "failed": message("The server does not answer. Try again in a moment."),
    }
