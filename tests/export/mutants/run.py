"""Checks that the state machine catches every mutant of the reducer: `python tests/export/mutants/run.py`."""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from export.admission.machine import machine_for, machine_settings
from export.mutants.catalogue import MUTANTS, Mutant, mutated
from hypothesis.stateful import run_state_machine_as_test

EXAMPLES = 400


def verdict(mutant: Mutant, folder: Path, number: int) -> str:
    """Return the broken invariant that gives the mutant away; empty if it survives."""
    with mutated(mutant, folder, f"mutant_{number}") as rules:
        try:
            run_state_machine_as_test(machine_for(rules), settings=machine_settings(EXAMPLES, shrink=False))
        except AssertionError as error:
            return str(error).partition("\n")[0][:80]
        except (KeyError, IndexError, AttributeError, TypeError, ValueError, RecursionError) as error:
            return f"crash: {type(error).__name__}"
    return ""


def main(names: list[str]) -> int:
    """Judge the mutants whose names contain one of `names`, or all; return how many survive."""
    chosen = [m for m in MUTANTS if not names or any(name in m.name for name in names)]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, mutant in enumerate(chosen):
            began = time.monotonic()
            caught = verdict(mutant, Path(folder), number)
            survivors += not caught
            taken = time.monotonic() - began
            told = f"{'caught  ' if caught else 'SURVIVED'} {taken:5.1f} s  {mutant.name}: {caught}"
            print(told, flush=True)  # noqa: T201
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants caught")  # noqa: T201
    return survivors


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
