"""`make bench`: runs the benchmarks, or those named, and prints one table each."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

_ALONE = "--alone"


def main(names: list[str]) -> None:
    """Run `names`, such as `report`; all of them by default.

    Each runs in a process of its own: a child's peak memory counts what its parent held when it was forked.
    """
    if names[:1] == [_ALONE]:
        run_alone(names[1])
        return
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    for name in names or [each for each in known if each != "network"]:
        subprocess.run([sys.executable, "-m", "bench", _ALONE, name], check=True)


def run_alone(name: str) -> None:
    """Run one benchmark in this process and print its figures."""
    result = importlib.import_module(f"bench.bench_{name}").run()
    print(f"{name}:", flush=True)
    for key, value in result.items():
        print(f"    {key:24} {json.dumps(value, default=str)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
