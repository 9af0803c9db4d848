"""The chart: a plotly figure that follows the page's colours; plotly itself is loaded once for each page."""

import json
from collections.abc import Callable, Mapping
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

import traitlets

from devlib.language import Language, Message, message
from devlib.ui.drawing import drawn
from devlib.ui.widget import Handler, Widget, number_of, text_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

Click = Callable[[int, int, str, str], None]


class Chart(Widget):
    """Shows a plotly figure, given as JSON; colours such as `theme:aged` are those of the page.

    The stock `FigureWidget` sends 5 MB for each figure and may stay deaf to updates (measured); this one
    sends the figure alone.

    Args:
        figure: `data` and `layout`, as plotly's JSON has them; or a `go.Figure`.
        language: of its texts and numbers.
        label: the title, also for screen readers.
        alt: what the chart shows, in a sentence, for those who do not see it.
        height: in CSS pixels.
        on_click: called with trace, point, x and y of what somebody clicked.
    """

    script = "chart.js"

    figure = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(320).tag(sync=True)

    def __init__(
        self,
        figure: "Mapping[str, Any] | go.Figure",
        language: Language,
        *,
        label: str,
        alt: str = "",
        height: int = 320,
        on_click: Click | None = None,
    ) -> None:
        self._on_click = on_click
        super().__init__(
            language, _words(), figure=as_json(figure), label=label, alt=alt or label, height=height
        )

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the browser may ask for: plotly itself; and tell: a click."""
        return {"plotly": self._send_plotly, "click": self._clicked}

    def show(self, figure: "Mapping[str, Any] | go.Figure", *, alt: str | None = None) -> None:
        """Show another figure in the same place."""
        if alt is not None:
            self.alt = alt
        self.figure = as_json(figure)

    def plain(self) -> str:
        """Return title and description."""
        return self.label if self.alt == self.label else f"{self.label}\n{self.alt}"

    def html(self) -> str:
        """Return title and description."""
        return f"<p><strong>{escape(self.label)}</strong></p><p>{escape(self.alt)}</p>"

    def still(self) -> dict[str, str]:
        """Return the chart as a drawing, for places where no script runs.

        It is an image and not HTML: a code-hosting site takes drawings out of HTML and leaves their words.
        """
        drawing = drawn(self.figure, self.label, self.alt, self.height)
        return super().still() if drawing is None else {"image/svg+xml": drawing}

    def _send_plotly(self, _: Mapping[str, Any], __: list[memoryview]) -> None:
        # Where no server of ours offers the file (JupyterLab, notebook), it comes once over the kernel.
        self.send({"kind": "plotly"}, buffers=[plotly_script()])

    def _clicked(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        if self._on_click is not None:
            place = number_of(content, "trace", 0, 10_000), number_of(content, "point", 0, 10**7)
            self._on_click(*place, text_of(content, "x", 300), text_of(content, "y", 300))


def plotly_script() -> bytes:
    """Return plotly.js as the installed plotly package carries it."""
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()


def as_json(figure: "Mapping[str, Any] | go.Figure") -> dict[str, Any]:
    """Return `data` and `layout` as plain values; plotly's own template is left out, the page has its own."""
    if isinstance(figure, Mapping):
        return dict(figure)
    plain: dict[str, Any] = json.loads(figure.to_json())
    plain.get("layout", {}).pop("template", None)
    return {"data": plain.get("data", []), "layout": plain.get("layout", {})}


def _words() -> dict[str, Message]:
    return {
        "loading": message("The chart is being drawn…"),
        "empty": message("There is nothing to draw here yet."),
        "failed": message("The chart could not be loaded. Load the page again."),
    }
