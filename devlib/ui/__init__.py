"""What people see in notebooks and dashboards.

For notebooks (JupyterLab 4, notebook 7; offline; English and French):

    from devlib import ui

    portal = ui.start()                          # one call: opens the portal, chooses the language
    ui.table(frame)                              # any number of rows; sorted and searched in DuckDB
    ui.table(frame, "Aged lines", columns=["site", "mac"], on_pick=print)
    ui.line_timeline(portal.line_history("2001@lyon.example"))  # or line_port, observed_at, state
    ui.heat_map(frame, "Lines down", x="hour", y="site", value="lines")
    ui.sunburst(frame, path=("site", "device_type"))           # counts rows; value="lines" adds up a column
    ui.figure(plotly_figure, "Title")            # any plotly figure, without FigureWidget
    parameters = ui.form(customer=ui.choice("Bakery", ["Bakery", "Clinic"]), days=7, dry_run=True)
    parameters["days"]                           # what is written in the field now
    ui.download(frame, "aged.csv")               # also a Path, bytes, text, or a function that gives one
    ui.overview(portal=portal)                   # lines by state, sites in trouble first
    ui.check_registered(portal.status(mac))      # passes with a sentence, or raises CheckFailed
    ui.refused(portal.status, "00:00")           # shows an error that is met on purpose

Each of these has a text and an HTML form that is the same for the same data: nbval compares it, and a
code-hosting site shows it (tables: the first ten rows; charts: a drawing in SVG). With papermill or nbval a
form simply holds its first values.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devlib.ui.chart import Chart
    from devlib.ui.checks import (
        Passed,
        Refused,
        Told,
        check_devices,
        check_gone,
        check_health,
        check_import,
        check_registered,
        check_report,
        check_restart,
        check_some,
        refused,
        restart,
        tell,
    )
    from devlib.ui.dashboards import dashboard
    from devlib.ui.downloads import Download
    from devlib.ui.forms import Form, choice
    from devlib.ui.grid import Grid
    from devlib.ui.notebook import (
        download,
        figure,
        form,
        heat_map,
        line_timeline,
        start,
        sunburst,
        table,
    )
    from devlib.ui.summary import Overview, overview

_MODULES = {
    "Chart": "chart",
    "Download": "downloads",
    "Form": "forms",
    "Grid": "grid",
    "Overview": "summary",
    "Passed": "checks",
    "Refused": "checks",
    "Told": "checks",
    "check_devices": "checks",
    "check_gone": "checks",
    "check_health": "checks",
    "check_import": "checks",
    "check_registered": "checks",
    "check_report": "checks",
    "check_restart": "checks",
    "check_some": "checks",
    "choice": "forms",
    "dashboard": "dashboards",
    "download": "notebook",
    "figure": "notebook",
    "form": "notebook",
    "heat_map": "notebook",
    "line_timeline": "notebook",
    "overview": "summary",
    "refused": "checks",
    "restart": "checks",
    "start": "notebook",
    "sunburst": "notebook",
    "table": "notebook",
    "tell": "checks",
}

__all__ = [
    "Chart",
    "Download",
    "Form",
    "Grid",
    "Overview",
    "Passed",
    "Refused",
    "Told",
    "check_devices",
    "check_gone",
    "check_health",
    "check_import",
    "check_registered",
    "check_report",
    "check_restart",
    "check_some",
    "choice",
    "dashboard",
    "download",
    "figure",
    "form",
    "heat_map",
    "line_timeline",
    "overview",
    "refused",
    "restart",
    "start",
    "sunburst",
    "table",
    "tell",
]


def __getattr__(name: str) -> object:
    """Return a public name from its module (PEP 562): plotly is loaded by whoever draws."""
    if name not in _MODULES:
        raise AttributeError(f"module 'devlib.ui' has no attribute {name!r}")
    return getattr(import_module(f"devlib.ui.{_MODULES[name]}"), name)
