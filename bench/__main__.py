"""`make bench`: runs the benchmarks, or those named, and prints one table each."""

import importlib
import json
import sys
from pathlib import Path


def main(names: list[str]) -> None:
    """Run `names`, such as `report`; all of them by default."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    for name in names or [each for each in known if each != "network"]:
        result = importlib.import_module(f"bench.bench_{name}").run()
        print(f"{name}:", flush=True)
        for key, value in result.items():
            print(f"    {key:24} {json.dumps(value, default=str)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
