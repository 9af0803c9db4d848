"""Every question over 30 days of 15-minute snapshots of 100 000 lines (288 million line-states).

Other sizes, and a folder in which the lake is kept for the next time (it takes half an hour to make):
`python -m bench.bench_analytics LINES DAYS FOLDER`.
"""

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bench.month_of_lines import DAY, NOW, PROVIDER, first_day, make_lake, opened
from devlib import analytics
from devlib.model import EVERYTHING, Scope

_FIGURES = "figures.json"


def run(lines: int = 100_000, days: int = 30, folder: str | None = None) -> dict[str, object]:
    """Return the seconds of each question, peak memory, and bytes for each line-state.

    Args:
        lines: in each snapshot.
        days: of snapshots; three at least.
        folder: where the lake is, or shall be, kept; `None` for one that is thrown away.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            return run(lines, days, name)
    figures = Path(folder, _FIGURES)
    if not figures.exists():
        figures.parent.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps(asdict(make_lake(Path(folder), lines, days))))
    with multiprocessing.get_context("spawn").Pool(1) as process:
        found = process.apply(ask, (folder, days))
    return {
        "what": f"{lines} lines, {days} days, every 15 minutes",
        **json.loads(figures.read_text()),
        **found,
        "goal": "each < 2 s, peak_mb < 2000",
    }


def ask(folder: str, days: int) -> dict[str, object]:
    """Return the seconds of each question, asked in a process that asks nothing else, and its peak memory.

    Args:
        folder: with inventory and lake.
        days: how many they tell of.
    """
    inventory, lake = opened(Path(folder))
    since = first_day(days)
    lately = NOW - DAY
    one = Scope(PROVIDER, "Customer 0042")
    questions: dict[str, Callable[[], object]] = {
        "state_counts": lambda: analytics.state_counts(lake, EVERYTHING),
        "state_counts_by_firmware": lambda: analytics.state_counts(
            lake, EVERYTHING, ("device_type", "firmware")
        ),
        "states_at": lambda: analytics.states_at(lake, EVERYTHING, NOW - 10 * DAY),
        "states_now": lambda: analytics.states_at(lake, EVERYTHING, NOW),
        "state_changes_24h": lambda: analytics.state_changes(lake, EVERYTHING, lately),
        "state_changes_week": lambda: analytics.state_changes(lake, EVERYTHING, NOW - 7 * DAY),
        "time_in_state_site": lambda: analytics.time_in_state(lake, EVERYTHING, since),
        "time_in_state_line": lambda: analytics.time_in_state(lake, EVERYTHING, since, by="line"),
        "flapping_lines": lambda: analytics.flapping_lines(lake, EVERYTHING, since, changes=20),
        "aged_lines_24h": lambda: analytics.aged_lines(lake, EVERYTHING, lately),
        "outages": lambda: analytics.outages(lake, EVERYTHING, since),
        "compare": lambda: analytics.compare(lake, EVERYTHING, NOW - 7 * DAY, NOW),
        "comparison_summary": lambda: analytics.comparison_summary(lake, EVERYTHING, since + DAY, NOW),
        "firmware_census": lambda: analytics.firmware_census(lake, EVERYTHING),
        "user_agent_census": lambda: analytics.user_agent_census(lake, EVERYTHING),
        "sunburst": lambda: analytics.sunburst(lake, EVERYTHING),
        "availability": lambda: analytics.availability(lake, EVERYTHING, since, by="all"),
        "heat_map_customer": lambda: analytics.heat_map(lake, one, since),
        "line_history": lambda: analytics.line_history(lake, EVERYTHING, "2000042@site2.example"),
    }
    seconds, cpu = {}, {}
    for name, question in questions.items():
        start, worked = time.perf_counter(), time.process_time()
        question()
        seconds[name] = round(time.perf_counter() - start, 2)
        cpu[name] = round(time.process_time() - worked, 2)
    lake.close()
    inventory.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "seconds": seconds,
        "cpu_s": cpu,
        "load": os.getloadavg()[0],
        "slowest_s": max(seconds.values()),
        "peak_mb": peak,
    }


if __name__ == "__main__":
    for key, value in run(*map(int, sys.argv[1:3]), *sys.argv[3:4]).items():
        print(f"{key:30} {value}", flush=True)
