"""Writes the pages that follow from the code: docs/commands.md and docs/tables.md."""

import argparse
from pathlib import Path

from devlib.analytics import SNAPSHOTS
from devlib.cli import COMMANDS
from devlib.cli.command import build_parser
from devlib.model import (
    ANSWERS,
    DECT_HANDSETS,
    DECT_STATIONS,
    DEVICE_LIST,
    FINDINGS,
    IMPORT_RESULT,
    IMPORT_TEMPLATE,
    LINE_STATES,
    OBSERVATIONS,
    RESTART_DEVICES,
    RESTART_RUNS,
    SITE_TYPES,
    SUPPORTED_DEVICES,
    UNRECOGNISED,
)

DOCS = Path(__file__).parent.parent / "docs"
TABLES = (
    OBSERVATIONS,
    LINE_STATES,
    SNAPSHOTS,
    DEVICE_LIST,
    IMPORT_TEMPLATE,
    IMPORT_RESULT,
    SUPPORTED_DEVICES,
    SITE_TYPES,
    RESTART_RUNS,
    RESTART_DEVICES,
    DECT_STATIONS,
    DECT_HANDSETS,
    FINDINGS,
    UNRECOGNISED,
    *ANSWERS,
)


def commands_page() -> str:
    """Return docs/commands.md: every command with every argument."""
    parser = build_parser(COMMANDS, "en")
    lines = [
        "# The command `devlib`",
        "",
        "Written from the code by `tools/write_docs.py`.",
        "",
        parser.epilog or "",
    ]
    lines += ["", "Before or after the command: `--json`, `--language en|fr`, `--as PRINCIPAL`.", ""]
    for command in COMMANDS:
        lines += [f"## devlib {command.name}", "", f"{command.help}", ""]
        for each in command.arguments:
            names = ", ".join(f"`{flag}`" for flag in each.flags)
            needed = " (needed)" if each.options.get("required") else ""
            choices = each.options.get("choices")
            allowed = f" One of: {', '.join(choices)}." if choices else ""
            lines.append(f"- {names}{needed}: {each.help}.{allowed}")
        lines += [""] if command.arguments else []
    return "\n".join(lines).rstrip() + "\n"


def tables_page() -> str:
    """Return docs/tables.md: every table with every column."""
    lines = [
        "# Tables and columns",
        "",
        "Written from the code by `tools/write_docs.py`. Moments are UTC. In SQL, `line_states` has all",
        "columns of `observations`, limited to the newest row of each line; the report has 22.",
        "",
    ]
    for table in TABLES:
        lines += [f"## {table.name}", "", table.meaning, ""]
        lines += ["| column | type | English | French | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{c.name}` | {c.type.value} | {c.english} | {c.french} | {c.meaning} |" for c in table.columns
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"commands.md": commands_page, "tables.md": tables_page}


def main() -> None:
    """Write both pages."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
