"""A name for this process by which others can see that it has ended, where the kernel lets them."""

import os
import platform
from contextlib import suppress
from pathlib import Path

_KERNEL = Path("/proc")
_START_FIELD = 19  # of /proc/PID/stat after the program's name: `starttime` (proc(5))


def own_name(kernel: Path = _KERNEL) -> str:
    """Return a name that no other process has: of this boot, this PID namespace, this PID and its start.

    Pids repeat, also between containers of one machine.
    """
    process = os.getpid()
    return f"{_place(kernel)} {process} {_start(kernel, process)}"


def own_place() -> str:
    """Return on which machine this process runs and its number, for people who look for it."""
    return f"{platform.node() or '?'}:{os.getpid()}"


def ended(name: str, kernel: Path = _KERNEL) -> bool:
    """Return whether the process of that name has ended; of one that cannot be seen from here, `False`."""
    place, _, rest = name.rpartition(" ")[0].rpartition(" ")
    start = name.rpartition(" ")[2]
    if not start or not rest.isdigit() or place != _place(kernel):
        return False
    return _start(kernel, int(rest)) != start


def _place(kernel: Path) -> str:
    with suppress(OSError):
        boot = (kernel / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(kernel / 'self/ns/pid').readlink()}"
    return "?"


def _start(kernel: Path, process: int) -> str:
    with suppress(OSError, IndexError):
        text = (kernel / str(process) / "stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = text.rpartition(")")[2].split()
        # A zombie has ended; its parent only has not noticed yet.
        return "" if state == "Z" else fields[_START_FIELD - 1]
    return ""
