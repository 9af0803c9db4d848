"""What both demonstrations share: their home, what they print, and the proof at the end."""

import time
from dataclasses import dataclass
from pathlib import Path

from devlib.config import Settings, load_settings
from devlib.errors import ExportFailed
from devlib.export import ReportFile, ReportRequest
from devlib.language import Language, Message, message
from devlib.model import LineState
from devlib.portal import Portal


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demonstration happens.

    Args:
        home: its own home folder.
        language: of what it prints.
        started: monotonic seconds at its start.
    """

    home: Path
    language: Language
    started: float

    @property
    def settings(self) -> Settings:
        """Return the settings of the demonstration's home, whatever the user's own are."""
        return load_settings({"DEVLIB_HOME": str(self.home), "DEVLIB_LANGUAGE": self.language})

    def say(self, text: Message) -> None:
        """Print a sentence with the seconds since the start."""
        seconds = time.monotonic() - self.started
        print(f"[{seconds:5.1f} s] {text.in_language(self.language)}", flush=True)  # noqa: T201 - a door

    def report(self, portal: Portal, customer: str, *, from_snapshot: bool = False) -> ReportFile:
        """Write the report of all sites of a customer, and check it against SQL over the same snapshot.

        Raises:
            ExportFailed: the two disagree.
        """
        request = ReportRequest(customer, language=self.language)
        report = portal.export_line_states(request, self.home / "reports", from_snapshot=from_snapshot)
        sql = "SELECT state, count(*) AS lines FROM line_states WHERE customer = '{}' GROUP BY state"
        counted = portal.sql(sql.format(customer.replace("'", "''")))
        by_sql = dict(zip(counted["state"], counted["lines"], strict=True))
        by_file = {state.value: count for state, count in report.states.items() if count}
        if by_sql != by_file:
            raise ExportFailed(message("The report says {file}, SQL says {sql}.", file=by_file, sql=by_sql))
        self.say(
            message(
                "All sites of {customer}: report and SQL agree: {counts}",
                customer=customer,
                counts=self.counts(report),
            )
        )
        return report

    def counts(self, report: ReportFile) -> str:
        """Return the report's lines by state, as text."""
        words = {
            LineState.REGISTERED: message("registered"),
            LineState.AGED: message("aged"),
            LineState.UNREGISTERED: message("unregistered"),
            LineState.UNKNOWN: message("unknown"),
        }
        return ", ".join(f"{n} {words[s].in_language(self.language)}" for s, n in report.states.items())

    def say_goodbye(self, report: ReportFile) -> None:
        """Print where the report is and what to do next."""
        self.say(message("Done. The line-state report ({rows} lines):", rows=report.rows))
        print(f"    {report.path}")  # noqa: T201 - a door
        self.say(message("What next:"))
        for line in (
            f"export DEVLIB_HOME={self.home}",
            '.venv/bin/devlib sql "SELECT site, state, count(*) FROM line_states GROUP BY ALL"',
            '.venv/bin/devlib devices --customer "Harbour Hotels" --available 4',
            "make lab          # notebooks/explore/first-look.ipynb",
            "make dashboards",
        ):
            print(f"    {line}")  # noqa: T201 - a door
