"""Restart plans and runs as people read them: totals and tables."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from devlib.fleet.restart_outcome import FAILURES, RestartResult
from devlib.language import Language
from devlib.model import RESTART_DEVICES, RESTART_RUNS
from devlib.storage import RestartRun, RestartStep, arrow_schema, naive


@dataclass(frozen=True, slots=True)
class RestartReport:
    """A run and what became of each of its devices.

    Args:
        run: the run.
        steps: its devices, in their order.
    """

    run: RestartRun
    steps: tuple[RestartStep, ...]

    @property
    def outcomes(self) -> dict[RestartResult, int]:
        """How many devices have each outcome; all outcomes are there."""
        counted = Counter(step.outcome for step in self.steps)
        return {each: counted[each.value] for each in RestartResult}

    @property
    def left(self) -> int:
        """How many devices have no outcome yet."""
        return sum(not step.outcome for step in self.steps)

    @property
    def failed(self) -> int:
        """How many devices were sent a NOTIFY and failed."""
        return sum(step.outcome in FAILURES for step in self.steps)


def device_rows(steps: Iterable[RestartStep], language: Language) -> pa.Table:
    """Return the devices of a plan or a run with the columns of `RESTART_DEVICES`."""
    return _table([_device_row(step, language) for step in steps], arrow_schema(RESTART_DEVICES))


def _device_row(step: RestartStep, language: Language) -> dict[str, object]:
    same = ("position", "mac", "device_type", "customer", "site", "network", "line_port", "event")
    row: dict[str, object] = {name: getattr(step, name) for name in same}
    return row | {
        "canary": int(step.canary),
        "boot_seconds": round(step.boot_seconds),
        "state": step.state.value,
        "outcome": step.outcome,
        "reason": step.reason.in_language(language) if step.reason else "",
        "code": step.code,
        "attempts": step.attempts,
        "sent_at": naive(step.sent_at) if step.sent_at else None,
        "ended_at": naive(step.ended_at) if step.ended_at else None,
    }


def run_rows(
    runs: Iterable[RestartRun], totals: Mapping[int, Mapping[str, int]], language: Language
) -> pa.Table:
    """Return runs with the columns of `RESTART_RUNS`.

    Args:
        runs: in their order.
        totals: for each run the number of devices by outcome; under "" those without one.
        language: of the reasons.
    """
    return _table(
        [_run_row(run, totals.get(run.id, {}), language) for run in runs], arrow_schema(RESTART_RUNS)
    )


def _run_row(run: RestartRun, totals: Mapping[str, int], language: Language) -> dict[str, object]:
    devices, left = sum(totals.values()), totals.get("", 0)
    confirmed = totals.get(RestartResult.CONFIRMED, 0)
    failed = sum(totals.get(each, 0) for each in FAILURES)
    return {
        "run": run.id,
        "created_at": naive(run.created_at),
        "principal": run.principal,
        "target": run.target,
        "state": run.state.value,
        "devices": devices,
        "confirmed": confirmed,
        "failed": failed,
        "not_sent": devices - left - confirmed - failed,
        "left": left,
        "reason": run.reason.in_language(language) if run.reason else "",
        "finished_at": naive(run.finished_at) if run.finished_at else None,
    }


def _table(rows: list[dict[str, object]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)
