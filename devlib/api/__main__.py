"""Starts the service: `python -m devlib.api`, which is what `devlib serve` does."""

import argparse
import logging
import os
import signal
import socket
import sys
from contextlib import suppress

import uvicorn

from devlib.api.application import create_application
from devlib.api.export_folder import EXPORTS, ExportFolder
from devlib.api.service_log import log_as_json, say
from devlib.api.workers import Listener, run_workers, serving_options
from devlib.clock import SystemClock
from devlib.config import MOST_WORKERS, ApiSettings, load_settings
from devlib.errors import DevlibError
from devlib.portal import Services, open_services


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal ends it; return the exit code."""
    given = _parser().parse_args(arguments)
    log_as_json()
    try:
        settings = load_settings()
        ExportFolder.prepare(settings.home / EXPORTS)  # of many workers none could say as plainly why it ends
        services = open_services(settings, SystemClock())
    except DevlibError as error:
        say("not started", text=str(error))
        return error.exit_code
    try:
        listener = _listener(given.host, given.port)
    except OSError as error:
        services.close()
        say("not started", text=f"{given.host}:{given.port}: {error.strerror}")
        return 1
    host, port = listener.getsockname()[:2]
    say("serving", host=host, port=port, process=os.getpid(), workers=given.workers)
    if given.workers == 1:
        _serve(settings.api, services, listener)
        return 0
    # They were opened to see that they can be, and to bring the tables up to date; workers open their own.
    services.close()
    code = run_workers(settings, listener, given.workers)
    say("stopped")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devlib serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--workers", type=_count, default=1, metavar="N")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"a number from 1 to {MOST_WORKERS} is needed")
    return int(text)


def _serve(settings: ApiSettings, services: Services, listener: socket.socket) -> None:
    try:
        config = uvicorn.Config(create_application(services), **serving_options(settings))  # type: ignore[arg-type]
        # uvicorn raises the signal that ended it once more: by itself SIGTERM would then end us unclosed.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
        say("stopped")
    finally:
        services.close()


def _listener(host: str, port: int) -> Listener:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = Listener(kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # whoever comes early waits
    except BaseException:
        listener.close()
        raise
    return listener


if __name__ == "__main__":
    ended = main()
    logging.shutdown()
    sys.stderr.flush()
    # Everything is closed. DuckDB 2.0 would write pages on its own bindings into the log at Python's end.
    os._exit(ended)
