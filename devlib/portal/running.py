"""The act that runs a runbook: its notebook is executed and kept, and what became of it is audited."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from devlib.config import own_environment
from devlib.language import Language
from devlib.portal.acts import Act
from devlib.portal.desk import Desk
from devlib.portal.runbook_file import (
    Runbook,
    given_parameters,
    runbook,
    runbook_folder,
    runbooks,
    with_parameters,
)

_CELL_SECONDS = 3_600  # a restart of a site, slowly
_SHOWN = 600


@dataclass(frozen=True, slots=True)
class RunbookRun:
    """What became of a runbook.

    Args:
        name: which.
        passed: whether its Check passed, and all before it.
        failure: what the cell that failed said; empty where none did.
        path: the executed notebook, as it is kept.
        started_at: when, UTC.
    """

    name: str
    passed: bool
    failure: str
    path: Path
    started_at: datetime


class Running(Desk):
    """Runbooks."""

    def runbooks(self, folder: Path | None = None) -> list[Runbook]:
        """Return the runbooks that can be run.

        Args:
            folder: with their notebooks; by default that of the project.
        """
        with self._gate.act(Act.SEE, "runbooks"):
            return runbooks(runbook_folder(folder))

    def run_runbook(
        self,
        name: str,
        parameters: Mapping[str, str] | None = None,
        *,
        folder: Path | None = None,
        language: Language | None = None,
    ) -> RunbookRun:
        """Run a runbook from top to bottom in a kernel of its own, in the name of this identity.

        The executed notebook is kept in the folder `runbooks` of the home, also when a cell failed. Who,
        when, parameters and outcome are audited; each act of the runbook is audited besides.

        Args:
            name: of the runbook.
            parameters: values by name, as people write them; the rest are the runbook's own.
            folder: with the notebooks; by default that of the project.
            language: of what the kernel shows; by default that of the settings.

        Returns:
            Whether its Check passed, and where the executed notebook is.

        Raises:
            NotFound: there is no such runbook.
            UsageError: a parameter does not fit, or looks like a secret.
        """
        book = runbook(runbook_folder(folder), name)
        with self._gate.act(Act.RUNBOOK, name) as doing:
            given = given_parameters(book, parameters or {})
            doing.note(", ".join(f"{key}={value!r}" for key, value in given.items()) or "as it stands")
            started = self._services.clock.now()
            self._gate.record(Act.RUNBOOK, name, "started", doing.detail)
            notebook = with_parameters(book, given)
            failure = _execute(notebook, book.path.parent, self._environment(language))
            kept = self._keep(notebook, name, started)
            doing.note(f"{'failed: ' + failure if failure else 'passed'}; {kept.name}")
            return RunbookRun(name, not failure, failure, kept, started)

    def _environment(self, language: Language | None) -> dict[str, str]:
        """Return the environment of the kernel: the same home, language and identity as here."""
        settings = self._services.settings
        return own_environment() | {
            "DEVLIB_HOME": str(settings.home),
            "DEVLIB_LANGUAGE": language or settings.language,
            "DEVLIB_PRINCIPAL": self.identity.principal if self._acts_for_another() else "",
        }

    def _acts_for_another(self) -> bool:
        return self.identity.principal != self._services.settings.account

    def _keep(self, notebook: Any, name: str, started: datetime) -> Path:  # noqa: ANN401 - nbformat has no types
        import nbformat  # noqa: PLC0415 - only whoever runs a runbook needs it

        folder = self._services.settings.home / "runbooks"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 1 + sum(1 for _ in folder.glob(f"{name}-*.ipynb"))
        path = folder / f"{name}-{started:%Y%m%dT%H%M%SZ}-{number}.ipynb"
        # It may show names and phone numbers: for this account only.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(nbformat.writes(notebook))
        return path


def _execute(notebook: Any, folder: Path, environment: Mapping[str, str]) -> str:  # noqa: ANN401 - nbformat has no types
    """Execute the cells; return what the one that failed said, or nothing."""
    # Loaded here: a kernel client is a hundred modules that no other act needs.
    from nbclient import NotebookClient  # noqa: PLC0415
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError  # noqa: PLC0415

    client = NotebookClient(
        notebook,
        timeout=_CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
    )
    try:
        client.execute(env=dict(environment))
    except CellExecutionError as error:
        return f"{error.ename}: {error.evalue}"[:_SHOWN]
    except (CellTimeoutError, DeadKernelError) as error:
        return type(error).__name__
    return ""
