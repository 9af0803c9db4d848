"""The dashboards, in the order of the bar over each page."""

from devlib.language import Message, message

DASHBOARDS = ("overview", "lines", "devices", "exports", "outages")


def title_of(name: str) -> Message:
    """Return the title of a dashboard."""
    return {
        "overview": message("Overview"),
        "lines": message("Line states"),
        "devices": message("Devices and import"),
        "exports": message("Exports"),
        "outages": message("Outages and quality"),
    }[name]
