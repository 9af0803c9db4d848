"""Several workers of the service behind one address: processes that uvicorn starts, watches and ends.

One process answers as much as one core can. Workers share the home and with it exports, the audit and the
counts of `/metrics`; whichever takes a connection answers it. One that dies is started anew, its exports go
on at another one (`devlib.api.export_folder`).
"""

import fcntl
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd, ForkingPickler
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from devlib.api.application import create_application
from devlib.api.intake import Intake
from devlib.api.service_log import log_as_json, say
from devlib.clock import SystemClock
from devlib.config import ApiSettings, Settings, load_settings, share_counts
from devlib.errors import DevlibError
from devlib.portal import open_services

# A worker that does not answer for so long is killed and replaced; an act may keep Python's lock for a while.
_SILENT_SECONDS = 60
_WAITING = 512  # connections that nobody has taken yet
_AT_ONCE = 1
_COUNTS = ".service-counts-"
_OWNER, _NEW = "owner.lock", "new.lock"


class Listener(socket.socket):
    """A listening socket of which each worker takes one connection at a time, so that all get their share.

    asyncio takes as many at once as the queue is long, and whoever wakes up first would get all that come
    together. Its number is therefore 1 (`_AT_ONCE`), and the queue of the kernel as long as it is.
    """

    def listen(self, backlog: int = _WAITING, /) -> None:
        """Listen with the longer queue, whatever asyncio says."""
        super().listen(max(backlog, _WAITING))


def _rebuilt(handle: Any, kind: socket.AddressFamily) -> Listener:  # noqa: ANN401 - multiprocessing's own
    return Listener(kind, socket.SOCK_STREAM, fileno=handle.detach())


# How a listener reaches a worker, as multiprocessing has it for plain sockets.
ForkingPickler.register(Listener, lambda each: (_rebuilt, (DupFd(each.fileno()), each.family)))


def serving_options(settings: ApiSettings) -> dict[str, object]:
    """Return what every server of the service is told, alone or as one of several."""
    return {
        "loop": "asyncio",  # uvloop, where it is installed, would not ask `Listener` how long its queue is
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "lifespan": "on",
        "timeout_graceful_shutdown": round(settings.drain_seconds),
        "timeout_keep_alive": 30,
        "proxy_headers": False,
        "ws": "none",
    }


def run_workers(settings: Settings, listener: Listener, count: int) -> int:
    """Serve with several workers until a signal ends it; return the exit code.

    Args:
        settings: of this user.
        listener: takes connections; each worker gets it.
        count: how many workers.
    """
    config = uvicorn.Config(
        f"{__name__}:application", factory=True, workers=count, backlog=_AT_ONCE,
        timeout_worker_healthcheck=_SILENT_SECONDS, **serving_options(settings.api),  # type: ignore[arg-type]
    )  # fmt: skip
    with _folder_of_counts(settings.home) as folder:
        share_counts(folder)
        supervisor = Multiprocess(config, sockets=[listener])
        supervisor.run()
    return int(any(each.exitcode == STARTUP_FAILURE for each in supervisor.processes))


@contextmanager
def _folder_of_counts(home: Path) -> Iterator[str]:
    """Give a folder in which workers count together; what killed services left of theirs is removed."""
    for left in home.glob(f"{_COUNTS}*"):
        with suppress(OSError), (left / _OWNER).open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    # In the home, for a system may clear its folder of temporary files while the service runs.
    with tempfile.TemporaryDirectory(prefix=_COUNTS, dir=home) as folder:
        new = Path(folder) / _NEW
        with new.open("w") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX)
            new.rename(new.with_name(_OWNER))  # only now another service could take it for one that was left
            yield folder


def application() -> Intake:
    """Return the application of a worker, which opens its own services and closes them at its end."""
    log_as_json()
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        services = open_services(load_settings(), SystemClock())
    except DevlibError as error:
        # The database may be away for a moment: uvicorn tries again, while other workers go on.
        say("worker not started", text=str(error), process=os.getpid())
        raise SystemExit(1) from None
    say("worker", process=os.getpid())
    return create_application(services, at_end=services.close)


def _end_with_the_first() -> None:
    """End in order when the process that started the workers was killed, or the address stays taken."""
    first = parent_process()
    if first is not None:
        wait([first.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
