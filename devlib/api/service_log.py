"""The log of the service: one JSON object per line, on standard error."""

import json
import logging
import sys
import traceback

LOG = logging.getLogger("devlib.api")


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


def log_as_json() -> None:
    """Let everything that is logged in this process be one JSON object per line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # HTTP clients of a network or of an OpenID provider would log addresses.
    for chatty in ("alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def say(event: str, **values: object) -> None:
    """Log an event of the service itself.

    Args:
        event: what happened.
        values: more of it; no secrets.
    """
    LOG.info(json.dumps({"event": event, **values}))
