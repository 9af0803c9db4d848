"""Starts the service: `python -m devlib.api`, which is what `devlib serve` does."""

import argparse
import json
import logging
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress

import uvicorn

from devlib.api.application import create_application
from devlib.clock import SystemClock
from devlib.config import load_settings
from devlib.errors import DevlibError
from devlib.portal import open_services

LOG = logging.getLogger("devlib.api")
_BACKLOG = 512


class JsonLines(logging.Formatter):
    """One JSON object per line; what is one already is only dated."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        text = record.getMessage()
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")
        if record.name == LOG.name and not record.exc_info and text.startswith("{"):
            return f'{{"at": "{at}", "level": "{record.levelname}", {text[1:]}'  # our own: an object already
        try:
            values = json.loads(text) if text.startswith("{") else {"event": "message", "text": text}
        except ValueError:
            values = {"event": "message", "text": text}
        whole = {"at": at, "level": record.levelname, **values}
        if record.exc_info:
            whole["trace"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(whole, ensure_ascii=True)


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal ends it; return the exit code."""
    parser = argparse.ArgumentParser(prog="devlib serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8600)
    given = parser.parse_args(arguments)
    _log_as_json()
    try:
        settings = load_settings()
        services = open_services(settings, SystemClock())
    except DevlibError as error:
        _say("not started", text=str(error))
        return error.exit_code
    try:
        listener = _listener(given.host, given.port)
    except OSError as error:
        services.close()
        _say("not started", text=f"{given.host}:{given.port}: {error.strerror}")
        return 1
    try:
        host, port = listener.getsockname()[:2]
        _say("serving", host=host, port=port, process=os.getpid())
        config = uvicorn.Config(
            create_application(services), log_config=None, access_log=False, server_header=False,
            lifespan="on", timeout_graceful_shutdown=round(settings.api.drain_seconds),
            timeout_keep_alive=30, proxy_headers=False, ws="none",
        )  # fmt: skip
        # uvicorn raises the signal that ended it once more: by itself SIGTERM would then end us unclosed.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
        _say("stopped")
    finally:
        services.close()
    return 0


def _say(event: str, **values: object) -> None:
    LOG.info(json.dumps({"event": event, **values}))


def _listener(host: str, port: int) -> socket.socket:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # whoever comes early waits
    except BaseException:
        listener.close()
        raise
    return listener


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # HTTP clients of a network or of an OpenID provider would log addresses.
    for chatty in ("alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


if __name__ == "__main__":
    ended = main()
    logging.shutdown()
    sys.stderr.flush()
    # Everything is closed. DuckDB 2.0 would write pages on its own bindings into the log at Python's end.
    os._exit(ended)
