"""What is said while another process leads: one line, and again only where the leader has changed."""

from collections.abc import Callable

from devlib.cli.command import Call
from devlib.cli.output import local, visible
from devlib.collect import StandBy
from devlib.language import Message

Words = Callable[[str, str, str], Message]


class StandingBy:
    """Says once who leads and since when, for as long as that does not change.

    Args:
        call: prints it.
        words: gives the sentence for network, leader and since when.
    """

    def __init__(self, call: Call, words: Words) -> None:
        self._call = call
        self._words = words
        self._said: StandBy | None = None

    def told(self, result: object) -> bool:
        """Return whether another one leads; then say so, unless it was said."""
        if not isinstance(result, StandBy):
            self._said = None
            return False
        if result != self._said:
            self._said = result
            self._say(result)
        return True

    def _say(self, seen: StandBy) -> None:
        values = {
            "standing_by": seen.network,
            "leader": seen.place or None,
            "since": None if seen.since is None else f"{seen.since:%Y-%m-%dT%H:%M:%SZ}",
        }
        since = "–" if seen.since is None else f"{local(seen.since):%Y-%m-%d %H:%M:%S}"
        text = self._words(visible(seen.network), visible(seen.place or "–"), since)
        self._call.out.record(values, text)
